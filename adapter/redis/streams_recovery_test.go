//go:build unix

package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// keeper is a host whose clients may recover.
type keeper struct{ *adaptertest.Host }

func (keeper) Recovery() adapter.Recovery { return adapter.Recovery{MaxDisconnection: time.Minute} }

// recoverer is a node with recovery.
type recoverer struct {
	t testing.TB
	adapter.Recoverer
	backend *redis.Backend
	log     *logBuffer
}

func startRecoverer(t testing.TB, url string, opts ...redis.StreamOption) *recoverer {
	t.Helper()
	return startRecovererWith(t, redis.New(url, redis.WithStreams(opts...)))
}

func startRecovererWith(t testing.TB, backend *redis.Backend) *recoverer {
	t.Helper()
	n := &recoverer{t: t, backend: backend, log: &logBuffer{}}
	if err := n.backend.Start(server{n.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = n.backend.Close(ctx)
	})
	host := keeper{adaptertest.NewHost("/")}
	a, err := n.backend.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	host.Use(a)
	n.Recoverer = a.(adapter.Recoverer)
	return n.ready()
}

func (n *recoverer) ready() *recoverer {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.backend.Ready(ctx); err != nil {
		n.t.Fatalf("%v\n%s", err, n.log)
	}
	return n
}

func (n *recoverer) connect(id string, rooms ...string) *adaptertest.Socket {
	n.t.Helper()
	s := adaptertest.NewSocket(id)
	if !n.Add(s, rooms...) {
		n.t.Fatal("Add = false")
	}
	return s
}

func (n *recoverer) emit(sel adapter.Selector, flags adapter.Flags, args ...any) {
	n.t.Helper()
	begin := time.Now()
	if err := n.Broadcast(eventOf(args...), sel, flags); err != nil {
		n.t.Error(err)
	}
	if took := time.Since(begin); took > neverBlocks {
		n.t.Errorf("an emit took %v", took)
	}
}

func eventOf(args ...any) *adapter.Packet {
	b, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return &adapter.Packet{Args: b}
}

// texts returns what a socket was sent, with offsets apart.
func texts(s *adaptertest.Socket) (events, offsets []string) {
	for _, d := range s.Received() {
		event, offset := apart(d.Packet)
		events, offsets = append(events, event), append(offsets, offset)
	}
	return events, offsets
}

// apart returns the arguments and the offset, if there is one.
func apart(p *adapter.Packet) (event, offset string) {
	var args []any
	if err := json.Unmarshal(p.Args, &args); err != nil {
		return err.Error(), ""
	}
	if last, ok := args[len(args)-1].(string); ok && strings.Count(last, "-") == 1 && last > "1" && last < "2" {
		args, offset = args[:len(args)-1], last
	}
	return fmt.Sprint(args...), offset
}

func waitFor(t testing.TB, s *adaptertest.Socket, last string) (events, offsets []string) {
	t.Helper()
	eventually(t, s.ID()+" receives "+last, func() bool {
		events, offsets = texts(s)
		return slices.Contains(events, last)
	})
	return events, offsets
}

// All clients receive the events of all nodes in one order, that of their
// offsets, so that an offset says what a client has had.
func TestOffsets(t *testing.T) {
	r := runProcess(t)
	nodes := []*recoverer{startRecoverer(t, r.url()), startRecoverer(t, r.url())}
	var sockets []*adaptertest.Socket
	for i, n := range nodes {
		sockets = append(sockets, n.connect(fmt.Sprint("socket", i), "room"))
	}
	const count = 500
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			for k := range count {
				n.emit(adapter.Selector{Rooms: []string{"room"}}, adapter.Flags{}, "n", i, k)
			}
			n.emit(adapter.Selector{}, adapter.Flags{}, "end", i)
		})
	}
	wg.Wait()
	var first []string
	for _, s := range sockets {
		waitFor(t, s, "end0")
		events, offsets := waitFor(t, s, "end1")
		if len(events) != 2*count+2 {
			t.Errorf("%s received %d events", s.ID(), len(events))
		}
		if first == nil {
			first = offsets
		}
		if !slices.Equal(offsets, first) || slices.Contains(offsets, "") {
			t.Errorf("%s received the offsets %.200q, another %.200q", s.ID(), offsets, first)
		}
	}
	if stats := nodes[0].backend.Stats(); stats.Malformed+stats.Dropped+stats.Lost != 0 || stats.Published != count+1 {
		t.Errorf("%+v", stats)
	}
}

