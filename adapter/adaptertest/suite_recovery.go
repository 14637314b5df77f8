package adaptertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

func testOffsets(t *testing.T, f *recovery) {
	w := f.guest("witness")
	f.emit(adapter.Selector{}, "one")
	f.emit(adapter.Selector{}, "two", 2, "text")
	f.must(w.node.Broadcast(event("volatile"), adapter.Selector{Local: true}, adapter.Flags{Volatile: true}))
	f.emit(adapter.Selector{Rooms: []string{"witness"}}, "three", []any{1})
	f.witness("witness", 4)
	w.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event("answer") })
	if _, err := w.node.BroadcastWithAck(f.context(), event("ask"), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Error(err)
	}
	seen := make(map[string]bool)
	for _, d := range w.socket.Received() {
		args := decode(d.Packet)
		want := map[any]int{"one": 2, "two": 4, "volatile": 1, "three": 3, "ask": 1}[args[0]]
		if len(args) != want {
			t.Errorf("delivered %s", d.Packet.Args)
			continue
		}
		if offset, ok := offsetOf(d.Packet); ok {
			if seen[offset] || offset == "" || offset == "text" {
				t.Errorf("%s does not end with a new offset", d.Packet.Args)
			}
			seen[offset] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d offsets", len(seen))
	}
}

func testMissed(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest", "room", "both")
	f.emit(adapter.Selector{}, "before")
	f.witness("witness", 1)
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	id, many := []string{"guest"}, make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprint("none", i)
	}
	f.emit(adapter.Selector{}, "all")
	f.emit(adapter.Selector{Rooms: []string{"room"}}, "room")
	f.emit(adapter.Selector{Rooms: []string{"other"}}, "!other room")
	f.emit(adapter.Selector{Rooms: []string{"other", "both"}, Except: many}, "one of the rooms")
	f.emit(adapter.Selector{Rooms: append(slices.Clone(many), "room")}, "one of many")
	f.emit(adapter.Selector{Rooms: id}, "id")
	f.emit(adapter.Selector{Rooms: []string{"witness"}}, "!other id")
	f.emit(adapter.Selector{Except: id}, "!all but the id")
	f.emit(adapter.Selector{Except: []string{"other", "room"}}, "!all but the room")
	f.emit(adapter.Selector{Rooms: []string{"room"}, Except: []string{"both"}}, "!room but a room")
	f.emit(adapter.Selector{Except: []string{"other"}}, "all but another room")
	binary := &adapter.Packet{Args: []byte(`["binary",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 0}}}
	f.must(f.next().Broadcast(binary, adapter.Selector{}, adapter.Flags{}))
	for _, n := range f.nodes {
		f.must(n.Broadcast(event("!volatile"), adapter.Selector{}, adapter.Flags{Volatile: true}))
	}
	f.emit(adapter.Selector{}, "last")
	f.await("witness has the last", func() bool {
		return slices.ContainsFunc(f.sockets["witness"].Received(), func(d Delivery) bool { return decode(d.Packet)[0] == "last" })
	})
	g.mustRestore()
	f.emit(adapter.Selector{Rooms: []string{"both"}}, "after")
	f.witness("guest", 1)
	g.receive(0)
	want := []string{"before", "all", "room", "one of the rooms", "one of many", "id", "all but another room", "binary", "last", "after"}
	got := g.names()
	if len(f.nodes) > 1 { // nodes overtake each other
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the client has %q, want %q", got, want)
	}
	for _, p := range g.packets {
		if _, ok := offsetOf(p); !ok || strings.HasPrefix(string(p.Args), `["!`) {
			t.Errorf("the client has %s", p.Args)
		}
		if decode(p)[0] == "binary" && !slices.EqualFunc(p.Attachments, binary.Attachments, slices.Equal[[]byte]) {
			t.Errorf("the attachments are %v", p.Attachments)
		}
	}
}

func testInFlight(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	for i := range 10 {
		f.must(f.nodes[0].Broadcast(event(i), adapter.Selector{}, adapter.Flags{}))
	}
	f.witness("witness", 10)
	f.witness("guest", 10)
	g.receive(4)
	g.cut()
	for i := 10; i < 15; i++ {
		f.must(f.nodes[0].Broadcast(event(i), adapter.Selector{}, adapter.Flags{}))
	}
	f.witness("witness", 15)
	g.mustRestore()
	for i := range 15 {
		if names := g.names(); len(names) != 15 || names[i] != fmt.Sprint(i) {
			t.Fatalf("the client has %q", names)
		}
	}
}

func testTakenOnce(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	n, calls := f.next(), 0
	for want := 1; want <= 2; want++ {
		f.await("the session is found", func() bool {
			err := n.Adapter.(adapter.Recoverer).RestoreSession(f.context(), g.privateID(), g.offset,
				func(adapter.Session, []*adapter.Packet) bool { calls++; return false })
			return err == nil
		})
		if calls != want {
			t.Errorf("admit was called %d times, want %d", calls, want)
		}
	}
	g.mustRestore()
	if err := g.restore(); !errors.Is(err, adapter.ErrNoSession) {
		t.Errorf("restored a second time: %v", err)
	}
	f.emit(adapter.Selector{}, "second")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	g.mustRestore() // it may be cut off again
	if names := g.names(); !slices.Equal(names, []string{"first", "second"}) {
		t.Errorf("the client has %q", names)
	}
}

