package cluster_test

import (
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// TestUnreachable holds that nobody is asked who cannot be reached, and that
// the call returns at once with what this node has.
func TestUnreachable(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newReaching(3)
				a, _, _ := newNode(t, bus)
				bus.set(errBus)
				begin := time.Now()
				n, err := c.call(t.Context(), a)
				if c.answer.Type == cluster.BroadcastCount {
					check(t, result{n, err}, 1, 2, 1, errBus)
				} else {
					check(t, result{n, err}, c.here, 1, 0, errBus)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("took %v", took)
				}
				if got := bus.take(); len(got) != 0 {
					t.Errorf("published %+v", got)
				}
			})
		})
	}
}

// TestReachLost holds that a call under way returns with what has come when the
// others cannot be reached any more, but not for any lesser change.
func TestReachLost(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newReaching(3)
				a, _, _ := newNode(t, bus)
				begin := time.Now()
				request, returned := start(t, bus.scripted, func() (int, error) { return c.call(t.Context(), a) })
				first := c.answer
				if first.Type == cluster.BroadcastCount {
					first.Count = 2
				}
				answer(a, request, "x", first)
				if first.Count > 0 {
					answer(a, request, "x", cluster.Message{Type: cluster.BroadcastAnswer, Packet: packet})
				}
				bus.set(nil)
				synctest.Wait()
				waiting(t, returned)
				bus.set(errBus)
				got := <-returned
				if first.Count > 0 {
					check(t, got, 2, 3, 2, errBus)
				} else {
					check(t, got, c.here+1, 2, 1, errBus)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("took %v", took)
				}
				answer(a, request, "y", c.answer) // late
				if n := a.Pending(); n != 0 {
					t.Errorf("%d requests are left", n)
				}
			})
		})
	}
}

// slowHost is a namespace of one client, which answers after a second.
type slowHost struct{ *adaptertest.Host }

func (slowHost) Ask(p *adapter.Packet, _ adapter.Flags, _ iter.Seq[adapter.Socket], _ time.Duration, answer func(*adapter.Packet)) int {
	time.AfterFunc(time.Second, func() { answer(p) })
	return 1
}

// TestUnreachableWaitsForOwnClients holds that a client of this node may still
// answer when the other nodes cannot.
func TestUnreachableWaitsForOwnClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := newReaching(2)
		a := cluster.New(slowHost{adaptertest.NewHost("/")}, bus, cluster.Config{NodeID: "me"})
		defer a.Close()
		bus.set(errBus)
		begin := time.Now()
		packets, err := a.BroadcastWithAck(t.Context(), packet, all, adapter.Flags{})
		check(t, result{len(packets), err}, 1, 2, 1, errBus)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}
