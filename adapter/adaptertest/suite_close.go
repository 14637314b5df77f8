package adaptertest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/roomspan/roomspan/adapter"
)

// testNodeLeaves holds that a node that has closed its back-end is neither
// counted nor waited for.
func testNodeLeaves(t *testing.T, f *fixture) {
	f.close(f.nodes[2])
	f.awaitCount(2, f.nodes[:2]...)
	f.answerAll()
	n := f.nodes[0]
	if !f.cannot.NoFetchSockets {
		infos, err := n.FetchSockets(f.context(), adapter.Selector{})
		if err != nil || len(infos) != 4 {
			t.Errorf("fetched %d sockets, %v, want 4", len(infos), err)
		}
	}
	if !f.cannot.NoBroadcastWithAck {
		packets, err := n.BroadcastWithAck(f.context(), event("question"), adapter.Selector{}, adapter.Flags{})
		if want := []string{"a0", "a1", "b0", "b1"}; err != nil || !slices.Equal(firstStrings(packets), want) {
			t.Errorf("%q answered, %v, want %q", firstStrings(packets), err, want)
		}
	}
	if !f.cannot.NoRooms {
		if _, err := n.Rooms(f.context()); err != nil {
			t.Errorf("Rooms: %v", err)
		}
	}
}

// testAfterClose holds that a closed node does nothing and says so, and that
// its sockets can still be taken out of its index.
func testAfterClose(t *testing.T, f *fixture) {
	n := f.nodes[0]
	f.close(n)
	p, sel := event("late"), adapter.Selector{}
	calls := map[string]func(context.Context) error{
		"Broadcast":         func(context.Context) error { return n.Broadcast(p, sel, adapter.Flags{}) },
		"AddSockets":        func(context.Context) error { return n.AddSockets(sel, []string{"late"}) },
		"DelSockets":        func(context.Context) error { return n.DelSockets(sel, []string{"both"}) },
		"DisconnectSockets": func(context.Context) error { return n.DisconnectSockets(sel, true) },
		"ServerSideEmit":    func(context.Context) error { return n.ServerSideEmit(p) },
		"BroadcastWithAck": func(ctx context.Context) error {
			_, err := n.BroadcastWithAck(ctx, p, sel, adapter.Flags{})
			return err
		},
		"FetchSockets":          func(ctx context.Context) error { _, err := n.FetchSockets(ctx, sel); return err },
		"Rooms":                 func(ctx context.Context) error { _, err := n.Rooms(ctx); return err },
		"ServerSideEmitWithAck": func(ctx context.Context) error { _, err := n.ServerSideEmitWithAck(ctx, p); return err },
		"ServerCount":           func(ctx context.Context) error { _, err := n.ServerCount(ctx); return err },
		"Ready":                 n.backend.Ready,
		"Open":                  func(context.Context) error { _, err := n.backend.Open(NewHost("/late")); return err },
	}
	for name, call := range calls {
		if err := call(f.context()); !errors.Is(err, adapter.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if n.Add(NewSocket("late")) {
		t.Error("Add after Close = true")
	}
	n.DelAll(f.sockets["a0"])
	if rooms := f.sockets["a0"].Membership().Rooms(); rooms != nil {
		t.Errorf("a0 is in %q after DelAll", rooms)
	}
	f.must(n.Close())
	f.close(n)
	if n.backend.Stats().Connected {
		t.Error("a closed back-end is connected")
	}
	for id := range f.sockets {
		if got := f.received(id); len(got) != 0 {
			t.Errorf("%s received %s of a closed node", id, got[0].Args)
		}
		if gone, _ := f.sockets[id].Disconnected(); gone {
			t.Errorf("%s was disconnected by a closed node", id)
		}
	}
}
