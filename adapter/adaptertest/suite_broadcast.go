package adaptertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/adapter"
)

func testSelectors(t *testing.T, f *fixture) {
	f.connect(f.nodes[2], "visitor", "a0", "glob*")
	many := []string{"a", "a0", "b1", "both"}
	for i := range 12 {
		many = append(many, fmt.Sprintf("empty%d", i))
	}
	all := []string{"a0", "a1", "a2", "b0", "b1", "b2", "visitor"}
	tests := []struct {
		name string
		sel  adapter.Selector
		want []string
	}{
		{"everyone", adapter.Selector{}, all},
		{"a room", adapter.Selector{Rooms: []string{"a"}}, []string{"a0", "a1", "a2"}},
		{"two rooms reach each once", adapter.Selector{Rooms: []string{"a", "both", "a"}}, all[:6]},
		{"many rooms reach each once", adapter.Selector{Rooms: many}, all},
		{"unknown room", adapter.Selector{Rooms: []string{"nobody"}}, nil},
		{"pattern is no room", adapter.Selector{Rooms: []string{"*"}}, nil},
		{"room with a star", adapter.Selector{Rooms: []string{"glob*"}}, []string{"visitor"}},
		{"id on another node", adapter.Selector{Rooms: []string{"b2"}}, []string{"b2"}},
		{"id and who joined it", adapter.Selector{Rooms: []string{"a0"}}, []string{"a0", "visitor"}},
		{"id and its room", adapter.Selector{Rooms: []string{"a1", "a"}}, []string{"a0", "a1", "a2"}},
		{"all but a room", adapter.Selector{Except: []string{"a"}}, []string{"b0", "b1", "b2", "visitor"}},
		{"room but a room", adapter.Selector{Rooms: []string{"both"}, Except: []string{"a", "nobody"}}, []string{"b0", "b1", "b2"}},
		{"room but an id", adapter.Selector{Rooms: []string{"both"}, Except: []string{"a0"}}, []string{"a1", "a2", "b0", "b1", "b2"}},
		{"all but many", adapter.Selector{Except: many}, nil},
		{"id that is excepted", adapter.Selector{Rooms: []string{"b1"}, Except: []string{"both"}}, nil},
	}
	want := make(map[string][]string)
	for i, tt := range tests {
		f.must(f.nodes[i%3].Broadcast(event(tt.name), tt.sel, adapter.Flags{}))
		for _, id := range tt.want {
			want[id] = append(want[id], tt.name)
		}
	}
	for _, n := range f.nodes {
		f.settle(n)
	}
	for _, id := range all {
		slices.Sort(want[id])
		if got := firstStrings(f.received(id)); !slices.Equal(got, want[id]) {
			t.Errorf("%s received %q, want %q", id, got, want[id])
		}
	}
}

func testLocalSelector(t *testing.T, f *fixture) {
	local := adapter.Selector{Local: true}
	n := f.nodes[0]
	f.must(n.Broadcast(event("local"), local, adapter.Flags{}))
	f.must(n.AddSockets(local, []string{"joined"}))
	f.must(n.DelSockets(local, []string{"both"}))
	f.connect(n, "victim", "doomed")
	f.connect(f.nodes[1], "survivor", "doomed")
	f.must(n.DisconnectSockets(adapter.Selector{Rooms: []string{"doomed"}, Local: true}, false))
	if gone, _ := f.sockets["victim"].Disconnected(); !gone {
		t.Error("a local disconnect does not act at once")
	}
	f.settle(n)
	for _, id := range []string{"a0", "a1", "a2"} {
		here := id == "a0"
		if got := len(f.received(id)) == 1; got != here {
			t.Errorf("%s received: %v, want %v", id, got, here)
		}
		rooms := f.sockets[id].Membership().Rooms()
		if got := slices.Contains(rooms, "joined"); got != here {
			t.Errorf("%s joined: %v, want %v", id, got, here)
		}
		if got := !slices.Contains(rooms, "both"); got != here {
			t.Errorf("%s left: %v, want %v", id, got, here)
		}
	}
	if gone, _ := f.sockets["survivor"].Disconnected(); gone {
		t.Error("a local disconnect acts on another node")
	}
}

func testPackets(t *testing.T, f *fixture) {
	packets := []*adapter.Packet{
		event("none"),
		event("values", 1, -2.5, true, nil, "ünï\u2028", []any{}, map[string]any{"k": []any{"v"}}, int64(1)<<53),
		{
			Args:        []byte(`["binary",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]}]`),
			Attachments: [][]byte{{1, 2, 3, 0, 255}, {}},
		},
		{Args: []byte(`["big",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 100_000)}},
	}
	for _, p := range packets {
		f.must(f.nodes[0].Broadcast(p, adapter.Selector{}, adapter.Flags{}))
	}
	f.settle(f.nodes[0])
	for id := range f.sockets {
		got := f.received(id)
		if len(got) != len(packets) {
			t.Errorf("%s received %d packets, want %d", id, len(got), len(packets))
			continue
		}
		for i, p := range packets {
			if !samePacket(got[i], p) {
				t.Errorf("%s received %s with %d attachments, want %s", id, got[i].Args, len(got[i].Attachments), p.Args)
			}
		}
	}
}

func testFlags(t *testing.T, f *fixture) {
	flags := []adapter.Flags{{}, {Volatile: true}, {NoCompress: true}, {Volatile: true, NoCompress: true}}
	for i, fl := range flags {
		f.must(f.nodes[1].Broadcast(event("flags", i), adapter.Selector{}, fl))
	}
	f.settle(f.nodes[1])
	for id, s := range f.sockets {
		for i, fl := range flags {
			if got := s.Received()[i].Flags; got != fl {
				t.Errorf("%s received flags %+v, want %+v", id, got, fl)
			}
		}
	}
}

// testOrder holds that every socket has the events of each node in their
// order, none missing and none twice.
func testOrder(t *testing.T, f *fixture) {
	const count = 1000
	var senders sync.WaitGroup
	for i, n := range f.nodes {
		senders.Go(func() {
			for k := range count {
				sel := adapter.Selector{}
				if k%3 == 1 {
					sel.Rooms = []string{"both"}
				}
				if err := n.Broadcast(event("n", i, k), sel, adapter.Flags{}); err != nil {
					t.Errorf("Broadcast: %v", err)
				}
			}
		})
	}
	senders.Wait()
	for _, n := range f.nodes {
		f.settle(n)
	}
	for id := range f.sockets {
		next := make([]int, len(f.nodes))
		for _, p := range f.received(id) {
			args := decode(p)
			sender, k := int(args[1].(float64)), int(args[2].(float64))
			if k != next[sender] {
				t.Fatalf("%s received event %d of node %d, want %d", id, k, sender, next[sender])
			}
			next[sender]++
		}
		if !slices.Equal(next, []int{count, count, count}) {
			t.Errorf("%s received %v events", id, next)
		}
	}
}
