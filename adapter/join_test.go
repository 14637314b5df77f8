package adapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// TestJoinedRecoversNothing holds that a node in several fleets does not claim
// to keep what its clients miss, and gives packets no offsets, also if a
// back-end could.
func TestJoinedRecoversNothing(t *testing.T) {
	b := adapter.Join(adapter.Named("keeps", adapter.Memory()), adapter.Named("bus", adaptertest.NewBus().Backend()))
	host := adaptertest.NewHost("/")
	host.Recover(adapter.Recovery{MaxDisconnection: time.Minute, MaxPackets: 10, MaxBytes: 1000, MaxSessions: 10})
	if err := b.Start(&joinedNode{name: "node"}); err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	a, err := b.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.(adapter.Recoverer); ok {
		t.Error("the adapter is a Recoverer")
	}
	s := adaptertest.NewSocket("client")
	a.Add(s)
	if err := a.Broadcast(argument("event"), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Received(); len(got) != 1 || string(got[0].Packet.Args) != `["event"]` {
		t.Errorf("received %+v", got)
	}
}

var lastJoined atomic.Int64

// joinedNode is a node with one namespace and one socket, which has its name.
type joinedNode struct {
	adapter.Adapter
	name    string
	backend adapter.Backend
	host    *adaptertest.Host
	socket  *adaptertest.Socket
}

func (n *joinedNode) NodeID() string       { return n.name }
func (n *joinedNode) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func startJoined(t *testing.T, name string, b adapter.Backend) *joinedNode {
	t.Helper()
	n := &joinedNode{name: fmt.Sprint(name, lastJoined.Add(1)), backend: b, host: adaptertest.NewHost("/"), socket: adaptertest.NewSocket(name)}
	if err := b.Start(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
		n.host.Wait()
	})
	a, err := b.Open(n.host)
	if err != nil {
		t.Fatal(err)
	}
	n.Adapter = a
	n.host.Use(a)
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return argument(name) })
	n.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return argument(name) })
	if !a.Add(n.socket, name, "room") {
		t.Fatal("Add = false")
	}
	return n
}

func argument(v any) *adapter.Packet {
	b, err := json.Marshal([]any{v})
	if err != nil {
		panic(err)
	}
	return &adapter.Packet{Args: b}
}

