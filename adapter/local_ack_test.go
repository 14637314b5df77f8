package adapter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

func TestBroadcastWithAck(t *testing.T) {
	answer := func(p *adapter.Packet) *adapter.Packet { return p }
	tests := []struct {
		name            string
		answers         []bool
		timeout, cancel time.Duration
		took            time.Duration
		received        int
		cause           error
	}{
		{name: "nobody"},
		{name: "all answer", answers: []bool{true, true, true}, received: 3},
		{name: "one does not", answers: []bool{true, false, true}, timeout: time.Minute, took: time.Minute, received: 2},
		{name: "default deadline", answers: []bool{false}, took: 5 * time.Second},
		{name: "canceled", answers: []bool{true, false}, cancel: time.Second, took: time.Second, received: 1, cause: context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, host := newLocal()
				for i, answers := range tt.answers {
					s := add(t, l, string(rune('a'+i)))
					if answers {
						s.Answer(answer)
					}
				}
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				if tt.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
					time.AfterFunc(tt.cancel, cancel)
				}
				start := time.Now()
				packets, err := l.BroadcastWithAck(ctx, packet, adapter.Selector{}, adapter.Flags{})
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if len(packets) != tt.received {
					t.Errorf("%d answers, want %d", len(packets), tt.received)
				}
				checkMissing(t, err, len(tt.answers), tt.received)
				if tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("error is %v, want %v", err, tt.cause)
				}
				time.Sleep(10 * time.Second) // late answers find nobody
				host.Wait()
			})
		})
	}
}

func checkMissing(t *testing.T, err error, expected, received int) {
	t.Helper()
	var missing *adapter.MissingAnswersError
	switch {
	case expected == received:
		if err != nil {
			t.Errorf("error is %v", err)
		}
	case !errors.As(err, &missing):
		t.Errorf("error is %v, want a MissingAnswersError", err)
	case missing.Expected != expected || missing.Received != received || missing.Cause == nil:
		t.Errorf("error is %v, want %d of %d", err, received, expected)
	}
}

func TestBroadcastWithAckSendsNothing(t *testing.T) {
	l, _ := newLocal()
	s := add(t, l, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.BroadcastWithAck(ctx, packet, adapter.Selector{}, adapter.Flags{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.BroadcastWithAck(t.Context(), packet, adapter.Selector{}, adapter.Flags{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if got := len(s.Received()); got != 0 {
		t.Errorf("%d packets were sent", got)
	}
}
