//go:build unix

package pysocketio_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// sending is a node that emits numbered events until it is stopped.
type sending struct {
	*node
	name    string
	stop    chan struct{}
	ended   sync.WaitGroup
	sent    atomic.Int64
	longest time.Duration
	gaps    []gap
}

// gap is an outage in the numbers of the events that a node emits. Those before
// begin had arrived when it began, and those from end on were emitted after it.
// Those from kept to end waited in the backlog for the other node.
type gap struct{ begin, kept, end int }

// next returns the number of the next event.
func (s *sending) next() int { return int(s.sent.Load()) }

func startSending(n *node, name string) *sending {
	s := &sending{node: n, name: name, stop: make(chan struct{})}
	s.ended.Go(func() {
		for {
			select {
			case <-s.stop:
				return
			case <-time.After(time.Millisecond):
			}
			number := s.sent.Add(1) - 1
			begin := time.Now()
			if err := s.Broadcast(event(fmt.Sprintf(`["%s",%d]`, name, number)), adapter.Selector{}, adapter.Flags{}); err != nil {
				n.t.Error(err)
			}
			s.longest = max(s.longest, time.Since(begin))
		}
	})
	return s
}

// ledger returns the events of a sender that the socket has received, and fails
// if one came twice or out of order.
func (s *sending) ledger(t *testing.T, sender string) []int {
	t.Helper()
	var got []int
	for _, d := range s.socket.Received() {
		number := 0
		if _, err := fmt.Sscanf(string(d.Packet.Args), `["`+sender+`",%d]`, &number); err != nil {
			continue
		}
		if len(got) > 0 && number <= got[len(got)-1] {
			t.Fatalf("%s received %d of %s after %d", s.name, number, sender, got[len(got)-1])
		}
		got = append(got, number)
	}
	return got
}

// awaitNumber waits until the socket has received an event of a sender.
func (s *sending) awaitNumber(t *testing.T, sender string, number int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s receives %d of %s", s.name, number, sender), func() bool {
		got := s.ledger(t, sender)
		return len(got) > 0 && got[len(got)-1] >= number
	})
}

const (
	// settleTime is for how long a back-end waits for other nodes, when it is
	// back itself, before it sends what has waited.
	settleTime = 2 * time.Second

	// resumption is how long all may take: an attempt to connect that hangs, the
	// pause after it, and settleTime, each of 2 s, and what a busy machine needs.
	resumption = 3*2*time.Second + 5*time.Second

	// finding is how long it takes to find out what no connection tells: two
	// heartbeats after the present one.
	finding = 3 * 2 * time.Second
)

// outage is something that happens to Redis, or to the way there.
type outage struct {
	name string

	// proxied says that only the node a is concerned, which has a proxy on its
	// way to Redis. Else both are.
	proxied bool

	// unnoticed says that nothing is lost and no connection either.
	unnoticed bool

	// hidden says that it takes heartbeats to find out.
	hidden bool

	begin func(*ledgerTest)
	end   func(*ledgerTest) // nil if it is over at once
}

var outages = []outage{
	{name: "killed", begin: func(l *ledgerTest) { l.redis.stop() }, end: func(l *ledgerTest) { l.redis.restart(); l.addUser() }},
	{name: "stopped", begin: func(l *ledgerTest) { l.redis.signal(syscall.SIGSTOP) }, end: func(l *ledgerTest) { l.redis.signal(syscall.SIGCONT) }},
	{name: "connections killed", begin: func(l *ledgerTest) { l.do("client", "kill", "user", "roomspan") }},
	{name: "connections reset", proxied: true, begin: func(l *ledgerTest) { l.proxy.Reset() }},
	{name: "deaf", proxied: true, begin: func(l *ledgerTest) { l.proxy.Deaf.Store(true) }, end: func(l *ledgerTest) { l.proxy.Deaf.Store(false) }},
	{name: "unsubscribed", proxied: true, hidden: true, begin: func(l *ledgerTest) { l.proxy.Unsubscribe() }},
	{name: "refused", begin: func(l *ledgerTest) {
		// The connections that there are would go on.
		l.do("acl", "setuser", "roomspan", "resetpass", ">changed")
		l.do("client", "kill", "user", "roomspan")
	}, end: func(l *ledgerTest) {
		eventually(l.t, "the state says why", func() bool {
			return strings.Contains(fmt.Sprint(l.nodes[0].backend.Status().Err), "WRONGPASS")
		})
		l.do("acl", "setuser", "roomspan", "resetpass", ">secret")
	}},
	// Redis refuses what takes memory then, which publishing does not.
	{name: "full", unnoticed: true, begin: func(l *ledgerTest) {
		l.do("config", "set", "maxmemory", "1mb")
		if err := l.client.Set(l.t.Context(), "key", "value", 0).Err(); !goredis.HasErrorPrefix(err, "OOM") {
			l.t.Errorf("Redis is not full: %v", err)
		}
	}, end: func(l *ledgerTest) { l.do("config", "set", "maxmemory", "0") }},
}

