package adaptertest_test

import (
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// A node that hangs is one that heartbeats have not found dead yet; they do so
// far later than a node that lives could be silent.
func TestHeartbeatBusFaults(t *testing.T) {
	adaptertest.RunFaults(t, func(*testing.T) adaptertest.Faults {
		bus := adaptertest.NewBus()
		bus.Config = cluster.Config{HeartbeatInterval: 200 * time.Millisecond, HeartbeatTimeout: 4 * time.Second}
		faults := faultsOf(bus)
		faults.Hang = bus.Cut
		return faults
	}, adaptertest.Abilities{})
}

func TestCountingBusFaults(t *testing.T) {
	adaptertest.RunFaults(t, func(*testing.T) adaptertest.Faults {
		bus := adaptertest.NewBus()
		bus.Counting = true
		return faultsOf(bus)
	}, adaptertest.Abilities{})
}

func faultsOf(bus *adaptertest.Bus) adaptertest.Faults {
	return adaptertest.Faults{
		Backend:       func(string) adapter.Backend { return bus.Backend() },
		Kill:          bus.Cut,
		RepeatAnswers: bus.RepeatAnswers,
		Poison: func() int {
			for _, m := range senseless {
				bus.Inject("/", m)
			}
			return 0 // messages of this bus have no form that could be wrong
		},
	}
}

// senseless are messages that no node publishes.
var senseless = []*cluster.Message{
	nil,
	{},
	{Type: 200, Sender: "stranger"},
	{Type: cluster.Broadcast, Sender: "stranger"},
	{Type: cluster.Broadcast, Sender: "stranger", RequestID: "x"},
	{Type: cluster.AddSockets},
	{Type: cluster.DelSockets, Selector: adapter.Selector{Rooms: []string{"nobody"}}},
	{Type: cluster.FetchSockets},
	{Type: cluster.ListRooms},
	{Type: cluster.ServerSideEmit, RequestID: "x"},
	{Type: cluster.BroadcastCount, RequestID: "x", Count: -1},
	{Type: cluster.BroadcastAnswer, RequestID: "x"},
	{Type: cluster.FetchAnswer},
	{Type: cluster.ListRoomsAnswer, Rooms: []string{"x"}},
	{Type: cluster.ServerSideEmitAnswer, To: "stranger"},
	{Type: cluster.Goodbye},
	{Type: cluster.Goodbye, Sender: "stranger"},
}
