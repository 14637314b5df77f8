//go:build unix

package pysocketio_test

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
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// TestFaults holds what the faults of one node cost the others.
func TestFaults(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for name, opts := range map[string][]pysocketio.Option{
		"new": nil,
		"old": {pysocketio.WithPickle()},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.RunFaults(t, func(t *testing.T) adaptertest.Faults {
				channel := fmt.Sprintf("faults%d", clusters.Add(1))
				h := &harm{t: t, addr: r.addr(), own: channel + ":roomspan", wires: make(map[string]*adaptertest.Wire)}
				return adaptertest.Faults{
					Backend: func(nodeID string) adapter.Backend {
						h.wires[nodeID] = adaptertest.NewWire()
						client := h.client(h.wires[nodeID])
						client.AddHook(h)
						return pysocketio.FromClient(client, append([]pysocketio.Option{pysocketio.WithChannel(channel)}, opts...)...)
					},
					Kill:          func(nodeID string) { h.wires[nodeID].Kill() },
					Hang:          func(nodeID string) { h.wires[nodeID].Hang() },
					RepeatAnswers: func() { h.repeating.Store(true) },
					Poison:        func() int { return h.poison(channel) + h.poison(h.own) },
				}
			}, adaptertest.Abilities{})
		})
	}
}

// harm is what a cluster of these tests can suffer.
type harm struct {
	t         *testing.T
	addr, own string
	wires     map[string]*adaptertest.Wire
	repeating atomic.Bool
}

// client returns a client with the settings of the back-end's own.
func (h *harm) client(wire *adaptertest.Wire) *goredis.Client {
	const timeout = 2 * time.Second
	client := goredis.NewClient(&goredis.Options{
		Addr: h.addr, Dialer: wire.Dial, DialerRetries: 1, MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	})
	h.t.Cleanup(func() { _ = client.Close() })
	return client
}

// poison publishes what neither Python nor a node of Roomspan does, and returns
// how much it is.
func (h *harm) poison(channel string) int {
	h.t.Helper()
	senseless := []string{
		"", "x", "{", "[]", "\x00", "\x80\x04\x95", "\x80\x04.", "{}", `{"method":7}`, `{"method":"emit"}`,
		`{"method":"emit","event":"e","namespace":"/","data":{},"binary":true}`, `{"from":"stranger"}`,
		`{"from":"stranger","type":"broadcast","nsp":"/","args":"x"}`, `{"from":"stranger","type":"?","nsp":"/"}`,
		strings.Repeat("[", 100_000), `{"method":` + strings.Repeat("[", 100_000), "\x80\x04" + strings.Repeat("](", 50_000),
	}
	client := h.client(adaptertest.NewWire())
	for _, payload := range senseless {
		if err := client.Publish(h.t.Context(), channel, payload).Err(); err != nil {
			h.t.Fatal(err)
		}
	}
	return len(senseless)
}

// DialHook implements [goredis.Hook].
func (h *harm) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements [goredis.Hook].
func (h *harm) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook { return next }

// ProcessPipelineHook implements [goredis.Hook]: each answer is published twice.
func (h *harm) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if !h.repeating.Load() {
			return next(ctx, cmds)
		}
		var twice []goredis.Cmder
		for _, cmd := range cmds {
			twice = append(twice, cmd)
			if args := cmd.Args(); args[0] == "publish" && fmt.Sprint(args[1]) == h.own && isAnswer(fmt.Sprintf("%s", args[2])) {
				twice = append(twice, goredis.NewCmd(ctx, args...))
			}
		}
		return next(ctx, twice)
	}
}

// isAnswer reports whether a message of the own channel is for one node.
func isAnswer(payload string) bool { return strings.Contains(payload, `,"to":"`) }