// ledgerTest is one outage under load on both nodes.
type ledgerTest struct {
	*outage
	t      *testing.T
	redis  *process
	proxy  *redistest.Proxy
	client *goredis.Client
	nodes  [2]*sending
}

// concerns reports whether a node loses its connection.
func (l *ledgerTest) concerns(i int) bool { return !l.unnoticed && (i == 0 || !l.proxied) }

func (l *ledgerTest) do(args ...any) {
	l.t.Helper()
	if err := l.client.Do(l.t.Context(), args...).Err(); err != nil {
		l.t.Fatalf("%v: %v", args, err)
	}
}

// TestLedger holds what is promised of an outage, under load on both nodes.
// Each node delivers its own events, all and in order, and those of the other
// in order and at most once. None is missing from before and after the outage,
// nor of those that waited in the backlog. What a node did not hear in between,
// which heard all the time, the other has counted as dropped; and whatever
// was emitted was taken by Redis or counted. Delivery comes back by itself.
func TestLedger(t *testing.T) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			l := newLedgerTest(t, &o)
			for range 2 {
				l.run()
			}
			time.Sleep(200 * time.Millisecond)
			for _, n := range l.nodes {
				close(n.stop)
				n.ended.Wait()
			}
			for i := range l.nodes {
				l.check(i)
			}
		})
	}
}

func newLedgerTest(t *testing.T, o *outage) *ledgerTest {
	t.Helper()
	r := runProcess(t)
	l := &ledgerTest{outage: o, t: t, redis: r, client: goredis.NewClient(&goredis.Options{Addr: r.addr()})}
	t.Cleanup(func() { _ = l.client.Close() })
	l.addUser()
	url := "redis://roomspan:secret@" + r.addr()
	urls := [2]string{url, url}
	if o.proxied {
		l.proxy = redistest.RunProxy(t, r.addr())
		urls[0] = "redis://roomspan:secret@" + l.proxy.Addr()
	}
	var nodes [2]*node
	for i := range nodes {
		nodes[i] = start(t, pysocketio.New(urls[i]))
	}
	for i, n := range nodes {
		l.nodes[i] = startSending(n, string(rune('a'+i)))
	}
	return l
}

// addUser makes the user as whom the nodes come.
func (l *ledgerTest) addUser() {
	l.do("acl", "setuser", "roomspan", "on", ">secret", "allchannels", "+@all")
}

