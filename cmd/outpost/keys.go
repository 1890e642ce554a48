package main

import (
	"fmt"
	"strings"
	"time"

	"outpost/cmd/outpost/internal/client"
	"outpost/cmd/outpost/internal/table"
	"outpost/shared/apikey"
	"outpost/shared/id"
)

type keysCommand struct {
	List   keysListCommand   `cmd:"" default:"withargs" help:"List the API keys, newest first, never the keys themselves."`
	Create keysCreateCommand `cmd:"" help:"Make an API key. It goes to stdout, this once."`
	Rotate keysRotateCommand `cmd:"" help:"Make a key of the same name and scopes; the old one goes on for a while. The new key goes to stdout, this once."`
	Revoke keysRevokeCommand `cmd:"" help:"End a key for ever: it writes nothing from that instant, and reads nothing after 60 seconds."`
}

// keyID is the id of an API key on the command line.
type keyID string

// Validate is called by the parser.
func (k keyID) Validate() error {
	if _, err := id.ULID(id.Key, string(k)); err != nil {
		return fmt.Errorf("%q is no id of an API key (key_…)", string(k))
	}
	return nil
}

type keysListCommand struct {
	JSON bool `name:"json" help:"Write one JSON array of the API's keys."`
}

func (c *keysListCommand) Run(s *session) error {
	keys, err := s.api.Keys(s.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(keys)
	}
	columns := []table.Column{{Title: "KEY"}, {Title: "NAME"}, {Title: "LOOKS LIKE"}, {Title: "STATE"}, {Title: "CREATED"}, {Title: "LAST USED"}, {Title: "EXPIRES"}, {Title: "SCOPES"}}
	var rows [][]table.Cell
	for _, k := range keys {
		style := table.Dim
		if k.State == "active" {
			style = table.Good
		}
		rows = append(rows, []table.Cell{{Text: k.ID}, {Text: k.Name, Style: table.Strong}, {Text: k.Display}, {Text: k.State, Style: style},
			{Text: when(k.CreatedAt)}, {Text: when(k.LastUsedAt)}, {Text: when(k.ExpiresAt)}, {Text: strings.Join(k.Scopes, " ")}})
	}
	return s.writeTable(columns, rows)
}

type keysCreateCommand struct {
	Name    string   `arg:"" help:"What you call it."`
	Scopes  []string `required:"" placeholder:"LIST" help:"What it may do, as tasks:write,secrets:write; no more than your own key. A write scope implies the read scope."`
	Expires string   `placeholder:"WHEN" help:"When it ends by itself: a time, a day, or in how long (2026-11-23T10:00:00Z, 2026-11-23, 90d), at most ten years ahead. Never, where nothing is said."`
	Live    bool     `xor:"kind" help:"A key that begins with op_live_ (the default)."`
	Test    bool     `xor:"kind" help:"A key that begins with op_test_."`
	JSON    bool     `name:"json" help:"Write the API's answer as one JSON object, the key among it."`
	once
}

func (c *keysCreateCommand) Run(s *session) error {
	now := s.clock.Now()
	expires, err := deadline(c.Expires, now)
	if err != nil {
		return usage("--expires: %v", err)
	}
	if expires.After(apikey.Latest(now)) {
		return usage("--expires must be at most ten years ahead")
	}
	key := c.key()
	k, repeat := client.NewKey{Name: c.Name, Scopes: c.Scopes}, "--idempotency-key "+key
	if c.Test {
		k.Kind = "test"
	}
	if !expires.IsZero() {
		k.ExpiresAt = &expires
		repeat += " --expires " + expires.Format(time.RFC3339) // "in how long" would be another time then
	}
	made, replayed, err := s.api.CreateKey(s.ctx, k, key)
	if err != nil {
		return s.unsure(err, "the key was made", repeat)
	}
	s.madeBefore(replayed, made.ID)
	fmt.Fprintf(s.stderr, "%s (%s) may %s, %s.\n", made.ID, table.Clean(made.Name), strings.Join(made.Scopes, " "), until(made.ExpiresAt))
	return s.showOnce(func() error { return s.writeKey(made, c.JSON) }, repeat)
}

func until(t time.Time) string {
	if t.IsZero() {
		return "until it is revoked"
	}
	return "until " + when(t)
}

func (s *session) madeBefore(replayed bool, id string) {
	if replayed {
		fmt.Fprintf(s.stderr, "This was made before: %s.\n", id)
	}
}

// writeKey writes a new key to stdout, and nothing else beside it.
func (s *session) writeKey(k client.Key, asJSON bool) error {
	fmt.Fprintln(s.stderr, "The key is shown this once; Outpost keeps nothing that it could be read from.")
	if asJSON {
		return s.writeJSON(k)
	}
	_, err := fmt.Fprintln(s.stdout, k.Secret)
	return err
}

type keysRotateCommand struct {
	Key     keyID  `arg:"" help:"Id of the key to replace, key_…"`
	Overlap string `placeholder:"TIME" help:"How long the old key goes on, as 0s, 1h or 7d at most (default: the service's, a day)."`
	JSON    bool   `name:"json" help:"Write the API's answer as one JSON object, the key among it."`
	once
}

func (c *keysRotateCommand) Run(s *session) error {
	var overlap *int
	if c.Overlap != "" {
		d, err := span(c.Overlap)
		if err != nil || d < 0 || d%time.Second != 0 {
			return usage("--overlap must be whole seconds, as in 90s, 1h or 7d")
		}
		overlap = new(int(d / time.Second))
	}
	key := c.key()
	repeat := "--idempotency-key " + key
	made, replayed, err := s.api.RotateKey(s.ctx, string(c.Key), overlap, key)
	if err != nil {
		return s.unsure(err, "the key was rotated", repeat)
	}
	s.madeBefore(replayed, made.ID)
	fmt.Fprintf(s.stderr, "%s (%s) takes the part of %s", made.ID, table.Clean(made.Name), c.Key)
	if made.Replaces != nil {
		fmt.Fprintf(s.stderr, ", which goes on %s", until(made.Replaces.ExpiresAt))
	}
	fmt.Fprintln(s.stderr, ".")
	return s.showOnce(func() error { return s.writeKey(made, c.JSON) }, repeat)
}

type keysRevokeCommand struct {
	Key  keyID `arg:"" help:"Id of the key, key_…"`
	JSON bool  `name:"json" help:"Write the API's answer as one JSON object."`
}

func (c *keysRevokeCommand) Run(s *session) error {
	k, err := s.api.RevokeKey(s.ctx, string(c.Key))
	if err != nil {
		return err
	}
	if c.JSON {
		return s.writeJSON(k)
	}
	_, err = fmt.Fprintf(s.stdout, "%s (%s) is %s\n", k.ID, table.Clean(k.Name), k.State)
	return err
}
