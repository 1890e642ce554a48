package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryAlarmHasItsEntryInTheRunbook(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "docs/runbook.md"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for _, part := range strings.Split(string(raw), "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		entries = append(entries, title)
		for _, must := range []string{"**Means.**", "**Look.**", "**Do.**"} {
			if !strings.Contains(text, must) {
				t.Errorf("the entry %s has no %s", title, must)
			}
		}
	}
	named := regexp.MustCompile(`docs/runbook\.md#(\S+)$`)
	var alarms []string
	for _, a := range clouds["prod"].all("AWS::CloudWatch::Alarm") {
		m := named.FindStringSubmatch(a.get("AlarmDescription").(string))
		if m == nil || a.get("AlarmName") != "outpost-prod-"+m[1] {
			t.Errorf("%s leads nowhere: %v", a, a.get("AlarmDescription"))
			continue
		}
		alarms = append(alarms, m[1])
	}
	slices.Sort(entries)
	slices.Sort(alarms)
	if !slices.Equal(entries, alarms) {
		t.Errorf("alarms %v, entries %v", alarms, entries)
	}
}
