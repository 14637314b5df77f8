package adaptertest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

func testFetchSockets(t *testing.T, f *fixture) {
	tests := []struct {
		name string
		sel  adapter.Selector
		want []string
	}{
		{"everyone", adapter.Selector{}, []string{"a0", "a1", "a2", "b0", "b1", "b2"}},
		{"room without one", adapter.Selector{Rooms: []string{"a", "b1"}, Except: []string{"a0"}}, []string{"a1", "a2", "b1"}},
		{"nobody", adapter.Selector{Rooms: []string{"nobody"}}, nil},
		{"here", adapter.Selector{Local: true}, []string{"a0", "b0"}},
	}
	for _, tt := range tests {
		infos, err := f.nodes[0].FetchSockets(f.context(), tt.sel)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var got []string
		for _, info := range infos {
			got = append(got, info.ID)
			f.checkInfo(info)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: fetched %q, want %q", tt.name, got, tt.want)
		}
	}
}

func (f *fixture) checkInfo(got adapter.SocketInfo) {
	f.t.Helper()
	want := NewHost("").Describe(f.sockets[got.ID])
	slices.Sort(got.Rooms)
	slices.Sort(want.Rooms)
	if !slices.Equal(got.Rooms, want.Rooms) {
		f.t.Errorf("%s is in %q, want %q", got.ID, got.Rooms, want.Rooms)
	}
	if !sameJSON(got.Handshake, want.Handshake) || !sameJSON(got.Data, want.Data) {
		f.t.Errorf("%s is described by %s and %s, want %s and %s", got.ID, got.Handshake, got.Data, want.Handshake, want.Data)
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func testRooms(t *testing.T, f *fixture) {
	f.connect(f.nodes[1], "lonely", "attic", "a0")
	got, err := f.nodes[0].Rooms(f.context())
	f.must(err)
	slices.Sort(got)
	if want := []string{"a", "attic", "both"}; !slices.Equal(got, want) {
		t.Errorf("rooms are %q, want %q", got, want)
	}
	f.nodes[1].DelAll(f.sockets["lonely"])
	got, err = f.nodes[0].Rooms(f.context())
	f.must(err)
	if slices.Contains(got, "attic") {
		t.Errorf("rooms are %q: an empty one is left", got)
	}
}

// answerAll makes every client answer with its id.
func (f *fixture) answerAll() {
	for id, s := range f.sockets {
		s.Answer(func(*adapter.Packet) *adapter.Packet { return event(id) })
	}
}

func testBroadcastWithAck(t *testing.T, f *fixture) {
	f.answerAll()
	tests := []struct {
		name string
		sel  adapter.Selector
		want []string
	}{
		{"everyone", adapter.Selector{}, []string{"a0", "a1", "a2", "b0", "b1", "b2"}},
		{"room", adapter.Selector{Rooms: []string{"a"}}, []string{"a0", "a1", "a2"}},
		{"only elsewhere", adapter.Selector{Rooms: []string{"b2"}}, []string{"b2"}},
		{"nobody", adapter.Selector{Rooms: []string{"nobody"}}, nil},
		{"here", adapter.Selector{Local: true}, []string{"a0", "b0"}},
	}
	for _, tt := range tests {
		packets, err := f.nodes[0].BroadcastWithAck(f.context(), event(tt.name), tt.sel, adapter.Flags{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := firstStrings(packets); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q answered, want %q", tt.name, got, tt.want)
		}
	}
}

func testBroadcastWithAckPartial(t *testing.T, f *fixture) {
	f.answerAll()
	f.sockets["b2"].Answer(nil)
	want := []string{"a0", "a1", "a2", "b0", "b1"}
	got := f.untilDeadline(want, 6, func(ctx context.Context) ([]*adapter.Packet, error) {
		return f.nodes[0].BroadcastWithAck(ctx, event("question"), adapter.Selector{}, adapter.Flags{})
	})
	if !slices.Equal(got, want) {
		t.Errorf("%q answered, want %q", got, want)
	}
}

// untilDeadline makes a call in which one answer is missing, with deadlines of
// growing length until the others have come in time.
func (f *fixture) untilDeadline(want []string, expected int, call func(context.Context) ([]*adapter.Packet, error)) []string {
	f.t.Helper()
	var got []string
	for timeout := 100 * time.Millisecond; timeout < patience; timeout *= 3 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		packets, err := call(ctx)
		cancel()
		var missing *adapter.MissingAnswersError
		if !errors.As(err, &missing) {
			f.t.Fatalf("error is %v, want a MissingAnswersError", err)
		}
		if missing.Received != len(packets) || missing.Expected <= missing.Received {
			f.t.Errorf("%d answers and the error %v", len(packets), err)
		}
		got = firstStrings(packets)
		if slices.Equal(got, want) {
			if missing.Expected != expected {
				f.t.Errorf("expected %d answers, want %d", missing.Expected, expected)
			}
			break
		}
	}
	return got
}

func testServerSideEmit(t *testing.T, f *fixture) {
	f.must(f.nodes[0].ServerSideEmit(event("first", 1, "x")))
	f.must(f.nodes[0].ServerSideEmit(event("second")))
	for _, n := range f.nodes[1:] {
		f.await(n.id+" has both events", func() bool { return len(n.host.Events()) >= 2 })
		got := n.host.Events()
		if len(got) != 2 || !samePacket(got[0], event("first", 1, "x")) || !samePacket(got[1], event("second")) {
			t.Errorf("%s received %d events, the first is %s", n.id, len(got), got[0].Args)
		}
	}
	if got := f.nodes[0].host.Events(); len(got) != 0 {
		t.Errorf("the sender received %d events", len(got))
	}
}

func testServerSideAnswers(t *testing.T, f *fixture) {
	for _, n := range f.nodes {
		n.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return event(n.id) })
	}
	want := []string{f.nodes[1].id, f.nodes[2].id}
	slices.Sort(want)
	packets, err := f.nodes[0].ServerSideEmitWithAck(f.context(), event("who"))
	f.must(err)
	if got := firstStrings(packets); !slices.Equal(got, want) {
		t.Errorf("%q answered, want %q", got, want)
	}

	f.nodes[1].host.AnswerEvents(nil)
	want = []string{f.nodes[2].id}
	got := f.untilDeadline(want, 2, func(ctx context.Context) ([]*adapter.Packet, error) {
		return f.nodes[0].ServerSideEmitWithAck(ctx, event("who"))
	})
	if !slices.Equal(got, want) {
		t.Errorf("%q answered, want %q", got, want)
	}
}
