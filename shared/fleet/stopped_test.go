package fleet_test

import (
	"errors"
	"os"
	"testing"

	"outpost/shared/fleet"
)

func TestTheSampleEventIsRead(t *testing.T) {
	sample, err := os.ReadFile("../../events/ecs-task-stopped.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := fleet.ParseStopped(sample)
	want := fleet.Stopped{Tenant: "ten_01KAR5G5M0000000000000000A", Run: "run_01KAR5G5M0000000000000000B_01", Attempt: 1,
		Container: "arn:aws:ecs:us-east-1:111122223333:task/outpost/b99d40b3b5de4d0e8d6a1f2f1a2b3c4d",
		ExitCode:  137, StopCode: "SpotInterruption", Reason: "Your Spot Task was interrupted."}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAContainerThatNeverRanHasNoExitCode(t *testing.T) {
	got, err := fleet.ParseStopped([]byte(`{"detail":{"lastStatus":"STOPPED","stopCode":"TaskFailedToStart",
		"group":"ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:1","containers":[{"name":"worker"}]}}`))
	if err != nil || got.ExitCode != -1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheExitCodeIsTheWorkersNotASidecars(t *testing.T) {
	got, err := fleet.ParseStopped([]byte(`{"detail":{"lastStatus":"STOPPED","group":"ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:1",
		"containers":[{"name":"guardduty","exitCode":9},{"name":"worker","exitCode":0}]}}`))
	if err != nil || got.ExitCode != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestForeignEvents(t *testing.T) {
	const stopped = `{"detail":{"lastStatus":"STOPPED","group":"`
	for why, event := range map[string]string{
		"another status":      `{"detail":{"lastStatus":"RUNNING","group":"ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:1"}}`,
		"a service":           stopped + `service:web"}}`,
		"three parts, no ids": stopped + `a:b:1"}}`,
		"no attempt":          stopped + `ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:"}}`,
		"attempt 0":           stopped + `ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:0"}}`,
		"one part too many":   stopped + `ten_01KAR5G5M0000000000000000A:run_01KAR5G5M0000000000000000B_01:1:1"}}`,
		"nothing":             `{}`,
	} {
		if _, err := fleet.ParseStopped([]byte(event)); !errors.Is(err, fleet.ErrForeign) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := fleet.ParseStopped([]byte("{")); err == nil || errors.Is(err, fleet.ErrForeign) {
		t.Errorf("no JSON: %v", err)
	}
}