// Only what can be recovered carries an offset, and nothing overtakes it.
func TestOrderAroundOffsets(t *testing.T) {
	r := runProcess(t)
	n := startRecoverer(t, r.url())
	s := n.connect("s", "room")
	s.Answer(func(*adapter.Packet) *adapter.Packet { return eventOf("yes") })
	all := adapter.Selector{}
	n.emit(all, adapter.Flags{}, "kept", 1)
	n.emit(all, adapter.Flags{Volatile: true}, "volatile")
	n.emit(adapter.Selector{Local: true}, adapter.Flags{}, "local")
	n.emit(all, adapter.Flags{}, "kept", 2)
	if _, err := n.BroadcastWithAck(t.Context(), eventOf("asked"), all, adapter.Flags{}); err != nil {
		t.Error(err)
	}
	n.emit(adapter.Selector{Rooms: []string{"room"}}, adapter.Flags{}, "room")
	if err := n.DelSockets(adapter.Selector{Rooms: []string{"s"}}, []string{"room"}); err != nil {
		t.Error(err)
	}
	n.emit(adapter.Selector{Rooms: []string{"room"}}, adapter.Flags{}, "left")
	n.emit(all, adapter.Flags{}, "last word")
	n.DelAll(s)
	events, offsets := texts(s)
	if want := "kept1 volatile local kept2 asked room last word"; strings.Join(events, " ") != want {
		t.Errorf("received %q", events)
	}
	for i, event := range events {
		if kept := strings.HasPrefix(event, "kept"); kept != (offsets[i] != "") {
			if event != "room" && event != "last word" { // either, as it happens
				t.Errorf("%s has the offset %q", event, offsets[i])
			}
		}
	}
}

// What a node had to drop is missing from the stream: nobody recovers past it.
func TestNoSessionAcrossDroppedEvents(t *testing.T) {
	r := runProcess(t)
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	a := startRecovererWith(t, redis.New(r.url(), redis.WithStreams(), redis.WithBacklog(5, 1<<20)))
	b := startRecoverer(t, r.url())
	p := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer p.Close()
	c := newClient(t, b, "client")
	a.emit(adapter.Selector{}, adapter.Flags{}, "n", 0, 0)
	waitFor(t, c.socket, "n0 0")
	c.cut(b, 0)
	awaitStored(t, store, c)
	// Entries are refused, not the rest.
	if err := p.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		a.emit(adapter.Selector{}, adapter.Flags{}, "n", 0, 1+i)
	}
	if err := p.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	watcher := b.connect("watcher")
	a.emit(adapter.Selector{}, adapter.Flags{}, "last")
	waitFor(t, watcher, "last")
	if a.backend.Stats().Dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	if c.back(b) {
		t.Error("recovered without what was dropped")
	}
}

// client is one that loses its connection and comes back, on any node.
type client struct {
	t       testing.TB
	id      string
	socket  *adaptertest.Socket
	missed  []*adapter.Packet // what it got when it came back, before socket
	ledger  []string
	offset  string
	lost    int // how often it was not recovered
	session adapter.Session
}

// cut ends the connection, on which the last events got lost.
func (c *client) cut(n *recoverer, lose int) {
	n.PersistSession(c.session)
	n.DelAll(c.socket)
	packets := c.missed
	for _, d := range c.socket.Received() {
		packets = append(packets, d.Packet)
	}
	for _, p := range packets[:max(0, len(packets)-lose)] {
		event, offset := apart(p)
		c.ledger = append(c.ledger, event)
		if offset != "" {
			c.offset = offset
		}
	}
}

// back recovers the session on a node, or begins another one.
func (c *client) back(n *recoverer) (recovered bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	c.socket, c.missed = adaptertest.NewSocket(c.id), nil
	err := n.RestoreSession(ctx, c.session.PrivateID, c.offset, func(s adapter.Session, packets []*adapter.Packet) {
		if s.SocketID != c.id || !slices.Equal(s.Rooms, c.session.Rooms) || string(s.Data) != string(c.session.Data) {
			c.t.Errorf("session is %+v", s)
		}
		c.missed = packets
		n.Add(c.socket, s.Rooms...)
	})
	if err == nil {
		return true
	}
	c.lost++
	c.ledger = append(c.ledger, "gap")
	n.Add(c.socket, c.session.Rooms...)
	return false
}

