//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// load emits numbered events on nodes until it is ended.
type load struct {
	nodes   []*node
	stop    chan struct{}
	wg      sync.WaitGroup
	sent    []int
	longest []time.Duration
}

func startLoad(nodes ...*node) *load {
	l := &load{nodes: nodes, stop: make(chan struct{}), sent: make([]int, len(nodes)), longest: make([]time.Duration, len(nodes))}
	for i, n := range nodes {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Millisecond):
				}
				l.longest[i] = max(l.longest[i], n.emit(fmt.Sprintf(`["n",%d,%d]`, i, l.sent[i])))
				l.sent[i]++
			}
		})
	}
	return l
}

// finish ends the load and fails unless every node has had every event of
// every node once, in order.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	for _, n := range l.nodes {
		for i := range l.nodes {
			n.wait(fmt.Sprintf(`["n",%d,%d]`, i, l.sent[i]-1))
		}
		next := make([]int, len(l.nodes))
		for _, event := range n.host.events() {
			var sender, number int
			if _, err := fmt.Sscanf(event, `["n",%d,%d]`, &sender, &number); err != nil {
				t.Fatalf("received %s", event)
			}
			if number != next[sender] {
				t.Fatalf("received %d of node %d, want %d\n%s", number, sender, next[sender], n.log)
			}
			next[sender]++
		}
		if missed := n.backend.StreamStats().Missed; missed != 0 {
			t.Errorf("%d missed", missed)
		}
		if stats := n.backend.Stats(); stats.Dropped+stats.Lost+stats.Malformed != 0 || !stats.Connected {
			t.Errorf("%+v", stats)
		}
	}
	t.Logf("%d and %d events, the longest emit took %v and %v", l.sent[0], l.sent[1], l.longest[0], l.longest[1])
	for _, longest := range l.longest {
		if longest > neverBlocks {
			t.Errorf("an emit took %v", longest)
		}
	}
}

func streamNode(t testing.TB, url string, opts ...redis.StreamOption) *node {
	return start(t, redis.New(url, redis.WithStreams(opts...)), nodeOptions{}).ready()
}

// killConnections resets those of nodes, not that of the caller.
func killConnections(t testing.TB, client *goredis.Client) {
	t.Helper()
	for _, kind := range []string{"normal", "pubsub"} {
		if err := client.ClientKillByFilter(t.Context(), "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever happens to a Redis that keeps what it has: nothing is lost, nothing
// comes twice, nothing is out of order, under load on both nodes.
func TestStreamsOutages(t *testing.T) {
	t.Parallel()
	for _, outage := range []outage{
		{name: "killed", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			r.stop() // with SIGKILL
			away(t, nodes)
			time.Sleep(200 * time.Millisecond)
			r.restart()
		}},
		{name: "connections closed", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
			defer client.Close()
			for range 5 {
				killConnections(t, client)
				time.Sleep(100 * time.Millisecond)
			}
		}},
		{name: "connections reset", proxied: true, act: func(t *testing.T, _ *process, p *redistest.Proxy, nodes []*sending) {
			for range 5 {
				p.Reset()
				time.Sleep(100 * time.Millisecond)
			}
		}},
		{name: "stopped for a moment", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			r.pause()
			time.Sleep(500 * time.Millisecond)
			r.resume()
		}},
		{name: "stopped", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			r.pause()
			away(t, nodes)
			r.resume()
		}},
		{name: "password refused", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
			defer client.Close()
			r.do("acl", "setuser", "node", "resetpass", ">another")
			killConnections(t, client)
			for _, n := range nodes {
				checkNotReady(t, n.node, "WRONGPASS")
			}
			r.do("acl", "setuser", "node", "resetpass", ">secret")
		}},
		{name: "full", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
			before := make([]int, len(nodes))
			for i, n := range nodes {
				before[i] = n.log.count("entries refused")
			}
			r.do("config", "set", "maxmemory", "1")
			for i, n := range nodes {
				eventually(t, "the refusal is noticed", func() bool { return n.log.count("entries refused") > before[i] })
			}
			time.Sleep(time.Second) // the entries that wait are more than one batch
			for _, n := range nodes {
				if sockets, err := n.adapter.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(sockets) != 2 {
					t.Errorf("%d sockets while entries are refused: %v", len(sockets), err)
				}
			}
			r.do("config", "set", "maxmemory", "0")
			for _, n := range nodes {
				eventually(t, "entries are taken again", func() bool {
					return n.log.count("entries taken again") == n.log.count("entries refused")
				})
			}
		}},
	} {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t, "--appendonly", "yes", "--dir", t.TempDir(), "--user", "node", "on", ">secret", "~*", "&*", "+@all")
			p := redistest.RunProxy(t, r.addr())
			addr := r.addr()
			if outage.proxied {
				addr = p.Addr()
			}
			url := "redis://node:secret@" + addr
			l := startLedger(t, streamNode(t, url), streamNode(t, url))
			for range 3 {
				l.outage(func() { outage.act(t, r, p, l.nodes) })
			}
			if missing := l.finish(); missing != [2]int{} {
				t.Errorf("%d and %d missing", missing[0], missing[1])
			}
			for _, n := range l.nodes {
				if stats := n.backend.Stats(); stats.Dropped+stats.Lost+stats.Malformed != 0 || !stats.Connected {
					t.Errorf("%+v", stats)
				}
				if stats := n.backend.StreamStats(); stats.Missed != 0 {
					t.Errorf("%+v", stats)
				}
				if longest := slices.Max(n.took); longest > neverBlocks {
					t.Errorf("an emit took %v", longest)
				}
			}
		})
	}
}

