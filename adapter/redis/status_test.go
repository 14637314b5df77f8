//go:build unix

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// history is what a node was told of its connection.
type history struct {
	mu     sync.Mutex
	states []adapter.Status
}

func (h *history) add(s adapter.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, s)
}

func (h *history) all() []adapter.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.states)
}

// await waits for states, of which each is connected or not, and fails if
// others come or their times are not in order.
func (h *history) await(t *testing.T, want ...bool) []adapter.Status {
	t.Helper()
	eventually(t, fmt.Sprint(len(want), " states"), func() bool { return len(h.all()) >= len(want) })
	got := h.all()
	last := time.Time{}
	for i, s := range got {
		if len(got) != len(want) || s.Connected != want[i] || (s.Err == nil) != s.Connected || s.Since.Before(last) {
			t.Fatalf("told %v, want %v", got, want)
		}
		last = s.Since
	}
	return got
}

// everyFamily are the options of all families.
var everyFamily = append(families[:len(families):len(families)], struct {
	name string
	opts []redis.Option
}{"streams", []redis.Option{redis.WithStreams()}})

// There is one event for every change, as there is one line in the log.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			r.stop()
			b := redis.New(r.url(), f.opts...)
			if s := b.Status(); s.Connected || s.Err == nil || !s.Since.IsZero() {
				t.Errorf("before Start: %+v", s)
			}
			var h history
			b.OnStatus(h.add)
			n := start(t, b, nodeOptions{})
			h.await(t, false) // cannot connect
			r.restart()
			n.ready()
			got := h.await(t, false, true)
			if now := b.Status(); now != got[1] {
				t.Errorf("the state is %+v, told was %+v", now, got[1])
			}
			r.stop()
			h.await(t, false, true, false)
			eventually(t, "the last attempt is known", func() bool {
				return strings.Contains(fmt.Sprint(b.Status().Err), "connection refused")
			})
			r.restart()
			n.ready()
			h.await(t, false, true, false, true)
			eventually(t, "it is logged", func() bool { return n.log.count("\n") >= 4 })
			if lines := n.log.count("\n"); lines != 4 {
				t.Errorf("log:\n%s", n.log)
			}
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
			got = h.await(t, false, true, false, true, false)
			if !errors.Is(got[4].Err, adapter.ErrClosed) || b.Status() != got[4] {
				t.Errorf("after Close: %+v, told was %+v", b.Status(), got[4])
			}
		})
	}
}

// A function that blocks, and a log that does, hold up neither who emits nor
// who asks for the state.
func TestBlockedWatchers(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	b := redis.New(r.url())
	free := make(chan struct{})
	var once sync.Once
	defer once.Do(func() { close(free) })
	b.OnStatus(func(adapter.Status) { <-free })
	reader, log := io.Pipe() // a write waits for a reader
	host := &host{namespace: "/"}
	if err := b.Start(pipedNode{log}); err != nil {
		t.Fatal(err)
	}
	a, err := b.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	a.Add(&socket{id: "socket"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []adapter.Flags{{}, {Volatile: true}} {
		for range 100 {
			if err := a.Broadcast(&adapter.Packet{Args: []byte(`["x"]`)}, adapter.Selector{}, flags); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := b.Status(); !s.Connected || !b.Stats().Connected || len(host.events()) != 200 {
		t.Errorf("%+v, %d events", s, len(host.events()))
	}
	once.Do(func() { close(free) })
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	_ = log.Close()
}

type pipedNode struct{ log io.Writer }

func (pipedNode) NodeID() string         { return "node" }
func (n pipedNode) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(n.log, nil)) }
