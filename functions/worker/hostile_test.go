package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/shared/task"
)

// planted is what a hostile agent leaves in its repository: each line would
// run the payload if git read it there. PWN is the payload's command.
const planted = `
plant() {
  git config core.hooksPath .git/hooks
  for h in pre-commit post-checkout post-index-change pre-push reference-transaction post-rewrite pre-applypatch post-applypatch applypatch-msg fsmonitor-watchman; do
    mkdir -p .git/hooks; printf '#!/bin/sh\nPWN hook-%s\n' $h > .git/hooks/$h; chmod +x .git/hooks/$h
  done
  git config core.fsmonitor "PWN fsmonitor"
  git config core.pager "PWN pager"
  git config core.sshCommand "PWN ssh"
  git config core.askPass "PWN askpass"
  git config core.editor "PWN editor"
  git config core.gitProxy "PWN gitproxy"
  git config gpg.program "PWN gpg"; git config commit.gpgSign true
  git config diff.external "PWN diff"
  git config filter.evil.clean "PWN clean"; git config filter.evil.smudge "PWN smudge"; git config filter.evil.process "PWN process"; git config filter.evil.required true
  git config diff.evil.textconv "PWN textconv"; git config diff.evil.command "PWN diffcommand"
  git config merge.evil.driver "PWN merge"
  git config uploadpack.packObjectsHook "PWN packobjects"
  git config receive.procReceiveRefs refs; git config remote.origin.receivepack "PWN receivepack"; git config remote.origin.uploadpack "PWN uploadpack"
  git config credential.helper "!PWN helper"
  git config alias.add "!PWN alias"; git config alias.diff-tree "!PWN alias"
  git config include.path /dev/null
}
`

