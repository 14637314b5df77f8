//go:build unix

package redis_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// outage is something that happens to Redis, under load on two nodes.
type outage struct {
	name string
	act  func(t *testing.T, r *process, p *redistest.Proxy, nodes []*sending)

	// lossless says that it costs nothing. Any other may cost what was under
	// way: Redis had taken it, and a node did not hear it any more, or not
	// again.
	lossless bool

	proxied bool // the nodes are connected through the proxy
	rounds  int  // 0 for three
}

func away(t *testing.T, nodes []*sending) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, n.name+" notices the outage", func() bool { return !n.backend.Status().Connected })
	}
}

// resetting ends all connections again and again, until both nodes have
// noticed.
func resetting(t *testing.T, nodes []*sending, reset func()) {
	t.Helper()
	var before [2]uint64
	for i, n := range nodes {
		before[i] = n.backend.Stats().Reconnects
	}
	for range 3 {
		reset()
		time.Sleep(50 * time.Millisecond)
	}
	for i, n := range nodes {
		eventually(t, n.name+" has noticed the loss", func() bool { return n.backend.Stats().Reconnects > before[i] })
	}
}

var outages = []outage{
	{name: "killed", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
		r.stop() // with SIGKILL; it comes back empty
		away(t, nodes)
		time.Sleep(300 * time.Millisecond)
		r.restart()
	}},
	// Here the pauses between attempts have grown to their longest.
	{name: "killed for long", rounds: 2, act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
		r.stop()
		away(t, nodes)
		time.Sleep(3500 * time.Millisecond)
		r.restart()
	}},
	{name: "stopped", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
		r.pause()
		away(t, nodes)
		r.resume()
	}},
	{name: "connections closed", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		resetting(t, nodes, func() { killConnections(t, client) })
	}},
	{name: "connections reset", proxied: true, act: func(t *testing.T, _ *process, p *redistest.Proxy, nodes []*sending) {
		resetting(t, nodes, p.Reset)
	}},
	{name: "full", lossless: true, act: func(t *testing.T, r *process, _ *redistest.Proxy, _ []*sending) {
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		configure(t, client, "maxmemory", "1mb")
		time.Sleep(300 * time.Millisecond)
		configure(t, client, "maxmemory", "0")
	}},
	{name: "password changed", act: func(t *testing.T, r *process, _ *redistest.Proxy, nodes []*sending) {
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		// The connections that there are go on; new ones are refused.
		configure(t, client, "requirepass", "changed")
		killConnections(t, client)
		away(t, nodes)
		eventually(t, "the log says why", func() bool {
			return strings.Contains(fmt.Sprint(nodes[0].backend.Status().Err), "NOAUTH")
		})
		configure(t, client, "requirepass", "")
	}},
}

func configure(t *testing.T, client *goredis.Client, name, value string) {
	t.Helper()
	if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestLedger holds what is promised of Pub/Sub, whatever happens to Redis,
// under load on both nodes: each node delivers its own events at once, all of
// them and in order; those of the other at most once and in order, and all of
// them but what was under way in an outage; each was taken by Redis or is
// counted as dropped; and delivery across nodes comes back by itself within
// seconds.
func TestLedger(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		for _, o := range outages {
			t.Run(f.name+" "+o.name, func(t *testing.T) {
				t.Parallel()
				testLedger(t, o, f.opts)
			})
		}
	}
}

func testLedger(t *testing.T, o outage, opts []redis.Option) {
	r := runProcess(t)
	p := redistest.RunProxy(t, r.addr())
	url := r.url()
	if o.proxied {
		url = "redis://" + p.Addr()
	}
	var nodes [2]*node
	var histories [2]history
	for i := range nodes {
		b := redis.New(url, opts...)
		b.OnStatus(histories[i].add)
		nodes[i] = start(t, b, nodeOptions{})
	}
	for _, n := range nodes {
		n.ready()
	}
	l := startLedger(t, nodes[0], nodes[1])
	for range cmp.Or(o.rounds, 3) {
		l.outage(func() { o.act(t, r, p, l.nodes) })
	}
	missing := l.finish()
	l.checkCounts()
	for i, n := range l.nodes {
		dropped := l.nodes[1-i].backend.Stats().Dropped
		if o.lossless && (missing[i] > 0 || dropped > 0) {
			t.Errorf("%s lost %d, and %d are counted\n%s", n.name, missing[i], dropped, n.log)
		}
		checkHistory(t, &histories[i], n.node)
	}
	if _, err := nodes[0].adapter.FetchSockets(t.Context(), adapter.Selector{}); err != nil {
		t.Errorf("calls fail: %v", err)
	}
}

// checkHistory fails unless a node was told of one change for every line in its
// log, and is connected.
func checkHistory(t *testing.T, h *history, n *node) {
	t.Helper()
	changes := func() int {
		return n.log.count("connected\"") + n.log.count("connection lost") + n.log.count("connection resumed")
	}
	eventually(t, "all changes are told", func() bool { return len(h.all()) == changes() })
	for i, s := range h.all() {
		if s.Connected != (i%2 == 0) {
			t.Fatalf("told %+v", h.all())
		}
	}
	if !n.backend.Status().Connected {
		t.Errorf("%+v", n.backend.Status())
	}
}
