//go:build unix

package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

const (
	// perNode is how many clients each node has; each sends an echo every tick, and the first of them a broadcast too.
	perNode = 20
	tick    = 10 * time.Millisecond

	// maxSent bounds the messages of one sender.
	maxSent = 1 << 14
)

// phase is a part of a round.
type phase int32

const (
	warming phase = iota
	before
	during
	after
	phases
)

func (p phase) String() string { return [...]string{"warming", "before", "during", "after"}[p] }

// times are what was measured in each phase of each round.
type times [maxRounds * phases][]time.Duration

const (
	// maxRounds is how often latency before and during an outage is compared, where load of the machine hides what it is.
	maxRounds = 5
	// slower is what an outage may cost at p99, and floor what two measurements of the same may differ by.
	slower = 1.2
	floor  = 300 * time.Microsecond
)

// TestOutageLatency measures what clients of a node notice of an outage of Redis: how long echoes take, and broadcasts from
// clients of the same node, before, during and after it. What must hold at any speed is that each of them arrives, once and
// in order, and while Redis is still away: nothing local waits for it. That p99 stays what it was is held where it can be
// measured: in one round at least, unless rounds differ from each other by more than that. Under the race detector, and with
// -short, there is one short round, which only logs it. What p99 costs would show in every round, since each has an outage.
func TestOutageLatency(t *testing.T) {
	for _, tt := range []struct {
		name, family string
		begin, end   func(*peer.RedisServer)
	}{
		{"killed", "redis", (*peer.RedisServer).Kill, (*peer.RedisServer).Start},
		{"stopped", "redis", (*peer.RedisServer).Pause, (*peer.RedisServer).Resume},
		{"killed streams", "streams", (*peer.RedisServer).Kill, (*peer.RedisServer).Start},
		{"stopped streams", "streams", (*peer.RedisServer).Pause, (*peer.RedisServer).Resume},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lasts, hold := 3*time.Second, true
			if testing.Short() || peer.Race {
				lasts, hold = 500*time.Millisecond, false
			}
			redis := peer.Redis(t)
			f := startFleet(t, roomspan(t, redis, "-adapter", tt.family), roomspan(t, redis, "-adapter", tt.family))
			round := func() {
				f.begin()
				time.Sleep(lasts / 5)
				f.enter(before)
				time.Sleep(lasts)
				f.enter(during)
				tt.begin(redis)
				time.Sleep(lasts)
				f.awaitHere()
				tt.end(redis)
				f.enter(after)
				f.awaitAcross()
				time.Sleep(lasts)
			}
			for round(); hold && f.round+1 < maxRounds && f.slowed(f.round); {
				round()
			}
			if hold && f.slowed(f.round) {
				if f.steady() {
					t.Errorf("in none of %d rounds p99 during the outage was within %v times that before it", maxRounds, slower)
				} else {
					t.Log("load of this machine hides what an outage costs")
				}
			}
			f.finish()
			f.report()
		})
	}
}

// fleet is two nodes with clients under load.
type fleet struct {
	t     *testing.T
	nodes [2]*peer.Process
	round int
	now   atomic.Int32 // round * phases + phase
	stop  chan struct{}
	sends sync.WaitGroup
	reads sync.WaitGroup

	clients [2][]*rawClient
	sent    [2][perNode]atomic.Int64 // echoes, by client
	bcasts  [2]atomic.Int64

	// sentAt and sentIn say when, and in which phase of which round, each broadcast was sent; 0 if it was not.
	sentAt [2][maxSent]atomic.Int64
	sentIn [2][maxSent]atomic.Int32
}

// rawClient is a client with what it has measured, and what it has received. All but the connection, the atomic values and
// what has a lock belongs to its reading goroutine.
type rawClient struct {
	*wsConn
	node   int
	fleet  *fleet
	echoAt [maxSent]atomic.Int64
	echoIn [maxSent]atomic.Int32

	mu    sync.Mutex
	took  times // echoes
	bcast times // broadcasts of the same node

	echoes  int
	next    [2]int // the next broadcast of each node
	missed  [2]int // broadcasts of each node that did not come
	problem error

	echoed, heard atomic.Int64 // echoes, and broadcasts of the same node, that have come
	across        atomic.Int32 // the last broadcast of the other node
}

