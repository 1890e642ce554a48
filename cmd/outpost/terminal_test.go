package main_test

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"outpost/cmd/outpost/internal/apitest"
)

// terminal is a person's terminal with the client in it.
type terminal struct {
	*os.File
	mu  sync.Mutex
	all []byte
	end chan struct{}
}

func open(t *testing.T, cmd *exec.Cmd, width, height uint16) *terminal {
	t.Helper()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: width, Rows: height})
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{File: f, end: make(chan struct{})}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		f.Close()
	})
	go func() {
		defer close(p.end)
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			p.mu.Lock()
			p.all = append(p.all, buf[:n]...)
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *terminal) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.all)
}

// await waits until the terminal has shown a text.
func (p *terminal) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() bool { return strings.Contains(p.text(), text) })
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it never came")
		}
	}
}

// screen plays what was written to a terminal and returns its lines.
func screen(written string) []string {
	lines := []string{""}
	row, col := 0, 0
	put := func(r rune) {
		line := []rune(lines[row])
		for len(line) <= col {
			line = append(line, ' ')
		}
		line[col] = r
		lines[row] = string(line)
		col++
	}
	text := []rune(written)
	for i := 0; i < len(text); i++ {
		switch r := text[i]; r {
		case '\r':
			col = 0
		case '\n':
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
		case 0x1b:
			start := i + 2
			for i += 2; i < len(text) && (text[i] < '@' || text[i] > '~'); i++ {
			}
			n, err := strconv.Atoi(string(text[start:i]))
			if err != nil {
				n = 1
			}
			switch text[i] {
			case 'A':
				row = max(0, row-n)
			case 'K':
				lines[row] = string([]rune(lines[row])[:min(col, len([]rune(lines[row])))])
			case 'J':
				lines = lines[:row+1]
				lines[row] = string([]rune(lines[row])[:min(col, len([]rune(lines[row])))])
			}
		default:
			put(r)
		}
	}
	return lines
}

func TestOnATerminalTheTableIsDrawnOverItself(t *testing.T) {
	api := apitest.Start(t, apitest.Script{
		Looks:  3,
		Events: []apitest.Event{{Run: 2, Kind: "tool", Text: "edit 世界 \x1b]0;evil\x07" + strings.Repeat("long ", 50)}},
	})
	cmd := command(t, api, "run", "-r", repo, "p")
	p := open(t, cmd, 100, 30)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, p.text())
	}
	<-p.end
	lines := screen(p.text())
	count := func(text string) (n int) {
		for _, l := range lines {
			n += strings.Count(l, text)
			if len([]rune(l)) > 100 && strings.Contains(l, "NOW") {
				t.Errorf("a line is wider than the terminal: %q", l)
			}
		}
		return n
	}
	if count("NOW") != 1 || count("RANK") != 1 || count(" completed ") != 1 {
		t.Errorf("the table stands there more than once:\n%s", strings.Join(lines, "\n"))
	}
	raw := p.text()
	if strings.Contains(raw, "\x1b]0;") {
		t.Errorf("an event's sequence reached the terminal:\n%q", raw)
	}
	if strings.LastIndex(raw, "\x1b[?25h") < strings.LastIndex(raw, "\x1b[?25l") {
		t.Errorf("the cursor stays hidden:\n%q", raw)
	}
	if !strings.Contains(p.text(), "\x1b[32m") {
		t.Error("no colour on a terminal")
	}
}

func TestNoColorIsRespected(t *testing.T) {
	api := apitest.Start(t, apitest.Script{})
	cmd := command(t, api, "run", "-r", repo, "p")
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	p := open(t, cmd, 100, 30)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	<-p.end
	if strings.Contains(p.text(), "\x1b[32m") || strings.Contains(p.text(), "\x1b[2m") {
		t.Errorf("colours: %q", p.text())
	}
}

func TestMoreRunsThanTheTerminalIsHigh(t *testing.T) {
	api := apitest.Start(t, apitest.Script{Looks: 2})
	cmd := command(t, api, "run", "-r", repo, "--agents", strings.TrimSuffix(strings.Repeat("claude,", 20), ","), "p")
	p := open(t, cmd, 80, 10)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	<-p.end
	if n := strings.Count(strings.Join(screen(p.text()), "\n"), "… and "); n != 1 {
		t.Errorf("drawn over what had scrolled away, %d times:\n%s", n, p.text())
	}
}

func TestTheFirstInterruptTellsAndTheSecondLeaves(t *testing.T) {
	api := apitest.Start(t, apitest.Script{Looks: 1 << 30})
	cmd := command(t, api, "run", "-r", repo, "p")
	p := open(t, cmd, 100, 30)
	p.await(t, "running")
	if _, err := io.WriteString(p, "\x03"); err != nil {
		t.Fatal(err)
	}
	p.await(t, "outpost cancel tsk_")
	looked := len(api.Requests())
	eventually(t, func() bool { return len(api.Requests()) >= looked+3 }) // it goes on following
	if _, err := io.WriteString(p, "\x03"); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	<-p.end
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	if !strings.Contains(p.text(), "\x1b[?25h") {
		t.Error("the cursor stays hidden")
	}
	for _, r := range api.Requests() {
		if strings.HasSuffix(r.Path, "/cancel") {
			t.Error("leaving cancelled the task")
		}
	}
}

func TestTermLeavesAtOnce(t *testing.T) {
	api := apitest.Start(t, apitest.Script{Looks: 1 << 30})
	cmd := command(t, api, "logs", "-f", strings.TrimSpace(finish(t, command(t, api, "run", "-d", "-r", repo, "p")).stdout))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(api.Requests()) >= 3 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
}