// checkNotReady waits until a node says why it cannot reach Redis.
func checkNotReady(t *testing.T, n *node, why string) {
	t.Helper()
	eventually(t, "the node says why it is not ready", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := n.backend.Ready(ctx)
		return err != nil && strings.Contains(err.Error(), why)
	})
}

// A Redis that comes back empty is read from its start: what was emitted
// meanwhile arrives, and all that comes later.
func TestStreamsFreshRedis(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	a, b := streamNode(t, r.url()), streamNode(t, r.url())
	numbered(a, 0, 300)
	b.wait(`["n",299]`)
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected && !b.backend.Stats().Connected })
	t.Logf("without Redis, the longest emit took %v", numbered(a, 300, 2300))
	r.restart()
	begin := time.Now()
	numbered(a, 2300, 2400)
	checkOrder(t, b.wait(`["n",2399]`), 0, 2400)
	t.Logf("the backlog arrived %v after Redis", time.Since(begin))
	if stats := a.backend.Stats(); stats.Reconnects != 1 || stats.Dropped != 0 || stats.Published != 2400 {
		t.Errorf("%+v", stats)
	}
	a.ready()
	eventually(t, "it is logged", func() bool { return a.log.count("\n") >= 3 })
	if a.log.count("connection lost") != 1 || a.log.count("connection resumed") != 1 {
		t.Errorf("log:\n%s", a.log)
	}
}

// A Redis that comes back empty under load on both nodes costs nothing but what
// it had taken and a node had not read: what was emitted while it was away
// arrives, nothing comes twice or out of order, and what is lost is counted.
func TestStreamsEmptyRedis(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	l := startLedger(t, streamNode(t, r.url()), streamNode(t, r.url()))
	for range 3 {
		var noticed [2]int
		l.outage(func() {
			r.stop()
			away(t, l.nodes)
			noticed = l.sent()
			time.Sleep(300 * time.Millisecond)
			r.restart()
		})
		l.narrow(noticed)
	}
	missing := l.finish()
	for i, n := range l.nodes {
		if stats := n.backend.StreamStats(); stats.Missed != uint64(missing[i]) {
			t.Errorf("%d missing, %+v", missing[i], stats)
		}
		if stats := n.backend.Stats(); stats.Dropped+stats.Malformed != 0 || stats.Reconnects != 3 {
			t.Errorf("%+v\n%s", stats, n.log)
		}
	}
	l.checkCounts()
}

