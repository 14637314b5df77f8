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

// phase is a part of the run.
type phase int32

const (
	before phase = iota
	during
	after
	phases
)

func (p phase) String() string { return [...]string{"before", "during", "after"}[p] }

// TestOutageLatency measures what clients of a node notice of an outage of Redis: how long echoes take, and broadcasts from
// clients of the same node, before, during and after it. What must hold at any speed is that each of them arrives, once and
// in order. With -short, and under the race detector, each phase is shorter than the five seconds that figures need.
func TestOutageLatency(t *testing.T) {
	for _, tt := range []struct {
		name, family string
		begin, end   func(*peer.RedisServer)
	}{
		{"killed", "redis", (*peer.RedisServer).Kill, (*peer.RedisServer).Start},
		{"stopped", "redis", (*peer.RedisServer).Pause, (*peer.RedisServer).Resume},
		{"killed streams", "streams", (*peer.RedisServer).Kill, (*peer.RedisServer).Start},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lasts := 5 * time.Second
			if testing.Short() || peer.Race {
				lasts = 500 * time.Millisecond
			}
			redis := peer.Redis(t)
			f := startFleet(t, roomspan(t, redis, "-adapter", tt.family), roomspan(t, redis, "-adapter", tt.family))
			time.Sleep(lasts / 5) // until everything is warm
			f.enter(before)
			time.Sleep(lasts)
			f.enter(during)
			tt.begin(redis)
			time.Sleep(lasts)
			tt.end(redis)
			f.enter(after)
			f.awaitAcross()
			time.Sleep(lasts)
			f.finish()
			f.report()
		})
	}
}

// fleet is two nodes with clients under load.
type fleet struct {
	t     *testing.T
	nodes [2]*peer.Process
	now   atomic.Int32 // phase
	stop  chan struct{}
	sends sync.WaitGroup
	reads sync.WaitGroup

	clients [2][]*rawClient
	sent    [2][]int // echoes, by client
	bcasts  [2]int

	// sentAt and sentIn say when, and in which phase, each broadcast was sent; 0 if it was not.
	sentAt [2][maxSent]atomic.Int64
	sentIn [2][maxSent]atomic.Int32
}

// rawClient is a client with what it has measured, and what it has received. All but the connection and the atomic values
// belongs to its reading goroutine.
type rawClient struct {
	*wsConn
	node   int
	fleet  *fleet
	echoAt [maxSent]atomic.Int64
	echoIn [maxSent]atomic.Int32

	took    [phases][]time.Duration // echoes
	bcast   [phases][]time.Duration // broadcasts of the same node
	echoes  int
	next    [2]int // the next broadcast of each node
	missed  [2]int // broadcasts of each node that did not come
	problem error

	here   atomic.Int64 // echoes, and broadcasts of the same node, that have come
	across atomic.Int32 // the last broadcast of the other node
}

func startFleet(t *testing.T, a, b *peer.Process) *fleet {
	t.Helper()
	f := &fleet{t: t, nodes: [2]*peer.Process{a, b}, stop: make(chan struct{})}
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
		f.sent[i] = make([]int, perNode)
	}
	for i := range f.nodes {
		f.sends.Go(func() { f.send(i) })
	}
	t.Cleanup(f.finish)
	return f
}

func (f *fleet) enter(p phase) { f.now.Store(int32(p)) }

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
		c, n := f.clients[node][i], f.sent[node][i]
		if n == maxSent {
			return
		}
		p := f.now.Load()
		if i == 0 {
			b := f.bcasts[node]
			f.bcasts[node]++
			f.sentIn[node][b].Store(p)
			f.sentAt[node][b].Store(time.Now().UnixNano())
			c.send(fmt.Sprintf(`42["bcast",%d,"%d"]`, b, node))
		}
		f.sent[node][i]++
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
			p := c.echoIn[n].Load()
			c.took[p] = append(c.took[p], time.Duration(now-c.echoAt[n].Load()))
			c.here.Add(1)
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
			p := c.fleet.sentIn[from][n].Load()
			c.bcast[p] = append(c.bcast[p], time.Duration(now-c.fleet.sentAt[from][n].Load()))
			c.here.Add(1)
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
			for due := int64(f.sent[i][k] + f.bcasts[i]); c.here.Load() < due && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			_ = c.Close()
		}
	}
	f.reads.Wait()
}

// report checks what every client has received, and logs how long it took.
func (f *fleet) report() {
	f.t.Helper()
	var echo, bcast [phases][]time.Duration
	lost := 0
	for i, clients := range f.clients {
		for k, c := range clients {
			if c.problem != nil {
				f.t.Errorf("client %d of node %d: %v", k, i, c.problem)
			}
			if c.echoes != f.sent[i][k] {
				f.t.Errorf("client %d of node %d received %d of %d echoes", k, i, c.echoes, f.sent[i][k])
			}
			if c.next[i] != f.bcasts[i] || c.missed[i] > 0 {
				f.t.Errorf("client %d of node %d received %d of %d broadcasts of its node, and missed %d", k, i, c.next[i], f.bcasts[i], c.missed[i])
			}
			lost = max(lost, c.missed[1-i])
			for p := range phases {
				echo[p] = append(echo[p], c.took[p]...)
				bcast[p] = append(bcast[p], c.bcast[p]...)
			}
		}
	}
	for what, took := range map[string][phases][]time.Duration{"echo": echo, "broadcast": bcast} {
		p99 := [phases]time.Duration{}
		for p := range phases {
			if len(took[p]) == 0 {
				f.t.Fatalf("no %s %v the outage", what, p)
			}
			slices.Sort(took[p])
			all := took[p]
			p99[p] = all[len(all)*99/100]
			f.t.Logf("%-9s %v: %6d, p50 %v, p99 %v, longest %v", what, p, len(all), all[len(all)/2], p99[p], all[len(all)-1])
		}
		f.t.Logf("%-9s p99 during / before: %.2f", what, float64(p99[during])/float64(p99[before]))
	}
	f.t.Logf("of the broadcasts of the other node at most %d of some %d did not arrive", lost, f.bcasts[0])
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
	if stats["Published"]+stats["Dropped"] < f.bcasts[node] {
		f.t.Errorf("%d published and %d dropped of %d", stats["Published"], stats["Dropped"], f.bcasts[node])
	}
	for _, name := range []string{"SlowClients", "HandlerErrors", "Panics", "ProtocolErrors", "VolatileDropped"} {
		if stats[name] != 0 {
			f.t.Errorf("node %d: %d %s", node, stats[name], name)
		}
	}
}
