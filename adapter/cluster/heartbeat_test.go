package cluster_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

func expectCount(t *testing.T, a *cluster.Adapter, want int) {
	t.Helper()
	if n, err := a.ServerCount(t.Context()); n != want || err != nil {
		t.Errorf("ServerCount = %d, %v, want %d", n, err, want)
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &scripted{}
		a, _, _ := newNode(t, bus)
		bus.one(t, cluster.Hello)
		expectCount(t, a, 1)

		a.Receive(&cluster.Message{Type: cluster.Hello, Sender: "x"})
		bus.one(t, cluster.Heartbeat)
		a.Receive(&cluster.Message{Type: cluster.Heartbeat, Sender: "y"})
		a.Receive(&cluster.Message{Type: cluster.Broadcast, Sender: "an emitter", Packet: packet})
		expectCount(t, a, 3)

		time.Sleep(5*time.Second + time.Millisecond)
		bus.one(t, cluster.Heartbeat)
		time.Sleep(3 * time.Second)
		a.Receive(&cluster.Message{Type: cluster.Broadcast, Sender: "x", Packet: packet})
		time.Sleep(4 * time.Second) // y has been silent for 12 seconds, x for 4
		expectCount(t, a, 2)
		time.Sleep(8 * time.Second)
		expectCount(t, a, 1)

		a.Receive(&cluster.Message{Type: cluster.Heartbeat, Sender: "x"})
		expectCount(t, a, 2)
		a.Receive(&cluster.Message{Type: cluster.Goodbye, Sender: "x"})
		expectCount(t, a, 1)
	})
}

// TestNodeDiesWhileAsked holds that a call ends when the last node that it
// waits for is found dead, not at its deadline.
func TestNodeDiesWhileAsked(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, bus := withPeers(t, "dead")
				begin := time.Now()
				_, returned := start(t, bus, func() (int, error) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					return c.call(ctx, a)
				})
				check(t, <-returned, c.here, 0, 0, nil)
				if took := time.Since(begin); took < 10*time.Second || took > 12*time.Second {
					t.Errorf("took %v, want the time after which a node counts as dead", took)
				}
			})
		})
	}
}

// TestCounterNeedsNoHeartbeats holds that a bus that counts is not bothered.
func TestCounterNeedsNoHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &scripted{}
		a, _, _ := newNode(t, counted{bus, 2, nil})
		a.Receive(&cluster.Message{Type: cluster.Hello, Sender: "x"})
		time.Sleep(time.Minute)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if got := bus.take(); len(got) != 0 {
			t.Errorf("published %+v", got)
		}
	})
}

// silentHost is a namespace that delivers to nobody.
type silentHost struct{ *adaptertest.Host }

func (silentHost) Deliver(_ *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
	}
}

func BenchmarkReceiveBroadcast(b *testing.B) {
	for _, tt := range []struct{ name, room string }{{"wanted", "room"}, {"unwanted", "elsewhere"}} {
		b.Run(tt.name, func(b *testing.B) {
			a := cluster.New(silentHost{adaptertest.NewHost("/")}, &scripted{}, cluster.Config{NodeID: "me"})
			defer a.Close()
			a.Add(adaptertest.NewSocket("client"), "room")
			a.Receive(&cluster.Message{Type: cluster.Heartbeat, Sender: "x"})
			m := &cluster.Message{Type: cluster.Broadcast, Sender: "x", Packet: packet, Selector: adapter.Selector{Rooms: []string{tt.room}}}
			b.ReportAllocs()
			for b.Loop() {
				a.Receive(m)
			}
		})
	}
}