func startFleet(t *testing.T, a, b *peer.Process) *fleet {
	t.Helper()
	f := &fleet{t: t, nodes: [2]*peer.Process{a, b}, round: -1, stop: make(chan struct{})}
	for i, node := range f.nodes {
		for range perNode {
			conn, err := dialRaw(node.Addr())
			if err != nil {
				t.Fatal(err)
			}
			c := &rawClient{wsConn: conn, node: i, fleet: f}
			f.clients[i] = append(f.clients[i], c)
			f.reads.Go(c.readAll)
		}
	}
	for i := range f.nodes {
		f.sends.Go(func() { f.send(i) })
	}
	t.Cleanup(f.finish)
	return f
}

// begin begins a round, enter a phase of it.
func (f *fleet) begin() {
	f.round++
	f.enter(warming)
}

func (f *fleet) enter(p phase) { f.now.Store(int32(f.round)*int32(phases) + int32(p)) }

// send is the load on one node, evenly over each tick.
func (f *fleet) send(node int) {
	step := time.NewTicker(tick / perNode)
	defer step.Stop()
	for i := 0; ; i = (i + 1) % perNode {
		select {
		case <-f.stop:
			return
		case <-step.C:
		}
		c, n := f.clients[node][i], f.sent[node][i].Load()
		if n == maxSent {
			return
		}
		p := f.now.Load()
		if i == 0 {
			b := f.bcasts[node].Add(1) - 1
			f.sentIn[node][b].Store(p)
			f.sentAt[node][b].Store(time.Now().UnixNano())
			c.send(fmt.Sprintf(`42["bcast",%d,"%d"]`, b, node))
		}
		f.sent[node][i].Add(1)
		c.echoIn[n].Store(p)
		c.echoAt[n].Store(time.Now().UnixNano())
		c.send(fmt.Sprintf(`42["echo",%d]`, n))
	}
}

// readAll takes in what a client receives, until its connection is closed.
func (c *rawClient) readAll() {
	for {
		text, err := c.read()
		if err != nil {
			return
		}
		now := time.Now().UnixNano()
		var n, from int
		switch {
		case strings.HasPrefix(text, `42["echo",`):
			n, _ = strconv.Atoi(text[len(`42["echo",`) : len(text)-1])
			if n != c.echoes {
				c.problem = fmt.Errorf("echo %d where %d was due", n, c.echoes)
				return
			}
			c.echoes++
			c.note(&c.took, c.echoIn[n].Load(), now-c.echoAt[n].Load())
			c.echoed.Add(1)
		case strings.HasPrefix(text, `42["msg",`):
			if _, err := fmt.Sscanf(text, `42["msg",%d,"%d"]`, &n, &from); err != nil || n < c.next[from] {
				c.problem = fmt.Errorf("%s where %d was due", text, c.next[from])
				return
			}
			c.missed[from] += n - c.next[from]
			c.next[from] = n + 1
			if from != c.node {
				c.across.Store(int32(n))
				continue
			}
			c.note(&c.bcast, c.fleet.sentIn[from][n].Load(), now-c.fleet.sentAt[from][n].Load())
			c.heard.Add(1)
		}
	}
}

func (c *rawClient) note(in *times, stage int32, took int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in[stage] = append(in[stage], time.Duration(took))
}

// awaitHere waits until what was sent up to now has come to the clients of its own node.
func (f *fleet) awaitHere() {
	f.t.Helper()
	for i, clients := range f.clients {
		bcasts := f.bcasts[i].Load()
		for k, c := range clients {
			echoes := f.sent[i][k].Load()
			eventually(f.t, "local messages come", func() bool { return c.echoed.Load() >= echoes && c.heard.Load() >= bcasts })
		}
	}
}

// awaitAcross waits until broadcasts that were sent from now on arrive at the other node.
func (f *fleet) awaitAcross() {
	f.t.Helper()
	last := make(map[*rawClient]int32)
	for _, clients := range f.clients {
		for _, c := range clients {
			last[c] = c.across.Load() + 1
		}
	}
	for c, n := range last {
		eventually(f.t, "broadcasts arrive across nodes again", func() bool { return c.across.Load() > n })
	}
}

// finish ends the load, and the clients when they have received everything.
func (f *fleet) finish() {
	select {
	case <-f.stop:
		return
	default:
	}
	close(f.stop)
	f.sends.Wait()
	deadline := time.Now().Add(patience)
	for i, clients := range f.clients {
		for k, c := range clients {
			for due := f.sent[i][k].Load() + f.bcasts[i].Load(); c.echoed.Load()+c.heard.Load() < due && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			_ = c.Close()
		}
	}
	f.reads.Wait()
}