// check fails unless the numbers of each sender are in order and whole, but
// for gaps.
func (c *client) check() {
	c.t.Helper()
	next := make(map[string]int)
	for _, event := range c.ledger {
		if event == "gap" {
			clear(next)
			continue
		}
		var sender, number int
		if _, err := fmt.Sscanf(event, "n%d %d", &sender, &number); err != nil {
			c.t.Fatalf("%s received %q", c.id, event)
		}
		key := fmt.Sprint(sender)
		if want, ok := next[key]; ok && number != want {
			c.t.Fatalf("%s received %d of sender %d, want %d", c.id, number, sender, want)
		}
		next[key] = number + 1
	}
}

func newClient(t testing.TB, n *recoverer, id string) *client {
	c := &client{t: t, id: id, session: adapter.Session{
		PrivateID: "private " + id, SocketID: id, Rooms: []string{"room"}, Data: json.RawMessage(`{"user":1}`),
	}}
	c.socket = n.connect(id, "room")
	return c
}

// awaitStored waits until Redis has the session of a client.
func awaitStored(t testing.TB, redis *goredis.Client, c *client) {
	t.Helper()
	eventually(t, "the session is stored", func() bool {
		return redis.Exists(context.Background(), "sio:session:"+c.session.PrivateID).Val() == 1
	})
}

// Clients that move between nodes under load miss nothing, and get nothing
// twice.
func TestRecoveryUnderLoad(t *testing.T) {
	r := runProcess(t)
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	nodes := []*recoverer{startRecoverer(t, r.url()), startRecoverer(t, r.url())}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i, n := range nodes {
		senders.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				n.emit(adapter.Selector{Rooms: []string{"room"}}, adapter.Flags{}, "n", i, k)
			}
		})
	}
	c := newClient(t, nodes[0], "mover")
	for round := range 30 {
		eventually(t, "something is received", func() bool { return len(c.socket.Received()) > 5 })
		c.cut(nodes[round%2], round%5)
		awaitStored(t, store, c)
		if !c.back(nodes[(round+1+round/7)%2]) {
			t.Fatalf("round %d: not recovered", round)
		}
		if (round+1+round/7)%2 != (round+1)%2 { // stay where the next round looks
			c.cut(nodes[(round+1+round/7)%2], 0)
			awaitStored(t, store, c)
			if !c.back(nodes[(round+1)%2]) {
				t.Fatalf("round %d: not recovered on the same node", round)
			}
		}
	}
	close(stop)
	senders.Wait()
	c.cut(nodes[0], 0)
	c.check()
	t.Logf("%d events", len(c.ledger))
}

