package adaptertest_test

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

func TestHeartbeatBus(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		return adaptertest.NewBus().Backend
	}, adaptertest.Abilities{})
}

func TestCountingBus(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		bus := adaptertest.NewBus()
		bus.Counting = true
		return bus.Backend
	}, adaptertest.Abilities{})
}

// node is an [adapter.Node] by its id.
type node string

func (n node) NodeID() string     { return string(n) }
func (node) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t *testing.T, bus *adaptertest.Bus, id string, host adapter.Host) (adapter.Adapter, adapter.Backend) {
	t.Helper()
	backend := bus.Backend()
	if err := backend.Start(node(id)); err != nil {
		t.Fatal(err)
	}
	a, err := backend.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backend.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a, backend
}

func expectCount(t *testing.T, a adapter.Adapter, want int) {
	t.Helper()
	if n, err := a.ServerCount(t.Context()); n != want || err != nil {
		t.Errorf("ServerCount = %d, %v, want %d", n, err, want)
	}
}

// TestCut lets a node die without a word, and another come back.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := adaptertest.NewBus()
		bus.Config = cluster.Config{HeartbeatInterval: time.Second, HeartbeatTimeout: 3 * time.Second}
		a, _ := start(t, bus, "a", adaptertest.NewHost("/"))
		b, _ := start(t, bus, "b", adaptertest.NewHost("/"))
		_, dying := start(t, bus, "c", adaptertest.NewHost("/"))
		synctest.Wait()
		expectCount(t, a, 3)

		bus.Cut("c")
		if err := dying.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		expectCount(t, a, 3)
		begin := time.Now()
		if _, err := a.FetchSockets(t.Context(), adapter.Selector{}); err != nil {
			t.Errorf("FetchSockets: %v", err)
		}
		if took := time.Since(begin); took == 0 || took > 4*time.Second {
			t.Errorf("took %v: the dead node is waited for until it is found dead", took)
		}
		expectCount(t, a, 2)

		bus.Cut("b")
		time.Sleep(5 * time.Second)
		expectCount(t, a, 1)
		expectCount(t, b, 1)
		bus.Heal("b")
		time.Sleep(2 * time.Second)
		expectCount(t, a, 2)
		expectCount(t, b, 2)
	})
}

// TestCutCounting holds that a node that is cut off cannot count, and returns
// what it has at the deadline.
func TestCutCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := adaptertest.NewBus()
		bus.Counting = true
		a, _ := start(t, bus, "a", adaptertest.NewHost("/"))
		b, _ := start(t, bus, "b", adaptertest.NewHost("/"))
		a.Add(adaptertest.NewSocket("client"))
		bus.Cut("a")
		begin := time.Now()
		infos, err := a.FetchSockets(t.Context(), adapter.Selector{})
		if len(infos) != 1 || err == nil || time.Since(begin) != 5*time.Second {
			t.Errorf("fetched %d sockets, %v, in %v", len(infos), err, time.Since(begin))
		}
		expectCount(t, b, 1)
	})
}

// stuckHost delivers nothing until it is freed.
type stuckHost struct {
	*adaptertest.Host
	stuck atomic.Bool
	free  chan struct{}
}

func (h *stuckHost) Deliver(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket]) {
	h.stuck.Store(true)
	<-h.free
	h.Host.Deliver(p, flags, to)
}

// TestQueueIsBounded holds that a node that does not read costs no more than
// its queue, delays nobody, and gets what was queued.
func TestQueueIsBounded(t *testing.T) {
	bus := adaptertest.NewBus()
	bus.Counting = true
	a, backend := start(t, bus, "a", adaptertest.NewHost("/"))
	host := &stuckHost{Host: adaptertest.NewHost("/"), free: make(chan struct{})}
	b, _ := start(t, bus, "b", host)
	s := adaptertest.NewSocket("client")
	b.Add(s)
	emit := func() {
		if err := a.Broadcast(&adapter.Packet{Args: []byte(`["x"]`)}, adapter.Selector{}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
	}
	emit()
	await(t, host.stuck.Load)
	const queue, beyond = 1 << 16, 10
	for range queue + beyond {
		emit()
	}
	// The own queue of a may be behind too.
	if stats := backend.Stats(); stats.Dropped < beyond || stats.Published != 1+queue+beyond {
		t.Errorf("%+v, want %d dropped", stats, beyond)
	}
	close(host.free)
	await(t, func() bool { return len(s.Received()) == 1+queue })
}

func await(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timed out")
		}
	}
}
