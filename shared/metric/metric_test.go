package metric_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"outpost/shared/metric"
)

func TestALineIsAMetricInTheEmbeddedFormat(t *testing.T) {
	var out bytes.Buffer
	e := metric.New("Outpost/test", &out)
	e.Emit(metric.QueueSeconds, 1.5, time.UnixMilli(1_700_000_000_123), "tenant", "ten_a", "run", "run_b")
	var got struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		QueueSeconds float64
		Tenant, Run  string
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Fatalf("%q: %v", out.String(), err)
	}
	d := got.AWS.CloudWatchMetrics[0]
	if got.AWS.Timestamp != 1_700_000_000_123 || d.Namespace != "Outpost/test" || d.Metrics[0].Name != "QueueSeconds" || d.Metrics[0].Unit != "Seconds" ||
		got.QueueSeconds != 1.5 || got.Tenant != "ten_a" || got.Run != "run_b" {
		t.Errorf("%+v", got)
	}
	if len(d.Dimensions) != 1 || len(d.Dimensions[0]) != 0 {
		t.Errorf("dimensions %v: each value of one is a metric to pay for", d.Dimensions)
	}
	out.Reset()
	if e.Emit(metric.RunsStarted, math.NaN(), time.Now()); out.Len() != 0 {
		t.Errorf("not a number, and yet %q", out.String())
	}
}

func TestThereAreFewMetrics(t *testing.T) {
	if len(metric.All) > metric.Max {
		t.Errorf("%d metrics, at most %d", len(metric.All), metric.Max)
	}
}