// all returns what all clients have measured in a phase of a round, sorted.
func (f *fleet) all(of func(*rawClient) *times, round int, p phase) []time.Duration {
	var all []time.Duration
	for _, clients := range f.clients {
		for _, c := range clients {
			c.mu.Lock()
			all = append(all, of(c)[round*int(phases)+int(p)]...)
			c.mu.Unlock()
		}
	}
	slices.Sort(all)
	return all
}

var measured = []struct {
	what string
	of   func(*rawClient) *times
}{
	{"echo", func(c *rawClient) *times { return &c.took }},
	{"broadcast", func(c *rawClient) *times { return &c.bcast }},
}

func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)*99/100]
}

// slowed says if p99 of anything was longer during the outage of a round than it was before, by more than may be.
func (f *fleet) slowed(round int) bool {
	for _, m := range measured {
		if longer(p99(f.all(m.of, round, before)), p99(f.all(m.of, round, during))) {
			return true
		}
	}
	return false
}

// steady says if p99 before the outages was the same in all rounds.
func (f *fleet) steady() bool {
	for _, m := range measured {
		var of []time.Duration
		for r := range f.round + 1 {
			of = append(of, p99(f.all(m.of, r, before)))
		}
		if longer(slices.Min(of), slices.Max(of)) {
			return false
		}
	}
	return true
}

func longer(was, is time.Duration) bool { return is > time.Duration(float64(was)*slower)+floor }

// report checks what every client has received, and logs how long it took.
func (f *fleet) report() {
	f.t.Helper()
	lost := 0
	for i, clients := range f.clients {
		bcasts := int(f.bcasts[i].Load())
		for k, c := range clients {
			if c.problem != nil {
				f.t.Errorf("client %d of node %d: %v", k, i, c.problem)
			}
			if sent := int(f.sent[i][k].Load()); c.echoes != sent {
				f.t.Errorf("client %d of node %d received %d of %d echoes", k, i, c.echoes, sent)
			}
			if c.next[i] != bcasts || c.missed[i] > 0 {
				f.t.Errorf("client %d of node %d received %d of %d broadcasts of its node, and missed %d", k, i, c.next[i], bcasts, c.missed[i])
			}
			lost = max(lost, c.missed[1-i])
		}
	}
	for _, m := range measured {
		for r := range f.round + 1 {
			var of [phases]time.Duration
			for p := before; p < phases; p++ {
				all := f.all(m.of, r, p)
				if len(all) == 0 {
					f.t.Fatalf("no %s %v the outage", m.what, p)
				}
				of[p] = p99(all)
				f.t.Logf("%-9s %v: %6d, p50 %v, p99 %v, longest %v", m.what, p, len(all), all[len(all)/2], of[p], all[len(all)-1])
			}
			f.t.Logf("%-9s p99 during / before: %.2f", m.what, float64(of[during])/float64(of[before]))
		}
	}
	f.t.Logf("of the broadcasts of the other node at most %d of some %d did not arrive", lost, f.bcasts[0].Load())
	for i := range f.nodes {
		f.checkCounters(i)
	}
}

var counter = regexp.MustCompile(`(\w+):(\d+)`)

// checkCounters holds that the node has counted the outage, and no harm to clients.
func (f *fleet) checkCounters(node int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.nodes[node].URL()+"/stats", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	stats := make(map[string]int)
	for _, m := range counter.FindAllStringSubmatch(string(body), -1) {
		stats[m[1]], _ = strconv.Atoi(m[2])
	}
	f.t.Logf("node %d: %d published, %d received, %d dropped, %d lost", node, stats["Published"], stats["Received"], stats["Dropped"], stats["Lost"])
	if sent := int(f.bcasts[node].Load()); stats["Published"]+stats["Dropped"] < sent {
		f.t.Errorf("%d published and %d dropped of %d", stats["Published"], stats["Dropped"], sent)
	}
	for _, name := range []string{"SlowClients", "HandlerErrors", "Panics", "ProtocolErrors", "VolatileDropped"} {
		if stats[name] != 0 {
			f.t.Errorf("node %d: %d %s", node, stats[name], name)
		}
	}
}
