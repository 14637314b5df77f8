//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// requester is a peer that numbers its entries, and asks for sockets.
type requester struct {
	t       *testing.T
	client  *goredis.Client
	answers <-chan *goredis.Message
	asked   int
}

func newRequester(t *testing.T, addr string) *requester {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	sub := client.Subscribe(t.Context(), "socket.io#/#peer#")
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close(); _ = client.Close() })
	return &requester{t: t, client: client, answers: sub.Channel()}
}

// add puts an event into the stream.
func (r *requester) add(seq int) {
	r.t.Helper()
	err := r.client.XAdd(r.t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: []string{
		"uid", "peer", "nsp", "/", "type", "3", "seq", fmt.Sprint(seq),
		"data", fmt.Sprintf(`{"packet":{"type":2,"data":["e",%d]},"opts":{"rooms":[],"except":[],"flags":{}}}`, seq),
	}}).Err()
	if err != nil {
		r.t.Fatal(err)
	}
}

// ask sends a request that follows an entry.
func (r *requester) ask(after uint64) {
	r.t.Helper()
	r.asked++
	b := msgp.AppendMapHeader(nil, 6)
	b = msgp.AppendString(msgp.AppendString(b, "unknown"), strings.Repeat("x", 1000))
	b = msgp.AppendInt(msgp.AppendString(b, "type"), 7)
	b = msgp.AppendMapHeader(msgp.AppendString(b, "data"), 2)
	b = msgp.AppendMapHeader(msgp.AppendString(b, "opts"), 3)
	b = msgp.AppendArrayHeader(msgp.AppendString(b, "rooms"), 0)
	b = msgp.AppendArrayHeader(msgp.AppendString(b, "except"), 0)
	b = msgp.AppendMapHeader(msgp.AppendString(b, "flags"), 0)
	b = msgp.AppendString(msgp.AppendString(b, "requestId"), fmt.Sprint("request", r.asked))
	b = msgp.AppendString(msgp.AppendString(b, "uid"), "peer")
	b = msgp.AppendString(msgp.AppendString(b, "nsp"), "/")
	b = msgp.AppendUint64(msgp.AppendString(b, "after"), after)
	if err := r.client.Publish(r.t.Context(), "socket.io#/#", b).Err(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *requester) answered() {
	r.t.Helper()
	select {
	case <-r.answers:
	case <-time.After(patience):
		r.t.Fatal("no answer")
	}
}

// A request waits for what its sender has put into the stream before it: not
// for longer than it may, nor with more others than may.
func TestStreamRequestWait(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts  []redis.Option
		early int // of three
	}{
		"until the entry comes": {[]redis.Option{redis.WithStreams(redis.StreamRequestWait(time.Minute))}, 0},
		"for its time":          {[]redis.Option{redis.WithStreams(redis.StreamRequestWait(time.Millisecond))}, 3},
		"not at all":            {[]redis.Option{redis.WithStreams(redis.StreamRequestWait(0))}, 3},
		"too many":              {[]redis.Option{redis.WithStreams(redis.StreamRequestWait(time.Minute)), redis.WithBacklog(2, 1<<20)}, 1},
		"too large":             {[]redis.Option{redis.WithStreams(redis.StreamRequestWait(time.Minute)), redis.WithBacklog(10, 1800)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := runProcess(t)
			n := start(t, redis.New(server.url(), tt.opts...), nodeOptions{}).ready()
			r := newRequester(t, server.addr())
			r.add(1)
			n.wait(`["e",1]`)
			r.ask(1)
			r.answered()
			for range 3 {
				r.ask(2)
			}
			for range tt.early {
				r.answered()
			}
			r.add(2)
			for range 3 - tt.early {
				r.answered()
			}
			if stats := n.backend.StreamStats(); stats.EarlyRequests != uint64(tt.early) {
				t.Errorf("%+v", stats)
			}
		})
	}
}

// A sender that is new is waited for, and one that was there before only once.
func TestStreamRequestOfUnknownSender(t *testing.T) {
	t.Parallel()
	server := runProcess(t)
	n := start(t, redis.New(server.url(), redis.WithStreams(redis.StreamRequestWait(time.Second))), nodeOptions{}).ready()
	r := newRequester(t, server.addr())
	begin := time.Now()
	r.ask(7)
	r.answered()
	if took := time.Since(begin); took < time.Second/2 {
		t.Errorf("answered after %v", took)
	}
	begin = time.Now()
	for range 100 {
		r.ask(7)
		r.answered()
	}
	t.Logf("a hundred more took %v", time.Since(begin)) // with a wait each: more than patience
	for i := range 10 {
		e := start(t, redis.New(server.url(), redis.WithStreams()), nodeOptions{}).ready()
		room := fmt.Sprint("room", i)
		if err := e.adapter.AddSockets(adapter.Selector{}, []string{room}); err != nil {
			t.Fatal(err)
		}
		sockets, err := e.adapter.FetchSockets(t.Context(), adapter.Selector{Rooms: []string{room}})
		if err != nil || len(sockets) != 2+i {
			t.Errorf("%d sockets in %s, %v", len(sockets), room, err)
		}
	}
	if stats := n.backend.StreamStats(); stats.EarlyRequests != 0 {
		t.Errorf("%+v", stats)
	}
}

