package ecs

import (
	"encoding/json"
	"strings"
	"time"

	"outpost/shared/topology"
)

// view is a task as DescribeTasks and events show it.
type view struct {
	TaskArn           string      `json:"taskArn"`
	TaskDefinitionArn string      `json:"taskDefinitionArn"`
	ClusterArn        string      `json:"clusterArn,omitempty"`
	Group             string      `json:"group,omitempty"`
	StartedBy         string      `json:"startedBy,omitempty"`
	LastStatus        string      `json:"lastStatus"`
	DesiredStatus     string      `json:"desiredStatus"`
	StopCode          string      `json:"stopCode,omitempty"`
	StoppedReason     string      `json:"stoppedReason,omitempty"`
	Containers        []container `json:"containers"`
}

type container struct {
	Name       string `json:"name"`
	LastStatus string `json:"lastStatus"`
	ExitCode   *int   `json:"exitCode,omitempty"`
}

func (t *task) view() view {
	v := view{TaskArn: t.ARN, TaskDefinitionArn: definitionARN(t), Group: t.Group, StartedBy: t.StartedBy,
		LastStatus: t.LastStatus, DesiredStatus: "RUNNING", StopCode: t.StopCode, StoppedReason: t.StoppedReason,
		Containers: []container{{Name: topology.Worker.Container, LastStatus: t.LastStatus}}}
	if t.stopping {
		v.DesiredStatus = "STOPPED"
	}
	if t.LastStatus == "STOPPED" {
		v.DesiredStatus = "STOPPED"
		if t.StopCode != "TaskFailedToStart" {
			v.Containers[0].ExitCode = &t.ExitCode
		}
	}
	return v
}

func definitionARN(t *task) string {
	account, _, _ := strings.Cut(t.ARN, ":task/")
	return account + ":task-definition/" + t.Family + ":1"
}

// event is the "ECS Task State Change" event of EventBridge
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html).
func (t *task) event() []byte {
	body, err := json.Marshal(map[string]any{
		"version": "0", "id": t.id(), "source": "aws.ecs", "detail-type": "ECS Task State Change",
		"account": "000000000000", "region": "us-east-1", "time": t.StoppedAt.Format(time.RFC3339),
		"resources": []string{t.ARN}, "detail": t.view(),
	})
	if err != nil {
		panic(err) // strings and integers only
	}
	return body
}