// A stream whose last id went backwards, as after a change of clocks, is read
// from its start, and one that a failover shortened from where it was.
func TestStreamGoesBackwards(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	n := streamNode(t, r.url(), redis.StreamBlock(100*time.Millisecond))
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	add := func(id, event string) {
		t.Helper()
		err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", ID: id, Values: []string{
			"uid", "emitter", "nsp", "/", "type", "3", "data", `{"packet":{"type":2,"data":["` + event + `"]},"opts":{"rooms":[],"except":[],"flags":{}}}`,
		}}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	del := func(ids ...string) {
		t.Helper()
		if err := client.XDel(t.Context(), "socket.io", ids...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	future := time.Now().Add(time.Hour).UnixMilli()
	id := func(i int64) string { return fmt.Sprintf("%d-0", future+i) }
	add(id(10), "one")
	add(id(20), "two")
	n.wait(`["two"]`)
	// As a replica would have it that has not had the second one.
	del(id(20))
	if err := client.Do(t.Context(), "xsetid", "socket.io", id(10)).Err(); err != nil {
		t.Fatal(err)
	}
	add(id(15), "three")
	n.wait(`["three"]`)
	if err := client.Del(t.Context(), "socket.io").Err(); err != nil {
		t.Fatal(err)
	}
	add("5-0", "four")
	add("*", "five")
	if got := fmt.Sprint(n.wait(`["five"]`)); got != `[["one"] ["two"] ["three"] ["four"] ["five"]]` {
		t.Errorf("received %s", got)
	}
	if c := n.log.count("went backwards"); c != 2 {
		t.Errorf("log:\n%s", n.log)
	}
	if stats := n.backend.StreamStats(); stats.Rewinds != 1 {
		t.Errorf("%+v", stats)
	}
}

// A node that was away for longer than the stream is long counts what it
// missed, and goes on.
func TestStreamsTrimmed(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	host, port, err := net.SplitHostPort(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	p := redistest.RunProxy(t, net.JoinHostPort(host, port))
	opts := []redis.StreamOption{redis.StreamMaxLen(200), redis.StreamBlock(100 * time.Millisecond)}
	a := streamNode(t, r.url(), opts...)
	b := streamNode(t, "redis://"+p.Addr(), opts...)
	numbered(a, 0, 10)
	b.wait(`["n",9]`)
	p.Deaf.Store(true)
	eventually(t, "the silence is noticed", func() bool { return !b.backend.Stats().Connected })
	numbered(a, 10, 2000)
	eventually(t, "all are published", func() bool { return a.backend.Stats().Published == 2000 })
	p.Deaf.Store(false)
	got := b.wait(`["n",1999]`)
	checkOrder(t, got[:10], 0, 10)
	lost := 2000 - len(got)
	checkOrder(t, got[10:], 10+lost, 2000)
	eventually(t, "the lost are counted", func() bool { return b.backend.Stats().Lost == uint64(lost) })
	if stats := b.backend.StreamStats(); stats.Missed != uint64(lost) {
		t.Errorf("%d lost, %+v", lost, stats)
	}
	t.Logf("%d lost", lost)
	if err := b.backend.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is emitted between the start of a node and its first read arrives, also
// if Redis comes later than both nodes.
func TestStreamsRedisComesLater(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	r.stop()
	b := start(t, redis.New(r.url(), redis.WithStreams()), nodeOptions{})
	time.Sleep(50 * time.Millisecond) // Redis counts time in milliseconds
	a := start(t, redis.New(r.url(), redis.WithStreams()), nodeOptions{})
	numbered(a, 0, 100)
	r.restart()
	a.ready()
	b.ready()
	checkOrder(t, b.wait(`["n",99]`), 0, 100)
}

// A node that starts while others emit misses nothing from then on, however
// long it takes until it reads, and however slowly entries come.
func TestStreamsFreshNode(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	a := streamNode(t, r.url())
	for round := range 5 {
		first := 100 * round
		numbered(a, first, first+50)
		eventually(t, "all are in the stream", func() bool { return a.backend.Stats().Published == uint64(first+50) })
		b := start(t, redis.New(r.url(), redis.WithStreams(redis.StreamBlock(100*time.Millisecond))), nodeOptions{})
		time.Sleep(5 * time.Millisecond) // Redis counts time in milliseconds
		for i := first + 50; i < first+100; i++ {
			numbered(a, i, i+1)
			time.Sleep(time.Millisecond)
		}
		last := fmt.Sprintf(`["n",%d]`, first+99)
		got := b.wait(last)
		if len(got) < 50 { // more if the machine is slow: the place is found by the clock
			t.Errorf("%d messages, want 50", len(got))
		}
		checkOrder(t, got, first+100-len(got), first+100)
	}
}

// A Redis that is full refuses entries. They wait, and nobody else does.
func TestStreamsFullMemory(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	a, b := streamNode(t, r.url()), streamNode(t, r.url())
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	numbered(a, 0, 10)
	b.wait(`["n",9]`)
	if err := client.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	numbered(a, 10, 100)
	eventually(t, "the refusal is noticed", func() bool { return a.log.count("entries refused") == 1 })
	if _, err := b.adapter.FetchSockets(t.Context(), adapter.Selector{}); err != nil {
		t.Errorf("requests fail too: %v", err)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	numbered(a, 100, 110)
	checkOrder(t, b.wait(`["n",109]`), 0, 110)
	if stats := a.backend.Stats(); stats.Dropped != 0 {
		t.Errorf("%+v", stats)
	}
	eventually(t, "the end is logged", func() bool { return a.log.count("entries taken again") == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.backend.Close(ctx); err != nil {
		t.Error(err)
	}
}
