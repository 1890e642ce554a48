// Package runner is the protocol between a worker and the API: JSON over HTTPS
// under /runner/v1. A worker holds no AWS identity; its ticket lets it claim
// one attempt, and the run token of the claim lets it report on that attempt
// alone. Every call may be repeated: a repeat gets the same answer.
package runner

import (
	"time"

	"outpost/shared/task"
)

// Version is the protocol's version. The API serves it and the one before.
const Version = 1

// OldestVersion is the oldest version that the API still serves.
const OldestVersion = 1

// The worker's environment: all that a container is told.
const (
	EnvAPI     = "OUTPOST_API"     // base URL of the API
	EnvRun     = "OUTPOST_RUN"     // run id
	EnvAttempt = "OUTPOST_ATTEMPT" // number of the attempt
	EnvTicket  = "OUTPOST_TICKET"  // bearer of claim
)

// ClaimRequest claims the attempt that the ticket names (POST claim,
// Authorization: Bearer ticket). The first nonce binds the ticket; the same
// nonce may ask again, another is refused with 409 ticket_bound.
type ClaimRequest struct {
	Protocol int    `json:"protocol"`
	Nonce    string `json:"nonce"` // 32 to 64 hex digits, random
}

// ClaimResponse is everything a worker needs to work.
type ClaimResponse struct {
	RunToken       string    `json:"run_token"` // bearer of all other calls
	TokenExpiresAt time.Time `json:"token_expires_at"`

	Run       string    `json:"run"`
	Task      string    `json:"task"`
	Attempt   int       `json:"attempt"`
	Agent     string    `json:"agent"`
	Model     string    `json:"model"`
	Prompt    string    `json:"prompt"`
	Setup     string    `json:"setup,omitempty"`
	Verify    string    `json:"verify,omitempty"`
	Deadline  time.Time `json:"deadline"`   // of the run, over all attempts
	BudgetUSD float64   `json:"budget_usd"` // this run's part of the task's; 0 means none was set
	SpentUSD  float64   `json:"spent_usd"`  // of it, by earlier attempts

	Checkout Checkout `json:"checkout"`
	Provider Provider `json:"provider"`

	HeartbeatEverySeconds int `json:"heartbeat_every_seconds"`
}

// Checkout says what to clone.
type Checkout struct {
	Repo   string `json:"repo"`
	Ref    string `json:"ref,omitempty"`
	Commit string `json:"commit,omitempty"` // pinned by the task's first run; empty for that one
	// Schemes are the URL schemes that may be cloned from: https in production.
	Schemes []string `json:"schemes"`
	// PrivateAddresses are prefixes of addresses that are not public and may be
	// cloned from all the same: none in production.
	PrivateAddresses []string `json:"private_addresses,omitempty"`
	// GitToken goes to GitHost only. Both are empty for a public repository.
	GitHost  string `json:"git_host,omitempty"`
	GitToken string `json:"git_token,omitempty"`
}

// Provider is where the agent's model is asked, and the key for it.
type Provider struct {
	Name    string `json:"name"`     // anthropic, openai, gemini, xai or deepseek
	BaseURL string `json:"base_url"` // of the real provider
	KeyName string `json:"key_name"` // the secret's name
	Key     string `json:"key"`      // empty when the tenant has not set it
}

// PinRequest offers the commit that the ref resolved to (POST pin).
type PinRequest struct {
	Commit string `json:"commit"` // 40 or 64 hex digits
}

// PinResponse is the commit that all runs of the task use: the first offer.
type PinResponse struct {
	Commit string `json:"commit"`
}

// HeartbeatRequest keeps the lease and tells what the attempt has spent so far
// (POST heartbeat): the next attempt has that much less, should this one be
// lost.
type HeartbeatRequest struct {
	Phase string `json:"phase"`
	task.Spend
}

// HeartbeatResponse tells whether to stop.
type HeartbeatResponse struct {
	Cancel bool `json:"cancel"`
}

// EventsRequest reports events, in order (POST events). Seq of the first one
// identifies the batch: the same batch sent twice is stored once.
type EventsRequest struct {
	Events []task.Event `json:"events"`
}

// UploadsRequest asks for upload URLs (POST uploads).
type UploadsRequest struct {
	Artifacts []task.Artifact `json:"artifacts"`
}

// UploadsResponse holds a URL an artifact, in the same order.
type UploadsResponse struct {
	Uploads []Upload `json:"uploads"`
}

// Upload is a presigned PUT, good for 15 minutes and for exactly the length
// and SHA-256 that were asked for. All headers must be sent.
type Upload struct {
	Name    string            `json:"name"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// FinishRequest ends the attempt with its result (POST finish).
type FinishRequest struct {
	Result task.Result `json:"result"`
}

// Empty is the answer of calls that only acknowledge.
type Empty struct{}