func TestNoSession(t *testing.T) {
	r := runProcess(t)
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	n := startRecoverer(t, r.url(), redis.StreamMaxLen(10))
	keep := func() *client {
		c := newClient(t, n, "c")
		n.emit(adapter.Selector{}, adapter.Flags{}, "first")
		waitFor(t, c.socket, "first")
		c.cut(n, 0)
		awaitStored(t, store, c)
		return c
	}
	refused := func(name, privateID, offset string) {
		t.Helper()
		err := n.RestoreSession(t.Context(), privateID, offset, func(adapter.Session, []*adapter.Packet) { t.Errorf("%s: admitted", name) })
		if !errors.Is(err, adapter.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, offset := range []string{"", "x", "1", "-", "1-", "-1", "01-0", "1-0-0", "1-x", "+1-0", "18446744073709551616-0"} {
		refused("offset "+offset, "private c", offset)
	}
	c := keep()
	refused("another's", "private d", c.offset)
	refused("unknown offset", "private c", "1-0")
	refused("a second time", "private c", c.offset)

	c = keep()
	if !c.back(n) {
		t.Error("not recovered")
	}
	n.DelAll(c.socket)
	refused("taken already", "private c", c.offset)

	c = keep()
	for i := range 300 { // Redis trims a hundred at a time
		n.emit(adapter.Selector{}, adapter.Flags{}, "n", i)
	}
	eventually(t, "all are published", func() bool { return n.backend.Stats().Published >= 303 })
	refused("trimmed", "private c", c.offset)

	c = keep()
	if err := store.Set(t.Context(), "sio:session:private c", "!", 0).Err(); err != nil {
		t.Fatal(err)
	}
	refused("poisoned", "private c", c.offset)
	if ttl := store.PTTL(t.Context(), "sio:session:private c").Val(); ttl > 0 {
		t.Errorf("the poisoned session is left")
	}
	c = keep()
	if ttl := store.PTTL(t.Context(), "sio:session:private c").Val(); ttl <= 50*time.Second || ttl > time.Minute {
		t.Errorf("the session is kept for %v", ttl)
	}
}

// While Redis is away clients of this node get events at once and without
// offset. No session is recovered for which those could be missing or doubled;
// afterwards all is as before.
func TestRecoveryDuringOutages(t *testing.T) {
	t.Parallel()
	for _, outage := range []struct {
		name       string
		begin, end func(*process)
	}{
		{"stopped", (*process).pause, (*process).resume},
		{"killed", (*process).stop, (*process).restart},
	} {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t, "--appendonly", "yes", "--dir", t.TempDir())
			a, b := startRecoverer(t, r.url()), startRecoverer(t, r.url())
			room := adapter.Selector{Rooms: []string{"room"}}
			c, quiet := newClient(t, a, "client"), newClient(t, a, "quiet")
			emitted := 0
			emit := func() {
				a.emit(room, adapter.Flags{}, "n", 0, emitted)
				emitted++
			}
			received := func(s *adaptertest.Socket) (offset string) {
				t.Helper()
				last := fmt.Sprintf("n0 %d", emitted-1)
				events, offsets := waitFor(t, s, last)
				return offsets[slices.Index(events, last)]
			}
			emit()
			if received(c.socket) == "" {
				t.Error("no offset before the outage")
			}
			received(quiet.socket)

			outage.begin(r)
			emit()
			begin := time.Now()
			if offset := received(c.socket); offset != "" {
				t.Errorf("the offset %s while Redis is away", offset)
			}
			t.Logf("without Redis, an event arrived after %v", time.Since(begin))
			eventually(t, "the outage is noticed", func() bool { return !a.backend.Stats().Connected })
			begin = time.Now()
			emit()
			received(c.socket)
			if took := time.Since(begin); took > offsetWait {
				t.Errorf("while Redis is known to be away an event took %v", took)
			}
			a.PersistSession(quiet.session) // which is not kept
			quiet.cut(a, 1)
			outage.end(r)
			a.ready()
			b.ready()
			if quiet.back(b) {
				t.Error("a session was recovered of which it is not known what its client has had")
			}
			// The end of the outage is when an event has its offset again.
			eventually(t, "an offset comes", func() bool {
				emit()
				return received(c.socket) != ""
			})
			store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
			defer store.Close()
			c.cut(a, 0)
			awaitStored(t, store, c)
			emit()
			if !c.back(b) {
				t.Error("not recovered after the outage")
			}
			emit()
			received(c.socket)
			c.cut(b, 0)
			c.check()
			if want := emitted; len(c.ledger) != want {
				t.Errorf("%d events, want %d", len(c.ledger), want)
			}
		})
	}
}

// offsetWait is for how long an event may wait for its offset, and time for a
// loaded machine.
const offsetWait = 300 * time.Millisecond

// Whatever is restored while Redis comes and goes is whole.
func TestRecoveryWhileRedisComesAndGoes(t *testing.T) {
	t.Parallel()
	r := runProcess(t, "--appendonly", "yes", "--dir", t.TempDir())
	store := goredis.NewClient(&goredis.Options{Addr: r.addr(), MaxRetries: -1})
	defer store.Close()
	nodes := []*recoverer{startRecoverer(t, r.url()), startRecoverer(t, r.url())}
	stop := make(chan struct{})
	var background sync.WaitGroup
	for i, n := range nodes {
		background.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				n.emit(adapter.Selector{Rooms: []string{"room"}}, adapter.Flags{}, "n", i, k)
			}
		})
	}
	background.Go(func() {
		for {
			for _, kind := range []string{"normal", "pubsub"} {
				_ = store.ClientKillByFilter(context.Background(), "TYPE", kind, "SKIPME", "yes").Err()
			}
			select {
			case <-stop:
				return
			case <-time.After(400 * time.Millisecond):
			}
		}
	})
	clients := make([]*client, 4)
	for i := range clients {
		clients[i] = newClient(t, nodes[i%2], fmt.Sprint("client", i))
	}
	for round := range 40 {
		for i, c := range clients {
			at, to := (round+i)%2, (round+i+1)%2
			c.cut(nodes[at], round%4)
			time.Sleep(20 * time.Millisecond)
			c.back(nodes[to])
		}
		time.Sleep(30 * time.Millisecond)
	}
	close(stop)
	background.Wait()
	for i, c := range clients {
		c.cut(nodes[i%2], 0)
		c.check()
		t.Logf("%s: %d events, %d times not recovered", c.id, len(c.ledger), c.lost)
	}
}
