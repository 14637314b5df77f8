//go:build unix

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// neverBlocks is far more than an emit takes, and far less than any time-out
// of a network.
const neverBlocks = 500 * time.Millisecond

// numbered emits first to last-1 and returns the longest time that one took.
func numbered(n *node, first, last int) (longest time.Duration) {
	n.t.Helper()
	for i := first; i < last; i++ {
		longest = max(longest, n.emit(fmt.Sprintf(`["n",%d]`, i)))
	}
	if longest > neverBlocks {
		n.t.Errorf("an emit took %v", longest)
	}
	return longest
}

// checkOrder fails unless got are the numbers from first to last-1.
func checkOrder(t *testing.T, got []string, first, last int) {
	t.Helper()
	if len(got) != last-first {
		t.Fatalf("%d messages, want %d: %.200s", len(got), last-first, fmt.Sprint(got))
	}
	for i, text := range got {
		if text != fmt.Sprintf(`["n",%d]`, first+i) {
			t.Fatalf("message %d is %s", first+i, text)
		}
	}
}

// checkRising fails if numbers came twice or out of order, or if more are
// missing than were counted.
func checkRising(t *testing.T, got []string, sent int, dropped uint64) {
	t.Helper()
	last := -1
	for _, text := range got {
		n := 0
		if _, err := fmt.Sscanf(text, `["n",%d]`, &n); err != nil || n <= last {
			t.Fatalf("%s after %d", text, last)
		}
		last = n
	}
	lost := sent - len(got)
	t.Logf("%d of %d lost, %d counted", lost, sent, dropped)
	if uint64(lost) > dropped {
		t.Errorf("%d of %d lost, %d counted", lost, sent, dropped)
	}
}

func testOutage(t *testing.T, r instance, opts ...redis.Option) {
	a := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
	b := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
	numbered(a, 0, 100)
	b.wait(`["n",99]`)

	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected && !b.backend.Stats().Connected })
	t.Logf("without Redis, the longest emit took %v", numbered(a, 100, 2100))
	if got := a.host.events(); len(got) != 2100 {
		t.Errorf("%d delivered locally", len(got))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := a.backend.Ready(ctx); err == nil {
		t.Error("ready without Redis")
	}
	begin := time.Now()
	sockets, err := a.adapter.FetchSockets(t.Context(), adapter.Selector{})
	var missing *adapter.MissingAnswersError
	if len(sockets) != 1 || !errors.As(err, &missing) || time.Since(begin) > neverBlocks {
		t.Errorf("fetched %d sockets in %v: %v", len(sockets), time.Since(begin), err)
	}

	r.restart()
	begin = time.Now()
	numbered(a, 2100, 2200)
	checkOrder(t, b.wait(`["n",2199]`), 0, 2200)
	t.Logf("the backlog arrived %v after Redis", time.Since(begin))
	a.ready()
	stats := a.backend.Stats()
	if stats.Reconnects != 1 || stats.Dropped != 0 || stats.Published != 2200 {
		t.Errorf("%+v", stats)
	}
	eventually(t, "it is logged", func() bool { return a.log.count("\n") >= 3 })
	if a.log.count("\n") != 3 || a.log.count("connection lost") != 1 || a.log.count("connection resumed") != 1 {
		t.Errorf("log:\n%s", a.log)
	}
}

func TestOutageEmbedded(t *testing.T) { testOutage(t, runEmbedded(t)) }
func TestOutageProcess(t *testing.T)  { testOutage(t, runProcess(t)) }
func TestOutageSharded(t *testing.T)  { testOutage(t, runProcess(t), redis.WithSharded(redis.Dynamic)) }

func TestBacklogIsBounded(t *testing.T) {
	r := runEmbedded(t)
	a := start(t, redis.New(r.url(), redis.WithBacklog(50, 1<<20)), nodeOptions{}).ready()
	b := start(t, redis.New(r.url()), nodeOptions{}).ready()
	numbered(a, 0, 10)
	b.wait(`["n",9]`)
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected })
	numbered(a, 10, 500)
	r.restart()
	got := b.wait(`["n",499]`)
	checkOrder(t, got[:10], 0, 10)
	checkOrder(t, got[10:], 450, 500)
	if stats := a.backend.Stats(); stats.Dropped != 440 {
		t.Errorf("%+v", stats)
	}
}