func texts(packets []*adapter.Packet) []string {
	got := []string{}
	for _, p := range packets {
		got = append(got, string(p.Args))
	}
	slices.Sort(got)
	return got
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// fleets are two nodes in the fleets a and b, of which one names them in the
// other order, one in a alone and one in b alone.
func fleets(t *testing.T) map[string]*joinedNode {
	t.Helper()
	one, two := adaptertest.NewBus(), adaptertest.NewBus()
	a, b := func() adapter.Backend { return adapter.Named("a", one.Backend()) }, func() adapter.Backend { return adapter.Named("b", two.Backend()) }
	nodes := map[string]*joinedNode{
		"x":  startJoined(t, "x", adapter.Join(a(), b())),
		"y":  startJoined(t, "y", adapter.Join(b(), a())),
		"in": startJoined(t, "in", a()),
		"is": startJoined(t, "is", b()),
	}
	for name, want := range map[string]int{"x": 5, "y": 5, "in": 3, "is": 3} {
		until(t, "nodes know each other", func() bool {
			n, err := nodes[name].ServerCount(t.Context())
			return err == nil && n == want
		})
	}
	return nodes
}

// reach is who hears of whom: there is no bridge between the nodes of one
// fleet alone.
var reach = map[string][]string{
	"x":  {"in", "is", "x", "y"},
	"y":  {"in", "is", "x", "y"},
	"in": {"in", "x", "y"},
	"is": {"is", "x", "y"},
}

func TestJoinBroadcast(t *testing.T) {
	nodes := fleets(t)
	const count = 300
	want := map[string]int{}
	for from, hearers := range reach {
		for i := range count {
			sel := adapter.Selector{}
			if i%2 == 1 {
				sel.Rooms = []string{"room"}
			}
			if err := nodes[from].Broadcast(argument(fmt.Sprint(from, i)), sel, adapter.Flags{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, to := range hearers {
			want[to] += count
		}
	}
	for name, n := range nodes {
		until(t, name+" has all", func() bool { return len(n.socket.Received()) >= want[name] })
	}
	time.Sleep(50 * time.Millisecond) // for what must not come
	for name, n := range nodes {
		next := map[string]int{}
		for _, d := range n.socket.Received() {
			var args []string
			if err := json.Unmarshal(d.Packet.Args, &args); err != nil {
				t.Fatal(err)
			}
			from := args[0][:1]
			if args[0][0] == 'i' {
				from = args[0][:2]
			}
			if args[0] != fmt.Sprint(from, next[from]) {
				t.Fatalf("%s received %s, want number %d", name, args[0], next[from])
			}
			next[from]++
		}
		if got := len(n.socket.Received()); got != want[name] {
			t.Errorf("%s received %d events, want %d", name, got, want[name])
		}
	}
}

func TestJoinQueries(t *testing.T) {
	nodes := fleets(t)
	for from, hearers := range reach {
		n := nodes[from]
		answers, rooms, others := []string{}, []string{"room"}, []string{}
		for _, name := range hearers {
			answers = append(answers, `["`+name+`"]`)
			if name != from {
				others = append(others, `["`+name+`"]`)
				// Rooms leaves out ids of this node alone.
			}
		}
		begin := time.Now()
		packets, err := n.BroadcastWithAck(t.Context(), argument("question"), adapter.Selector{}, adapter.Flags{})
		if got := texts(packets); err != nil || !slices.Equal(got, answers) {
			t.Errorf("%s: %q answered, %v, want %q", from, got, err, answers)
		}
		infos, err := n.FetchSockets(t.Context(), adapter.Selector{Rooms: []string{"room"}})
		ids := []string{}
		for _, info := range infos {
			ids = append(ids, info.ID)
		}
		slices.Sort(ids)
		if err != nil || !slices.Equal(ids, hearers) {
			t.Errorf("%s: fetched %q, %v, want %q", from, ids, err, hearers)
		}
		got, err := n.Rooms(t.Context())
		if err != nil || !slices.Equal(got, rooms) {
			t.Errorf("%s: rooms %q, %v, want %q", from, got, err, rooms)
		}
		packets, err = n.ServerSideEmitWithAck(t.Context(), argument("event"))
		if got := texts(packets); err != nil || !slices.Equal(got, others) {
			t.Errorf("%s: servers %q answered, %v, want %q", from, got, err, others)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("%s: took %v, as long as a deadline", from, took)
		}
	}
	for name, n := range nodes {
		asked := 0
		for _, hearers := range reach {
			if slices.Contains(hearers, name) {
				asked++
			}
		}
		if got := len(n.socket.Received()); got != asked {
			t.Errorf("the client of %s was asked %d times, want %d", name, got, asked)
		}
		if got := len(n.host.Events()); got != asked-1 {
			t.Errorf("%s has %d events of servers, want %d", name, got, asked-1)
		}
	}
}

func TestJoinRoomsAndDisconnect(t *testing.T) {
	nodes := fleets(t)
	x := nodes["x"]
	// Heard on both fleets, an old "join" would undo a new "leave".
	for range 100 {
		if err := x.AddSockets(adapter.Selector{}, []string{"vip"}); err != nil {
			t.Fatal(err)
		}
		if err := x.DelSockets(adapter.Selector{Except: []string{"is"}}, []string{"vip"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Broadcast(argument("mark"), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	for name, n := range nodes {
		until(t, name+" has the mark", func() bool { return len(n.socket.Received()) == 1 })
		if got := slices.Contains(n.socket.Membership().Rooms(), "vip"); got != (name == "is") {
			t.Errorf("%s is in vip: %v", name, got)
		}
	}
	if err := x.DisconnectSockets(adapter.Selector{Except: []string{"x"}}, true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"y", "in", "is"} {
		until(t, name+" is disconnected", func() bool { gone, _ := nodes[name].socket.Disconnected(); return gone })
	}
	if gone, _ := x.socket.Disconnected(); gone {
		t.Error("x is disconnected")
	}
}

func TestJoinConfig(t *testing.T) {
	bus := adaptertest.NewBus()
	for name, b := range map[string]adapter.Backend{
		"none":    adapter.Join(),
		"unnamed": adapter.Join(bus.Backend()),
		"empty":   adapter.Join(adapter.Named("", bus.Backend())),
		"several": adapter.Join(adapter.Named("a", adapter.Join(adapter.Named("a", bus.Backend())))),
		"equal":   adapter.Join(adapter.Named("a", bus.Backend()), adapter.Join(adapter.Named("a", bus.Backend()))),
	} {
		n := &joinedNode{name: name}
		if err := b.Start(n); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
	failing := adapter.Join(adapter.Named("good", bus.Backend()), adapter.Named("bad", refusing{bus.Backend()}))
	if err := failing.Start(&joinedNode{}); !errors.Is(err, errRefused) {
		t.Errorf("Start: %v", err)
	}
}

// watcher puts a host of its own around the one it is given, as an adapter
// does that listens to the rooms of its node.
type watcher struct {
	adapter.Host
	unwraps bool
	changes []string
}

func (w *watcher) Unwrap() adapter.Host {
	if !w.unwraps {
		return adaptertest.NewHost("/")
	}
	return w.Host
}

func (w *watcher) RoomChanged(change adapter.RoomChange, room, id string) {
	w.changes = append(w.changes, fmt.Sprint(change, " ", room, " ", id))
}

type watching struct {
	adapter.Backend
	watcher *watcher
}

func (b *watching) Open(h adapter.Host) (adapter.Adapter, error) {
	b.watcher.Host = h
	return b.Backend.Open(b.watcher)
}

// TestJoinWatchers holds that each family may watch the rooms, which are of
// one index, and that one that has an index of its own is found out.
func TestJoinWatchers(t *testing.T) {
	one, two := &watching{adapter.Memory(), &watcher{unwraps: true}}, &watching{adapter.Memory(), &watcher{unwraps: true}}
	n := startJoined(t, "n", adapter.Join(adapter.Named("one", one), adapter.Named("two", two)))
	n.Del(n.socket, "room")
	want := []string{"create-room room n", "join-room room n", "leave-room room n", "delete-room room n"}
	for _, b := range []*watching{one, two} {
		if got := b.watcher.changes; !slices.Equal(got, want) {
			t.Errorf("seen %q, want %q", got, want)
		}
	}
	n.DelAll(n.socket)
	if n.Add(n.socket, "again") {
		t.Error("Add after DelAll = true")
	}

	other := adapter.Join(adapter.Named("one", adapter.Memory()), adapter.Named("two", &watching{adapter.Memory(), &watcher{}}))
	if err := other.Start(n); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(adaptertest.NewHost("/")); err == nil {
		t.Error("an index of its own is no error")
	}
	if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// settler is an adapter whose rooms take time to be heard.
type settler struct {
	adapter.Adapter
	settled []string
}

func (s *settler) Settle(rooms ...string) { s.settled = append(s.settled, rooms...) }

type settling struct {
	adapter.Backend
	settler settler
}

func (b *settling) Open(h adapter.Host) (adapter.Adapter, error) {
	a, err := b.Backend.Open(h)
	b.settler.Adapter = a
	return &b.settler, err
}

// TestJoinSettle holds that the families which have to be waited for are.
func TestJoinSettle(t *testing.T) {
	slow := &settling{Backend: adapter.Memory()}
	n := startJoined(t, "n", adapter.Join(adapter.Named("one", adapter.Memory()), adapter.Named("two", slow)))
	n.Adapter.(adapter.Settler).Settle("a", "b")
	if got := slow.settler.settled; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("settled %q", got)
	}
}

// TestJoinStatsAndClose holds that the back-ends stand for themselves.
func TestJoinStatsAndClose(t *testing.T) {
	one, two := adaptertest.NewBus(), adaptertest.NewBus()
	b := adapter.Join(adapter.Named("one", one.Backend()), adapter.Named("two", two.Backend()))
	x := startJoined(t, "x", b)
	y := startJoined(t, "y", adapter.Named("one", one.Backend()))
	until(t, "y is counted", func() bool { n, err := x.ServerCount(t.Context()); return err == nil && n == 2 })
	before := b.Stats()
	if err := x.Broadcast(argument(1), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Published < before.Published+2 || !s.Connected {
		t.Errorf("%+v after %+v", s, before)
	}
	if err := b.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, adapter.ErrClosed) || b.Stats().Connected {
		t.Errorf("ready after Close: %v", err)
	}
	if _, err := x.FetchSockets(t.Context(), adapter.Selector{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("FetchSockets after Close: %v", err)
	}
	until(t, "x is forgotten", func() bool { n, err := y.ServerCount(t.Context()); return err == nil && n == 1 })
}

var errRefused = errors.New("refused")

type refusing struct{ adapter.Backend }

func (refusing) Start(adapter.Node) error { return errRefused }

// TestHears holds that of two nodes each hears the other in exactly one of the
// fleets that they share, in whatever order they name them.
func TestHears(t *testing.T) {
	plain := adaptertest.NewHost("/")
	if got := adapter.NodeID(plain, "id"); got != "id" || !adapter.Hears(plain, "x.00000000") {
		t.Errorf("a node of one fleet is %q", got)
	}
	for _, mine := range [][]string{{"a", "b"}, {"b", "c", "a"}, {"c"}, {"d", "c", "b", "a"}} {
		for _, theirs := range [][]string{{"b", "a"}, {"a", "c"}, {"c", "b"}, {"d"}, {"a"}} {
			sender := ""
			for _, h := range hosts(t, theirs) {
				sender = adapter.NodeID(h, "sender")
			}
			heard, shared := 0, 0
			for name, h := range hosts(t, mine) {
				if slices.Contains(theirs, name) {
					shared++
					if adapter.Hears(h, sender) {
						heard++
					}
				}
			}
			if heard != min(shared, 1) {
				t.Errorf("a node in %q hears one in %q %d times", mine, theirs, heard)
			}
		}
	}
}

// spy is a back-end that keeps the host it is given.
type spy struct {
	adapter.Backend
	host adapter.Host
}

func (s *spy) Open(h adapter.Host) (adapter.Adapter, error) {
	s.host = h
	return s.Backend.Open(h)
}

// hosts returns those that the families of a node in several fleets get.
func hosts(t *testing.T, names []string) map[string]adapter.Host {
	t.Helper()
	got := map[string]adapter.Host{}
	var backends []adapter.Backend
	var spies []*spy
	for _, name := range names {
		s := &spy{Backend: adapter.Memory()}
		spies = append(spies, s)
		backends = append(backends, adapter.Named(name, s))
	}
	startJoined(t, "spied", adapter.Join(backends...))
	for i, name := range names {
		got[name] = spies[i].host
	}
	return got
}
