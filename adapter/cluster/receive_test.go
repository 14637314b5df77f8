package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// TestPoison gives a node messages that no sane one sends. It may neither
// answer nor act nor fall, and goes on working.
func TestPoison(t *testing.T) {
	bus := &scripted{}
	a, host, s := newNode(t, bus)
	bus.one(t, cluster.Hello)
	messages := []*cluster.Message{
		nil,
		{},
		{Type: 255, Sender: "x", RequestID: "r"},
		{Type: cluster.Broadcast},
		{Type: cluster.Broadcast, Sender: "x", RequestID: "r"},
		{Type: cluster.Broadcast, Sender: "me", Packet: packet},
		{Type: cluster.ServerSideEmit, Sender: "x"},
		{Type: cluster.ServerSideEmit, Sender: "x", RequestID: "r"},
		{Type: cluster.FetchSockets, Sender: "x"},
		{Type: cluster.ListRooms, Sender: "x"},
		{Type: cluster.DisconnectSockets, Sender: "me"},
		{Type: cluster.AddSockets, Sender: "x"},
		{Type: cluster.DelSockets, Sender: "x", Rooms: []string{"client", ""}},
		{Type: cluster.Goodbye},
		{Type: cluster.Goodbye, Sender: "unknown"},
		{Type: cluster.BroadcastCount, Sender: "x", RequestID: "unknown", Count: -1},
		{Type: cluster.BroadcastAnswer, Sender: "x", RequestID: ""},
		{Type: cluster.FetchAnswer, Sender: "x", To: "me", RequestID: "unknown"},
		{Type: cluster.ServerSideEmitAnswer, To: "me"},
		{Type: cluster.ListRoomsAnswer, To: "you"},
	}
	for _, m := range messages {
		a.Receive(m)
	}
	if got := bus.take(); len(got) != 0 {
		t.Errorf("answered %+v", got)
	}
	if len(s.Received()) != 0 || len(host.Events()) != 0 {
		t.Error("something was delivered")
	}
	if got := s.Membership().Rooms(); !slices.Equal(got, []string{"client", "room"}) {
		t.Errorf("the client is in %q", got)
	}
	if n, err := a.ServerCount(t.Context()); n != 1 || err != nil {
		t.Errorf("ServerCount = %d, %v", n, err)
	}
	a.Receive(&cluster.Message{Type: cluster.Broadcast, Sender: "x", Packet: packet, Selector: adapter.Selector{Local: true}})
	if got := len(s.Received()); got != 1 {
		t.Errorf("received %d packets afterwards, want 1", got)
	}
}