// A Redis that is stopped accepts connections and answers nothing.
func TestHang(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			testHang(t, f.opts...)
		})
	}
}

func testHang(t *testing.T, opts ...redis.Option) {
	r := runProcess(t)
	a := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
	b := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
	r.pause()
	called := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	go func() {
		_, err := a.adapter.FetchSockets(ctx, adapter.Selector{})
		called <- err
	}()
	longest := time.Duration(0)
	sent := 0
	for begin := time.Now(); a.backend.Stats().Connected; sent++ {
		if time.Since(begin) > patience {
			t.Fatal("the hang was not noticed")
		}
		longest = max(longest, numbered(a, sent, sent+1))
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case err := <-called:
		if missing := (*adapter.MissingAnswersError)(nil); !errors.As(err, &missing) {
			t.Errorf("a call that was under way: %v", err)
		}
	case <-time.After(patience):
		t.Error("a call that was under way waits on")
	}
	lost := a.backend.Stats().Dropped
	longest = max(longest, numbered(a, sent, sent+100))
	t.Logf("with Redis hanging, the longest emit took %v", longest)
	r.resume()
	begin := time.Now()
	last := fmt.Sprintf(`["n",%d]`, sent+99)
	got := b.wait(last)
	t.Logf("resumed after %v; %d of %d messages counted as lost, %d arrived", time.Since(begin), lost, sent+100, len(got))
	seen := make(map[string]bool)
	for _, text := range got {
		if seen[text] {
			t.Errorf("%s came twice", text)
		}
		seen[text] = true
	}
	if uint64(len(got))+lost < uint64(sent+100) {
		t.Errorf("%d arrived and %d counted as lost of %d", len(got), lost, sent+100)
	}
	a.ready()
}

// The connection that listens may break alone.
func TestSubscriberIsKilled(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	a := start(t, redis.New(r.url()), nodeOptions{}).ready()
	b := start(t, redis.New(r.url()), nodeOptions{}).ready()
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	if err := client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is noticed", func() bool { return a.backend.Stats().Reconnects+b.backend.Stats().Reconnects == 2 })
	a.ready()
	b.ready()
	numbered(a, 0, 10)
	checkOrder(t, b.wait(`["n",9]`), 0, 10)
}

// A connection on which nothing comes any more, though it stands, is replaced.
func TestDeafConnection(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			p := redistest.RunProxy(t, r.addr())
			n := start(t, redis.New("redis://"+p.Addr(), f.opts...), nodeOptions{}).ready()
			other := start(t, redis.New(r.url(), f.opts...), nodeOptions{}).ready()
			before := p.Accepted.Load()
			p.Deaf.Store(true)
			eventually(t, "the silence is noticed", func() bool { return !n.backend.Stats().Connected && p.Accepted.Load() > before })
			p.Deaf.Store(false)
			n.ready()
			n.emit(`["again"]`)
			other.wait(`["again"]`)
			other.emit(`["and back"]`)
			n.wait(`["and back"]`)
		})
	}
}

// A reset of all connections costs no more than what was under way.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			p := redistest.RunProxy(t, r.addr())
			a := start(t, redis.New("redis://"+p.Addr(), f.opts...), nodeOptions{}).ready()
			b := start(t, redis.New(r.url(), f.opts...), nodeOptions{}).ready()
			sent := 0
			for i := range 3 {
				numbered(a, sent, sent+100)
				sent += 100
				p.Reset()
				eventually(t, "the connection is resumed", func() bool { return a.backend.Stats().Reconnects == uint64(i+1) })
			}
			numbered(a, sent, sent+100)
			sent += 100
			checkRising(t, b.wait(fmt.Sprintf(`["n",%d]`, sent-1)), sent, a.backend.Stats().Dropped)
			for _, n := range []*node{a, b} {
				if err := n.backend.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Attempts to connect come in a slow row, however quickly they fail.
func TestNoHotLoop(t *testing.T) {
	t.Parallel()
	p := redistest.RunProxy(t, "127.0.0.1:1")
	n := start(t, redis.New("redis://"+p.Addr()), nodeOptions{})
	begin := time.Now()
	time.Sleep(1500 * time.Millisecond)
	// At most one in 50 ms, the shortest pause; fewer with its growth.
	if got, most := p.Accepted.Load(), int64(time.Since(begin)/(50*time.Millisecond)); got > most {
		t.Errorf("%d attempts", got)
	}
	if c := n.log.count("\n"); c != 1 {
		t.Errorf("log:\n%s", n.log)
	}
	if err := n.backend.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// split listens on another server than it publishes on.
type split struct {
	goredis.UniversalClient
	mu       sync.Mutex
	listen   *goredis.Client
	sessions int
}

func (s *split) Subscribe(ctx context.Context, channels ...string) *goredis.PubSub {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return s.listen.Subscribe(ctx, channels...)
}

// After a failover the old server may go on to serve the listening connection,
// where nothing arrives.
func TestListeningElsewhere(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			testListeningElsewhere(t, f.opts)
		})
	}
	t.Run("streams sharded", func(t *testing.T) {
		t.Parallel()
		testListeningElsewhere(t, []redis.Option{redis.WithStreams(redis.StreamSharded())})
	})
}

