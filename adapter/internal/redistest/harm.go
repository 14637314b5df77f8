package redistest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// Harm is what the cluster of a test of [adaptertest.RunFaults] can suffer.
type Harm struct {
	// Addr is the Redis.
	Addr string

	// New makes the back-end of a node over a client.
	New func(goredis.UniversalClient) adapter.Backend

	// Answer reports whether what is published is an answer to a question.
	Answer func(channel, payload string) bool

	// Poison publishes what nobody understands, and returns how much of it each
	// node counts.
	Poison func(*goredis.Client) int
}

// Faults returns what the suite asks for.
func (h Harm) Faults(t *testing.T) adaptertest.Faults {
	wires := make(map[string]*adaptertest.Wire)
	twice := &repeater{answer: h.Answer}
	t.Cleanup(func() {
		if twice.on.Load() && twice.repeated.Load() == 0 {
			t.Error("no answer was repeated")
		}
	})
	return adaptertest.Faults{
		Backend: func(nodeID string) adapter.Backend {
			wires[nodeID] = adaptertest.NewWire()
			client := h.client(t, wires[nodeID])
			client.AddHook(twice)
			return h.New(client)
		},
		Kill:          func(nodeID string) { wires[nodeID].Kill() },
		Hang:          func(nodeID string) { wires[nodeID].Hang() },
		RepeatAnswers: func() { twice.on.Store(true) },
		Poison:        func() int { return h.Poison(h.client(t, adaptertest.NewWire())) },
	}
}

// client returns a client with the settings of the back-ends' own.
func (h Harm) client(t *testing.T, wire *adaptertest.Wire) *goredis.Client {
	const timeout = 2 * time.Second
	client := goredis.NewClient(&goredis.Options{
		Addr: h.Addr, Dialer: wire.Dial, DialerRetries: 1, MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// repeater is a [goredis.Hook] that publishes each answer twice.
type repeater struct {
	on       atomic.Bool
	repeated atomic.Int64
	answer   func(channel, payload string) bool
}

// DialHook implements [goredis.Hook].
func (*repeater) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements [goredis.Hook].
func (*repeater) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

// ProcessPipelineHook implements [goredis.Hook].
func (r *repeater) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if !r.on.Load() {
			return next(ctx, cmds)
		}
		var twice []goredis.Cmder
		for _, cmd := range cmds {
			twice = append(twice, cmd)
			args := cmd.Args()
			if name, _ := args[0].(string); strings.HasSuffix(name, "publish") && r.answer(fmt.Sprint(args[1]), fmt.Sprintf("%s", args[2])) {
				twice = append(twice, goredis.NewCmd(ctx, args...))
				r.repeated.Add(1)
			}
		}
		return next(ctx, twice)
	}
}
