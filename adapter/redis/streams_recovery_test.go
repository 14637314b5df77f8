//go:build unix

package redis_test

import (
	"context"
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

// All clients receive the events of all nodes in one order, that of their
// offsets, so that an offset says what a client has had.
func TestOffsets(t *testing.T) {
	r := runProcess(t)
	nodes := []*recoverer{startRecoverer(t, r.url(), patient), startRecoverer(t, r.url(), patient)}
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
	n := startRecoverer(t, r.url(), patient)
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
	b := startRecoverer(t, r.url(), patient)
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

// Clients that move between nodes under load miss nothing, and get nothing
// twice.
func TestRecoveryUnderLoad(t *testing.T) {
	r := runProcess(t)
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	nodes := []*recoverer{startRecoverer(t, r.url(), patient), startRecoverer(t, r.url(), patient)}
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
		err := n.RestoreSession(t.Context(), privateID, offset, func(adapter.Session, []*adapter.Packet) bool {
			t.Errorf("%s: admitted", name)
			return true
		})
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
	keep()
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
			wait := redis.StreamOffsetWait(offsetWait)
			a, b := startRecoverer(t, r.url(), wait), startRecoverer(t, r.url(), wait)
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
			if stats := a.backend.StreamStats(); stats.WithoutOffset != 2 || stats.SessionsNotKept != 2 {
				t.Errorf("%+v", stats)
			}
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

// offsetWait is for how long an event may wait for its offset: not so short that
// a loaded machine takes longer without an outage.
const offsetWait = 3 * time.Second

// patient is for what must have its offset on the most loaded machine.
var patient = redis.StreamOffsetWait(time.Minute)

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
