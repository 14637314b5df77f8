//go:build unix

package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// sending is a node that emits numbered events until it is stopped, and
// measures each of them.
type sending struct {
	*node
	name  string
	stop  chan struct{}
	ended sync.WaitGroup
	sent  int
	took  []time.Duration
}

func startSending(n *node, name string) *sending {
	s := &sending{node: n, name: name, stop: make(chan struct{})}
	s.ended.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Millisecond):
			}
			s.took = append(s.took, s.emit(fmt.Sprintf(`["%s",%d]`, name, s.sent)))
			s.sent++
		}
	})
	return s
}

// ledger returns the numbers of a sender that a node has received, and fails if
// one came twice or out of order.
func (s *sending) ledger(t *testing.T, sender string) []int {
	t.Helper()
	var got []int
	for _, text := range s.host.events() {
		number := 0
		if _, err := fmt.Sscanf(text, `["`+sender+`",%d]`, &number); err != nil {
			continue
		}
		if len(got) > 0 && number <= got[len(got)-1] {
			t.Fatalf("%s received %d of %s after %d\n%s", s.name, number, sender, got[len(got)-1], s.log)
		}
		got = append(got, number)
	}
	return got
}

// outage is something that happens to Redis, under load on two nodes.
type outage struct {
	name string
	act  func(t *testing.T, r *process, nodes []*sending)

	// mayLose says that a message may be lost without being counted: Redis
	// has taken it, and a node did not hear it any more, or not again.
	mayLose bool
}

func away(t *testing.T, nodes []*sending) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, n.name+" notices the outage", func() bool { return !n.backend.Status().Connected })
	}
}

var outages = []outage{
	{"killed", func(t *testing.T, r *process, nodes []*sending) {
		r.stop() // with SIGKILL; it comes back empty
		away(t, nodes)
		time.Sleep(300 * time.Millisecond)
		r.restart()
	}, true},
	{"stopped", func(t *testing.T, r *process, nodes []*sending) {
		r.pause()
		away(t, nodes)
		r.resume()
	}, true},
	{"connections reset", func(t *testing.T, r *process, nodes []*sending) {
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		before := nodes[0].backend.Stats().Reconnects
		for range 3 {
			killConnections(t, client)
			time.Sleep(50 * time.Millisecond)
		}
		eventually(t, "the loss was noticed", func() bool { return nodes[0].backend.Stats().Reconnects > before })
	}, true},
	{"full", func(t *testing.T, r *process, _ []*sending) {
		client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
		defer client.Close()
		configure(t, client, "maxmemory", "1mb")
		time.Sleep(300 * time.Millisecond)
		configure(t, client, "maxmemory", "0")
	}, false},
	{"password changed", func(t *testing.T, r *process, nodes []*sending) {
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
	}, true},
}

func configure(t *testing.T, client *goredis.Client, name, value string) {
	t.Helper()
	if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestLedger holds what is promised of Pub/Sub, whatever happens to Redis,
// under load on both nodes: each node delivers its own events at once, all of
// them and in order; those of the other at most once and in order; each was
// taken by Redis or is counted as dropped; and delivery across nodes comes back
// by itself.
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
	var nodes []*sending
	var histories []*history
	for _, name := range []string{"a", "b"} {
		b := redis.New(r.url(), opts...)
		h := &history{}
		b.OnStatus(h.add)
		histories = append(histories, h)
		nodes = append(nodes, &sending{node: start(t, b, nodeOptions{}), name: name})
	}
	for _, n := range nodes {
		n.ready()
	}
	for i, n := range nodes {
		nodes[i] = startSending(n.node, n.name)
	}
	for range 2 {
		time.Sleep(200 * time.Millisecond)
		o.act(t, r, nodes)
		begin := time.Now()
		for _, n := range nodes {
			n.ready()
		}
		t.Logf("resumed after %v", time.Since(begin))
	}
	time.Sleep(100 * time.Millisecond)
	for _, n := range nodes {
		close(n.stop)
		n.ended.Wait()
	}
	for i, n := range nodes {
		logSpread(t, "an emit of "+n.name, n.took)
		other := nodes[1-i]
		n.wait(fmt.Sprintf(`["%s",%d]`, other.name, other.sent-1))
		if got := len(n.ledger(t, n.name)); got != n.sent {
			t.Errorf("%s delivered %d of its own %d", n.name, got, n.sent)
		}
		eventually(t, "all are counted", func() bool {
			stats := other.backend.Stats()
			return stats.Published+stats.Dropped >= uint64(other.sent)
		})
		got, stats := len(n.ledger(t, other.name)), other.backend.Stats()
		lost := other.sent - got
		t.Logf("%s received %d of %d, and %d are counted", n.name, got, other.sent, stats.Dropped)
		if uint64(lost) > stats.Dropped && !o.mayLose {
			t.Errorf("%s lost %d of %d, and %d are counted\n%s", n.name, lost, other.sent, stats.Dropped, other.log)
		}
		if stats.Published+stats.Dropped != uint64(other.sent) {
			t.Errorf("%d sent, %+v", other.sent, stats)
		}
		checkHistory(t, histories[i], n.node)
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