func TestAnswersRequests(t *testing.T) {
	tests := []struct {
		name    string
		request cluster.Message
		want    []cluster.Type
	}{
		{"fetch", cluster.Message{Type: cluster.FetchSockets}, []cluster.Type{cluster.FetchAnswer}},
		{"fetch nobody", cluster.Message{Type: cluster.FetchSockets, Selector: adapter.Selector{Rooms: []string{"z"}}}, []cluster.Type{cluster.FetchAnswer}},
		{"rooms", cluster.Message{Type: cluster.ListRooms}, []cluster.Type{cluster.ListRoomsAnswer}},
		{"event", cluster.Message{Type: cluster.ServerSideEmit, Packet: packet}, []cluster.Type{cluster.ServerSideEmitAnswer}},
		{"broadcast", cluster.Message{Type: cluster.Broadcast, Packet: packet}, []cluster.Type{cluster.BroadcastCount, cluster.BroadcastAnswer}},
		{"broadcast to nobody", cluster.Message{Type: cluster.Broadcast, Packet: packet, Selector: adapter.Selector{Rooms: []string{"z"}}}, []cluster.Type{cluster.BroadcastCount}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bus := &scripted{}
			a, host, _ := newNode(t, bus)
			bus.one(t, cluster.Hello)
			host.AnswerEvents(func(p *adapter.Packet) *adapter.Packet { return p })
			m := tt.request
			m.Sender, m.RequestID = "x", "r"
			a.Receive(&m)
			var got []cluster.Type
			for _, p := range bus.take() {
				got = append(got, p.Type)
				if p.To != "x" || p.RequestID != "r" || p.Sender != "me" {
					t.Errorf("answered %+v", p)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("answered with %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAcksAreNumbered holds that answers of clients, at whatever time they come,
// follow their count with growing numbers.
func TestAcksAreNumbered(t *testing.T) {
	bus := &scripted{}
	a, host, _ := newNode(t, bus)
	const clients = 50
	for i := range clients - 1 {
		s := adaptertest.NewSocket(fmt.Sprint("client", i))
		s.Answer(func(p *adapter.Packet) *adapter.Packet { return p })
		a.Add(s)
	}
	bus.take()
	a.Receive(&cluster.Message{Type: cluster.Broadcast, Sender: "x", RequestID: "r", Packet: packet})
	host.Wait()
	published := bus.take()
	if len(published) != clients+1 || published[0].Type != cluster.BroadcastCount || published[0].Count != clients {
		t.Fatalf("%d messages, the first %+v", len(published), published[0])
	}
	for i, m := range published[1:] {
		if m.Type != cluster.BroadcastAnswer || m.Count != i+1 {
			t.Errorf("answer %d is of type %d, number %d", i+1, m.Type, m.Count)
		}
	}
}

// TestSilentClient holds that a node says nothing for a client that does not
// answer, and asks no longer than the sender waits.
func TestSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &scripted{}
		a, _, s := newNode(t, bus)
		s.Answer(nil)
		bus.take()
		a.Receive(&cluster.Message{Type: cluster.Broadcast, Sender: "x", RequestID: "r", Packet: packet, Timeout: time.Second})
		time.Sleep(2 * time.Second)
		if m := bus.one(t, cluster.BroadcastCount); m.Count != 1 {
			t.Errorf("counted %d clients", m.Count)
		}
	})
}

// TestLocalStays holds that a call for this node alone never reaches the bus.
func TestLocalStays(t *testing.T) {
	bus := &scripted{}
	a, _, s := newNode(t, bus)
	a.Receive(&cluster.Message{Type: cluster.Hello, Sender: "x"})
	bus.take()
	local := adapter.Selector{Local: true}
	ctx := t.Context()
	errs := []error{
		a.Broadcast(packet, local, adapter.Flags{}),
		a.AddSockets(local, []string{"r"}),
		a.DelSockets(local, []string{"r"}),
	}
	packets, err := a.BroadcastWithAck(ctx, packet, local, adapter.Flags{})
	errs = append(errs, err)
	infos, err := a.FetchSockets(ctx, local)
	errs = append(errs, err, a.DisconnectSockets(local, false))
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if len(packets) != 1 || len(infos) != 1 || len(s.Received()) != 2 {
		t.Errorf("%d answers, %d sockets, %d packets", len(packets), len(infos), len(s.Received()))
	}
	if got := bus.take(); len(got) != 0 {
		t.Errorf("published %+v", got)
	}
}

// TestPublishes holds that what is published says what was asked for.
func TestPublishes(t *testing.T) {
	bus := &scripted{}
	a, _, _ := newNode(t, bus)
	bus.take()
	sel := adapter.Selector{Rooms: []string{"a"}, Except: []string{"b"}}
	flags := adapter.Flags{Volatile: true}

	_ = a.Broadcast(packet, sel, flags)
	m := bus.one(t, cluster.Broadcast)
	if m.Packet != packet || m.Flags != flags || m.RequestID != "" || !slices.Equal(m.Selector.Except, sel.Except) {
		t.Errorf("Broadcast published %+v", m)
	}
	_ = a.AddSockets(sel, []string{"c"})
	if m := bus.one(t, cluster.AddSockets); !slices.Equal(m.Rooms, []string{"c"}) || !slices.Equal(m.Selector.Rooms, sel.Rooms) {
		t.Errorf("AddSockets published %+v", m)
	}
	_ = a.DelSockets(sel, []string{"c"})
	if m := bus.one(t, cluster.DelSockets); !slices.Equal(m.Rooms, []string{"c"}) {
		t.Errorf("DelSockets published %+v", m)
	}
	_ = a.DisconnectSockets(sel, true)
	if m := bus.one(t, cluster.DisconnectSockets); !m.CloseConn {
		t.Errorf("DisconnectSockets published %+v", m)
	}
	_ = a.ServerSideEmit(packet)
	if m := bus.one(t, cluster.ServerSideEmit); m.Packet != packet || m.RequestID != "" {
		t.Errorf("ServerSideEmit published %+v", m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.BroadcastWithAck(ctx, packet, sel, flags); !errors.Is(err, context.Canceled) || len(bus.take()) != 0 {
		t.Errorf("BroadcastWithAck with a context that has ended: %v", err)
	}
}

func TestRandomNodeID(t *testing.T) {
	bus := &scripted{}
	for range 2 {
		if err := cluster.New(adaptertest.NewHost("/"), bus, cluster.Config{}).Close(); err != nil {
			t.Error(err)
		}
	}
	got := bus.take()
	if len(got) != 4 || got[0].Sender == "" || got[0].Sender == got[2].Sender || got[0].Sender != got[1].Sender {
		t.Errorf("published %+v", got)
	}
}
