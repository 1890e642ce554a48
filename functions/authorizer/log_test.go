package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"outpost/shared/table"
)

func TestNoKeyIsLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	w := newWorld(t)
	good, _ := w.key(nil)
	revoked, _ := w.key(func(k *table.Key) { k.State = table.KeyRevoked })
	for _, identity := range []string{"Bearer " + good, "Bearer " + revoked, "Bearer " + good + "x", good} {
		w.ask(identity)
	}
	w.h.store = down{}
	_, err := w.h.handle(t.Context(), events.APIGatewayV2CustomAuthorizerV2Request{IdentitySource: []string{"Bearer " + good}})
	if err == nil || strings.Contains(err.Error(), good) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(log.String(), "10.0.0.7") {
		t.Errorf("the log does not say why a key could not be read: %s", log.Bytes())
	}
	for _, secret := range []string{good, revoked, w.h.hasher.Hash(good)} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds a key: %s", log.Bytes())
		}
	}
}