func testUnknown(t *testing.T, f *recovery) {
	f.guest("witness")
	f.emit(adapter.Selector{}, "first")
	f.witness("witness", 1)
	stranger := &guest{f: f, id: "stranger"}
	for _, offset := range []string{"", "1", "0-1"} {
		if err := stranger.restore(offset); !errors.Is(err, adapter.ErrNoSession) {
			t.Errorf("restored a session that there is not: %v", err)
		}
	}
	for i, offset := range []string{"zzzzzz", "99999999999999-0", "no offset", "-1", "\x00", strings.Repeat("9", 200)} {
		g := f.guest(fmt.Sprint("guest", i))
		f.emit(adapter.Selector{Rooms: []string{g.id}}, "mine")
		f.witness(g.id, 1)
		g.receive(0)
		g.cut()
		if err := g.restore(offset); !errors.Is(err, adapter.ErrNoSession) {
			t.Errorf("restored from the offset %q: %v", offset, err)
		}
	}
}

func testExpired(t *testing.T, f *recovery) {
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	time.Sleep(500 * time.Millisecond)
	if err := g.restore(); !errors.Is(err, adapter.ErrNoSession) {
		t.Errorf("restored after its time: %v", err)
	}
}

func testAllOrNothing(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	for i := range 50 {
		f.emit(adapter.Selector{}, i)
	}
	f.witness("witness", 51)
	switch err := g.restore(); {
	case err == nil && len(g.packets) != 51:
		t.Errorf("restored with %d of 50 missed packets", len(g.packets)-1)
	case err != nil && !errors.Is(err, adapter.ErrNoSession):
		t.Error(err)
	}
}

// testExactlyOnce cuts clients off again and again, with packets under way,
// while every node sends numbered events. Who is not restored begins anew.
func testExactlyOnce(t *testing.T, f *recovery) {
	const rounds, guests = 30, 3
	f.guest("witness", "room")
	clients := make([]*guest, guests)
	for i := range clients {
		clients[i] = f.guest(fmt.Sprint("guest", i), "room", fmt.Sprint("own", i))
	}
	finish := f.sendNumbers()
	defer finish() // also if a client is not restored
	restored := 0
	for range rounds {
		for _, g := range clients {
			g.begun()
			g.receive(rand.IntN(20))
			g.cut()
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			if g.restoreOrBegin() {
				restored++
			}
		}
	}
	counts := finish()
	t.Logf("restored %d of %d, of %d events", restored, rounds*guests, counts)
	if restored < rounds*guests/2 {
		t.Errorf("only %d of %d are restored", restored, rounds*guests)
	}
	all := 0
	for _, count := range counts {
		all += count
	}
	f.witness("witness", all)
	clients = append(clients, &guest{f: f, id: "witness", socket: f.sockets["witness"]})
	for _, g := range clients {
		g.checkNumbers(counts)
	}
}

// sendNumbers has every node send numbered events until finish is called, and
// one more then, which comes to whoever is connected. finish returns how many
// each has sent.
func (f *recovery) sendNumbers() (finish func() []int) {
	stop, counts := make(chan struct{}), make([]int, len(f.nodes))
	var senders sync.WaitGroup
	for i, n := range f.nodes {
		senders.Go(func() {
			for last := false; !last; {
				select {
				case <-stop:
					last = true
				default:
				}
				k := counts[i]
				sel := adapter.Selector{Except: []string{"nobody"}}
				if k%2 == 1 {
					sel.Rooms = []string{"room"}
					time.Sleep(time.Millisecond)
				}
				if err := n.Broadcast(event(i, k), sel, adapter.Flags{}); err != nil {
					f.t.Errorf("Broadcast: %v", err)
				}
				counts[i]++
			}
		})
	}
	return sync.OnceValue(func() []int {
		close(stop)
		senders.Wait()
		return counts
	})
}

// begun waits until a client that is new has been sent so much that it has an
// offset, whatever is lost of it: without one it is never restored.
func (g *guest) begun() {
	g.f.t.Helper()
	if g.offset == "" {
		g.f.await(g.id+" has begun", func() bool { return len(g.socket.Received()) > 20 })
	}
}

// checkNumbers waits until the client has the last number of each node, and
// fails if one is missing, comes twice, or out of order.
func (g *guest) checkNumbers(counts []int) {
	g.f.t.Helper()
	next := make([]int, len(g.f.nodes))
	g.f.await(g.id+" has the last of each node", func() bool {
		ends := 0
		for _, p := range append(slices.Clone(g.packets), g.sent()...) {
			if args := decode(p); args[1] == float64(counts[int(args[0].(float64))]-1) {
				ends++
			}
		}
		return ends >= len(next)
	})
	g.receive(0)
	for _, p := range g.packets {
		args := decode(p)
		sender, k := int(args[0].(float64)), int(args[1].(float64))
		if first := g.fresh && next[sender] == 0; !first && k != next[sender] {
			g.f.t.Errorf("%s has event %d of node %d, want %d", g.id, k, sender, next[sender])
			return
		}
		next[sender] = k + 1
	}
}
