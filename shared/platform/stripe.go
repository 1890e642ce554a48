package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Stripe are Stripe's secrets in the document. Both are empty where there is no
// billing.
type Stripe struct {
	Key           string `json:"stripe_key,omitempty"`            // sk_test_…, sk_live_… or a restricted rk_…
	WebhookSecret string `json:"stripe_webhook_secret,omitempty"` // whsec_…
}

// Check tells what is wrong with Stripe's secrets, without quoting them. An
// empty webhook secret would accept anybody's webhook.
func (s Stripe) Check() error {
	if !strings.HasPrefix(s.Key, "sk_") && !strings.HasPrefix(s.Key, "rk_") {
		return errors.New("the key of Stripe does not begin with sk_ or rk_")
	}
	if !strings.HasPrefix(s.WebhookSecret, "whsec_") || len(s.WebhookSecret) == len("whsec_") {
		return errors.New("the secret of webhooks from Stripe does not begin with whsec_")
	}
	return nil
}

// Live tells whether the key moves real money.
func (s Stripe) Live() bool {
	return strings.HasPrefix(s.Key, "sk_live_") || strings.HasPrefix(s.Key, "rk_live_")
}

// SetStripe puts Stripe's secrets into the document, instead of any before. It
// keeps what else the document holds.
func SetStripe(ctx context.Context, client *secretsmanager.Client, arn string, s Stripe) error {
	if err := s.Check(); err != nil {
		return err
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return fmt.Errorf("read the platform secret: %w", err)
	}
	if _, err := parse(out.SecretString); err != nil {
		return err
	}
	return change(ctx, client, arn, *out.SecretString, func(document map[string]any) {
		document["stripe_key"], document["stripe_webhook_secret"] = s.Key, s.WebhookSecret
	})
}

// change writes the document with a change, unless that changes nothing.
func change(ctx context.Context, client *secretsmanager.Client, arn, text string, by func(document map[string]any)) error {
	document := map[string]any{}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return errMalformed
	}
	before, err := json.Marshal(document)
	if err != nil {
		return err
	}
	by(document)
	after, err := json.Marshal(document)
	if err != nil || string(before) == string(after) {
		return err
	}
	changed := string(after)
	if _, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &arn, SecretString: &changed}); err != nil {
		return fmt.Errorf("write the platform secret: %w", err)
	}
	return nil
}