// One session does not cost more reading than is allowed.
func TestStreamRestoreLimit(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	n := startRecoverer(t, r.url(), patient, redis.StreamRestoreLimit(10))
	for i, missed := range []int{10, 11} {
		c := newClient(t, n, fmt.Sprint("client", i))
		n.emit(adapter.Selector{}, adapter.Flags{}, "before")
		waitFor(t, c.socket, "before")
		c.cut(n, 0)
		awaitStored(t, store, c)
		for k := range missed {
			n.emit(adapter.Selector{}, adapter.Flags{}, "n", i, k)
		}
		watcher := n.connect(fmt.Sprint("watcher", i))
		eventually(t, "all are in the stream", func() bool {
			return store.XLen(context.Background(), "socket.io").Val() == int64([]int{11, 23}[i])
		})
		if recovered := c.back(n); recovered != (missed <= 10) {
			t.Errorf("%d missed: recovered = %v", missed, recovered)
		}
		n.DelAll(watcher)
	}
	if stats := n.backend.StreamStats(); stats.SessionsNotRestored != 1 {
		t.Errorf("%+v", stats)
	}
}

// What a failover lost is missing from the stream, though clients have had it:
// nobody recovers past it.
func TestNoSessionAcrossFailover(t *testing.T) {
	t.Parallel()
	for name, goesOn := range map[string]bool{"the stream goes on": true, "the stream goes back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			store := goredis.NewClient(&goredis.Options{Addr: r.addr(), MaxRetries: -1})
			defer store.Close()
			a, b := startRecoverer(t, r.url(), patient), startRecoverer(t, r.url(), patient)
			watcher := a.connect("watcher")
			c := newClient(t, a, "client")
			event := 0
			emit := func() string {
				b.emit(adapter.Selector{}, adapter.Flags{}, "n", 0, event)
				event++
				return fmt.Sprintf("n0 %d", event-1)
			}
			waitFor(t, watcher, emit())
			waitFor(t, c.socket, "n0 0")
			c.cut(a, 0)
			awaitStored(t, store, c)
			waitFor(t, watcher, emit()) // which the next server has not
			_, offsets := texts(watcher)
			if err := store.XDel(t.Context(), "socket.io", offsets[1]).Err(); err != nil {
				t.Fatal(err)
			}
			if !goesOn {
				if err := store.Do(t.Context(), "xsetid", "socket.io", offsets[0]).Err(); err != nil {
					t.Fatal(err)
				}
			}
			before := a.backend.Stats().Reconnects
			killConnections(t, store)
			eventually(t, "the loss is noticed", func() bool { return a.backend.Stats().Reconnects > before })
			a.ready()
			waitFor(t, watcher, emit())
			if c.back(a) {
				t.Error("recovered without what the failover lost")
			}
			// All is as before.
			waitFor(t, c.socket, emit())
			c.cut(a, 0)
			awaitStored(t, store, c)
			waitFor(t, watcher, emit())
			if !c.back(a) {
				t.Error("not recovered")
			}
			c.cut(a, 0)
			c.check()
		})
	}
}

// A session that was kept before Redis is killed is recovered when it is back
// with what it had on its disk, on another node, and nothing is missing.
func TestRecoveryAcrossRestart(t *testing.T) {
	t.Parallel()
	r := runProcess(t, "--appendonly", "yes", "--dir", t.TempDir())
	store := goredis.NewClient(&goredis.Options{Addr: r.addr(), MaxRetries: -1})
	defer store.Close()
	a, b := startRecoverer(t, r.url(), patient), startRecoverer(t, r.url(), patient)
	c := newClient(t, a, "client")
	sent := 0
	emit := func(n *recoverer, count int) {
		for range count {
			n.emit(adapter.Selector{}, adapter.Flags{}, "n", 0, sent)
			sent++
		}
	}
	emit(b, 10)
	waitFor(t, c.socket, "n0 9")
	c.cut(a, 3)
	awaitStored(t, store, c)
	emit(b, 10)
	watcher := b.connect("watcher")
	eventually(t, "all are in the stream", func() bool { return store.XLen(t.Context(), "socket.io").Val() == 20 })
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected && !b.backend.Stats().Connected })
	emit(b, 10)
	r.restart()
	a.ready()
	b.ready()
	emit(b, 10)
	waitFor(t, watcher, "n0 39")
	if !c.back(a) {
		t.Fatal("not recovered")
	}
	emit(b, 10)
	waitFor(t, c.socket, "n0 49")
	c.cut(a, 0)
	c.check()
	if len(c.ledger) != sent {
		t.Errorf("%d events, want %d", len(c.ledger), sent)
	}
}