// run is one outage.
func (l *ledgerTest) run() {
	l.t.Helper()
	time.Sleep(200 * time.Millisecond)
	var gaps [2]gap
	var reconnects [2]uint64
	for i, n := range l.nodes {
		gaps[i].begin = n.next()
		l.nodes[1-i].awaitNumber(l.t, n.name, gaps[i].begin-1)
		reconnects[i] = n.backend.Stats().Reconnects
	}
	listeners := l.listeners()
	l.begin(l)
	if l.end == nil && !l.unnoticed {
		// A node may be connected again before it has noticed that it does not
		// hear: that is before it listens on another connection.
		eventually(l.t, "the nodes listen again", func() bool { return l.listenAgain(listeners) })
	}
	if l.end != nil {
		for i, n := range l.nodes {
			if l.concerns(i) {
				eventually(l.t, n.name+" notices the outage", func() bool { return !n.backend.Status().Connected })
			}
			gaps[i].kept = n.next()
		}
		time.Sleep(300 * time.Millisecond)
		l.end(l)
	}
	eventually(l.t, "Redis is back", func() bool { return l.client.Ping(l.t.Context()).Err() == nil })
	back := time.Now()
	for i, n := range l.nodes {
		if l.concerns(i) {
			eventually(l.t, n.name+" is back", func() bool { return n.backend.Stats().Reconnects > reconnects[i] })
		}
		n.ready()
	}
	took := time.Since(back)
	l.t.Logf("resumed %v after Redis", took)
	limit := resumption
	if l.hidden {
		limit += finding
	}
	if took > limit {
		l.t.Errorf("resumed %v after Redis, which is to take no more than %v", took, limit)
	}
	for i, n := range l.nodes {
		gaps[i].end = n.next()
		// A node that is back much later than Redis may have waited in vain for
		// the other one.
		waited := !l.concerns(1-i) || n.backend.Status().Since.Sub(back) < settleTime
		if l.end == nil || !l.concerns(i) || !waited {
			gaps[i].kept = gaps[i].end
		}
		n.gaps = append(n.gaps, gaps[i])
	}
}

// listeners returns the ids that Redis has for the connections of nodes that
// listen.
func (l *ledgerTest) listeners() []string {
	l.t.Helper()
	text, err := l.client.Do(l.t.Context(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		l.t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(text) {
		id, _, _ := strings.Cut(line, " ")
		ids = append(ids, id)
	}
	return ids
}

// listenAgain reports whether all nodes that are concerned listen on a
// connection that there was not before.
func (l *ledgerTest) listenAgain(before []string) bool {
	l.t.Helper()
	missing := 0
	for i := range l.nodes {
		if l.concerns(i) {
			missing++
		}
	}
	for _, id := range l.listeners() {
		if !slices.Contains(before, id) {
			missing--
		}
	}
	return missing <= 0
}

// check holds what became of the events of a node.
func (l *ledgerTest) check(i int) {
	l.t.Helper()
	n, other := l.nodes[i], l.nodes[1-i]
	other.awaitNumber(l.t, n.name, n.next()-1)
	if got := n.ledger(l.t, n.name); len(got) != n.next() {
		l.t.Errorf("%s delivered %d of its own %d", n.name, len(got), n.next())
	}
	sent := uint64(n.next())
	eventually(l.t, "all are counted", func() bool {
		stats := n.backend.Stats()
		return stats.Published+stats.Dropped >= sent
	})
	stats, got := n.backend.Stats(), other.ledger(l.t, n.name)
	lost := sent - uint64(len(got))
	l.t.Logf("%s received %d of the %d of %s, of which %d are counted as dropped; gaps %v; the longest emit took %v",
		other.name, len(got), sent, n.name, stats.Dropped, n.gaps, n.longest)
	if stats.Published+stats.Dropped != sent {
		l.t.Errorf("%d sent, %+v", sent, stats)
	}
	if !l.concerns(1-i) && lost > stats.Dropped {
		l.t.Errorf("%d lost, %+v", lost, stats)
	}
	if (stats.Reconnects >= 2) != l.concerns(i) {
		l.t.Errorf("%+v", stats)
	}
	for number := range n.next() {
		if _, ok := slices.BinarySearch(got, number); !ok && !n.mayLose(number) {
			l.t.Errorf("%s did not receive %d of %s", other.name, number, n.name)
		}
	}
}

// mayLose reports whether an event was under way when Redis was lost, or when
// nobody had noticed that yet.
func (s *sending) mayLose(number int) bool {
	return slices.ContainsFunc(s.gaps, func(g gap) bool {
		return number >= g.begin && number < g.end && (number < g.kept || g.kept == g.end)
	})
}