func TestNothingThatAnAgentPlantsIsExecuted(t *testing.T) {
	w := newWorld(t)
	// A submodule, so that git would look into the agent's repository in its place.
	w.git("update-index", "--add", "--cacheinfo", "160000,"+w.git("rev-parse", "HEAD")+",module")
	w.write(".gitmodules", "[submodule \"module\"]\n\tpath = module\n\turl = ./module\n")
	w.git("add", ".gitmodules")
	w.git("commit", "-q", "-m", "module")
	marks := t.TempDir()
	pwn := filepath.Join(marks, "pwn")
	if err := os.WriteFile(pwn, []byte("#!/bin/sh\ntouch "+marks+"/ran-$1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := strings.ReplaceAll(planted, "PWN", pwn) + `
echo x > new
echo '* filter=evil diff=evil merge=evil' > .gitattributes
plant
( cd module && git init -q && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m m && echo y > inner && plant ) 2>/dev/null
mkdir nested && ( cd nested && git init -q && echo z > deep && plant ) 2>/dev/null
# What belongs to the worker is within reach of its own user.
for repo in ../git/*; do [ -d "$repo/objects" ] || continue; rm -rf "$repo/hooks"; cp -r .git/hooks "$repo/hooks"; cat .git/config >> "$repo/config"; mkdir -p "$repo/info"; cp .gitattributes "$repo/info/attributes"; done
rm -f ` + marks + `/ran-*
`
	w.api.claim.Verify = "test -f new && test -f nested/deep"
	r := w.run(script)
	w.ended(r, task.Succeeded, "")
	ran, err := filepath.Glob(filepath.Join(marks, "ran-*"))
	if err != nil || len(ran) > 0 {
		t.Errorf("payloads ran: %v, %v", ran, err)
	}
	if r.Verify.State != task.VerifyPassed {
		t.Errorf("verify %+v:\n%s", r.Verify, w.api.stored[task.ArtifactVerifyLog])
	}
	patch := string(w.api.stored[task.ArtifactPatch])
	if !strings.Contains(patch, "nested/deep") || strings.Contains(patch, ".git/") || strings.Contains(patch, "Subproject") {
		t.Errorf("patch:\n%s", patch)
	}
}

func TestEveryKindOfChangeArrives(t *testing.T) {
	for _, c := range []struct{ why, before, script, check string }{
		{"names with spaces, quotes, tabs, newlines and bytes that are no UTF-8", "",
			`printf 1 > 'a b'; printf 2 > "q\"'q"; printf 3 > "$(printf 'n\nn')"; printf 4 > "$(printf 't\tt')"; printf 5 > "$(printf 'x\377x')"; printf 6 > -dash; mkdir 'd d'; printf 7 > 'd d/ü'`,
			`cat 'a b' "q\"'q" "$(printf 'n\nn')" "$(printf 't\tt')" "$(printf 'x\377x')" ./-dash 'd d/ü' | grep -qx 1234567`},
		{"binary files, new and changed", `head -c 5000 /dev/zero > zeros`,
			`printf 'a\0b' > bin; printf '\001' | dd of=zeros bs=1 seek=100 conv=notrunc 2>/dev/null`,
			`[ $(wc -c < bin) = 3 ] && [ $(tr -d '\0' < zeros | wc -c) = 1 ]`},
		{"modes", `echo x > tool; echo y > other; chmod +x other`, `chmod +x tool; chmod -x other`, `[ -x tool ] && [ ! -x other ]`},
		{"links, to places outside too", ``, `ln -s README.md link; ln -s /etc/passwd outside; ln -s /etc dir`, `[ "$(readlink link)" = README.md ] && [ "$(readlink outside)" = /etc/passwd ] && [ -L dir ]`},
		{"a file that becomes a folder, and a folder a file", `mkdir d; echo x > d/f; echo y > g`, `rm -r d; echo x > d; rm g; mkdir g; echo y > g/f`, `[ -f d ] && [ -f g/f ]`},
		{"deletions and renames", `seq 100 > numbers; echo x > gone`, `mv numbers renamed; echo 101 >> renamed; rm gone README.md`, `[ $(wc -l < renamed) = 101 ] && [ ! -e numbers ] && [ ! -e gone ] && [ ! -e README.md ]`},
		{"no newline at the end, and carriage returns", `printf 'a\r\nb' > crlf`, `printf 'a\r\nc' > crlf; printf x > README.md`, `[ "$(od -An -c crlf | tr -d ' ')" = 'a\r\nc' ]`},
		{"line ends that attributes convert", `echo '*.txt text eol=crlf' > .gitattributes; printf 'a\nb\n' > t.txt`, `printf 'a\r\nb\r\nc\r\n' > t.txt`, `[ $(tr -d '\r' < t.txt | wc -l) = 3 ]`},
		{"empty files and folders", ``, `: > empty; mkdir nothing`, `[ -f empty ] && [ ! -s empty ]`},
		{"commits of its own, on another branch", ``, `git checkout -q -b mine; echo x > mine; git add .; git commit -q -m mine; echo y >> mine`, `[ $(wc -l < mine) = 2 ]`},
		{"without its .git", ``, `rm -rf .git; echo x > new`, `[ -f new ]`},
		{"pipes and locked folders", `echo x > tracked`, `mkfifo pipe; mkdir locked; echo x > locked/f; chmod 000 locked; rm tracked; mkfifo tracked`, `[ -f locked/f ] && [ ! -e pipe ] && [ ! -e tracked ]`},
		{"a tracked file that .gitignore names", `echo '*.log' > .gitignore; echo x > a.log; git add -f a.log`, `echo y > a.log; echo z > b.log`, `grep -q y a.log && [ ! -e b.log ]`},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t)
			w.shell(w.repo, c.before)
			w.commit("before")
			w.api.claim.Verify = c.check
			r := w.run(c.script)
			w.ended(r, task.Succeeded, "")
			if r.Verify.State != task.VerifyPassed {
				t.Errorf("on the worker's checkout: %+v", r.Verify)
			}
			w.shell(w.applied(), c.check)
		})
	}
}

func TestAWorkTreeIsCleanBeforeTheAgentComes(t *testing.T) {
	w := newWorld(t)
	w.shell(w.repo, `printf 'a\r\nb\r\n' > crlf.txt; echo x > tool; chmod +x tool; ln -s tool link`)
	w.commit("files")
	// Stored with line ends that its attributes would not store: no change of the agent's.
	w.write(".gitattributes", "*.txt text\n")
	w.shell(w.repo, "git add .gitattributes && git -c user.name=a -c user.email=a@b commit -q -m attributes")
	w.ended(w.run("true"), task.Failed, task.ReasonNoChanges)
}