func testListeningElsewhere(t *testing.T, opts []redis.Option) {
	oldServer, newServer := runProcess(t), runProcess(t)
	old := goredis.NewClient(&goredis.Options{Addr: oldServer.addr()})
	client := goredis.NewClient(&goredis.Options{Addr: newServer.addr()})
	t.Cleanup(func() {
		_ = old.Close()
		_ = client.Close()
	})
	s := &split{UniversalClient: client, listen: old}
	n := start(t, redis.FromClient(s, opts...), nodeOptions{rooms: []string{"room"}}).ready()
	other := start(t, redis.New(newServer.url(), opts...), nodeOptions{}).ready()
	s.mu.Lock()
	s.listen = client
	s.mu.Unlock()
	eventually(t, "the subscriptions are made anew", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.sessions > 1
	})
	eventually(t, "the connection is resumed", func() bool { return n.backend.Stats().Reconnects == 1 })
	if !strings.Contains(n.log.String(), "own subscription not found") {
		t.Errorf("log:\n%s", n.log)
	}
	n.ready()
	other.emit(`["all"]`)
	other.emit(`["room"]`, "room")
	n.wait(`["all"]`, `["room"]`)
	if sockets, err := other.adapter.FetchSockets(t.Context(), adapter.Selector{}); len(sockets) != 2 || err != nil {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	if err := n.backend.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Close does not wait for a Redis that is not there, and drops what it cannot
// send.
func TestCloseWithoutRedis(t *testing.T) {
	r := runEmbedded(t)
	n := start(t, redis.New(r.url()), nodeOptions{}).ready()
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !n.backend.Stats().Connected })
	numbered(n, 0, 10)
	if err := n.backend.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := n.backend.Stats().Dropped; got != 10 {
		t.Errorf("%d counted as dropped", got)
	}
}

// Nor does it wait for longer than a time-out for one that hangs.
func TestCloseWhileHanging(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	n := start(t, redis.New(r.url()), nodeOptions{}).ready()
	r.pause()
	defer r.resume()
	numbered(n, 0, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := n.backend.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	t.Logf("Close took %v", time.Since(begin))
	if got := n.backend.Stats().Dropped; got != 10 {
		t.Errorf("%d counted as dropped", got)
	}
}

func TestVolatileIsNotKeptForAnOutage(t *testing.T) {
	r := runEmbedded(t)
	a := start(t, redis.New(r.url()), nodeOptions{}).ready()
	b := start(t, redis.New(r.url()), nodeOptions{}).ready()
	a.emit(`["before"]`) // so that a knows of b, and waits for it after the outage
	b.wait(`["before"]`)
	r.stop()
	eventually(t, "the outage is noticed", func() bool { return !a.backend.Stats().Connected })
	before := a.backend.Stats().Dropped
	volatile := adapter.Flags{Volatile: true}
	if err := a.adapter.Broadcast(&adapter.Packet{Args: []byte(`["volatile"]`)}, adapter.Selector{}, volatile); err != nil {
		t.Fatal(err)
	}
	if got := a.backend.Stats().Dropped - before; got != 1 {
		t.Errorf("%d messages counted as dropped, want 1", got)
	}
	a.emit(`["kept"]`)
	r.restart()
	if got := fmt.Sprint(b.wait(`["kept"]`)); got != `[["before"] ["kept"]]` {
		t.Errorf("delivered %s", got)
	}
}
