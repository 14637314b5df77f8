//go:build unix

package redis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sending is a node that emits numbered events until it is stopped, and
// measures each of them.
type sending struct {
	*node
	name  string
	stop  chan struct{}
	ended sync.WaitGroup
	sent  atomic.Int64
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
			s.took = append(s.took, s.emit(fmt.Sprintf(`["%s",%d]`, name, s.sent.Load())))
			s.sent.Add(1)
		}
	})
	return s
}

// numberOf returns the number of an event of a sender.
func numberOf(event, sender string) (number int, ok bool) {
	text, ok := strings.CutPrefix(event, `["`+sender+`",`)
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(strings.TrimSuffix(text, "]"))
	return number, err == nil
}

// last returns the last number of a sender that a node has received, and -1
// if there is none.
func (s *sending) last(sender string) int {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	for _, event := range slices.Backward(s.host.delivered) {
		if number, ok := numberOf(event, sender); ok {
			return number
		}
	}
	return -1
}

// received returns the numbers of a sender that a node has received, and fails
// if one came twice or out of order.
func (s *sending) received(t *testing.T, sender string) []int {
	t.Helper()
	var got []int
	for _, event := range s.host.events() {
		number, ok := numberOf(event, sender)
		if !ok {
			continue
		}
		if len(got) > 0 && number <= got[len(got)-1] {
			t.Fatalf("%s received %d of %s after %d\n%s", s.name, number, sender, got[len(got)-1], s.log)
		}
		got = append(got, number)
	}
	return got
}

// ledger keeps the accounts of two nodes that send to each other, while
// something happens to Redis again and again.
type ledger struct {
	t     *testing.T
	nodes []*sending

	// windows are, by their senders, the numbers that an outage may cost:
	// from the last one that had arrived just before it, to the first that was
	// sent when both nodes had heard each other again.
	windows [2][]window

	resumed []time.Duration // from the end of each outage until both heard
	stalled stallMeter
}

type window struct{ from, to int }

func (w window) has(n int) bool { return w.from <= n && n < w.to }

func startLedger(t *testing.T, a, b *node) *ledger {
	t.Helper()
	l := &ledger{t: t}
	l.stalled.start(t)
	for i, n := range []*node{a, b} {
		l.nodes = append(l.nodes, startSending(n, string(rune('a'+i))))
	}
	return l
}

// sent returns how much each node has sent.
func (l *ledger) sent() (counts [2]int) {
	for i, n := range l.nodes {
		counts[i] = int(n.sent.Load())
	}
	return counts
}

// exchange waits until each node has heard of the other what that sends from
// now on, and returns what each had sent when it began.
func (l *ledger) exchange(when string) [2]int {
	l.t.Helper()
	counts := l.sent()
	for i, n := range l.nodes {
		other := l.nodes[1-i]
		eventually(l.t, n.name+" hears "+other.name+" "+when, func() bool { return n.last(other.name) >= counts[1-i] })
	}
	return counts
}

// goOn waits until each node has heard a hundred more of the other.
func (l *ledger) goOn() {
	l.t.Helper()
	for i, n := range l.nodes {
		other := l.nodes[1-i]
		until := n.last(other.name) + 100
		eventually(l.t, n.name+" hears a hundred of "+other.name, func() bool { return n.last(other.name) >= until })
	}
}

// outage lets something happen to Redis after a while, and waits until both
// nodes hear each other again. act returns when Redis is there again.
func (l *ledger) outage(act func()) {
	l.t.Helper()
	l.goOn()
	before := l.exchange("before the outage")
	act()
	begin, stalled := time.Now(), l.stalled.sum()
	for _, n := range l.nodes {
		n.ready()
	}
	l.exchange("after the outage")
	took := time.Since(begin) - (l.stalled.sum() - stalled)
	l.resumed = append(l.resumed, took)
	after := l.sent()
	for i := range l.nodes {
		l.windows[i] = append(l.windows[i], window{before[i] + 1, after[i]})
	}
}

// narrow takes out of the windows what was sent from a mark on.
func (l *ledger) narrow(marks [2]int) {
	for i := range l.nodes {
		last := &l.windows[i][len(l.windows[i])-1]
		last.to = min(last.to, marks[i])
	}
}

// resumption is how long two nodes may take to hear each other after an
// outage. They look for Redis in pauses of two seconds at most, and then give
// each other as much time to do so.
const resumption = 5 * time.Second

// finish ends sending after a while. It fails unless each node delivered all its
// own events, and those of the other once, in order, and without a gap but in the
// windows; and the nodes heard each other again within resumption, at the median
// of the outages. It returns how many each node has not heard of the other.
func (l *ledger) finish() (missing [2]int) {
	t := l.t
	t.Helper()
	l.goOn()
	for _, n := range l.nodes {
		close(n.stop)
		n.ended.Wait()
	}
	for i, n := range l.nodes {
		logSpread(t, "an emit of "+n.name, n.took)
		other, sent := l.nodes[1-i], int(l.nodes[1-i].sent.Load())
		eventually(t, n.name+" hears the last of "+other.name, func() bool { return n.last(other.name) == sent-1 })
		if got := len(n.received(t, n.name)); got != int(n.sent.Load()) {
			t.Errorf("%s delivered %d of its own %d", n.name, got, n.sent.Load())
		}
		got := n.received(t, other.name)
		missing[i] = sent - len(got)
		l.checkGaps(n, got, l.windows[1-i])
		t.Logf("%s received %d of %d in spite of %v, and %d are counted", n.name, len(got), sent, l.windows[1-i], other.backend.Stats().Dropped)
	}
	slices.Sort(l.resumed)
	t.Logf("resumed after %v; the machine stood still for %v", l.resumed, l.stalled.sum())
	if median := l.resumed[len(l.resumed)/2]; median > resumption {
		t.Errorf("the nodes heard each other after %v, want %v at the median", l.resumed, resumption)
	}
	return missing
}

// checkCounts fails unless each event was taken by Redis, or is counted as
// dropped. Nothing else may have been published.
func (l *ledger) checkCounts() {
	l.t.Helper()
	for i, sent := range l.sent() {
		n := l.nodes[i]
		count := func() uint64 {
			stats := n.backend.Stats()
			return stats.Published + stats.Dropped
		}
		eventually(l.t, "all are counted", func() bool { return count() >= uint64(sent) })
		if count() != uint64(sent) {
			l.t.Errorf("%s sent %d, %+v", n.name, sent, n.backend.Stats())
		}
	}
}

// checkGaps fails if a number is missing that no outage may have cost.
func (l *ledger) checkGaps(n *sending, got []int, windows []window) {
	l.t.Helper()
	next := 0
	for _, number := range got {
		for ; next < number; next++ {
			if !slices.ContainsFunc(windows, func(w window) bool { return w.has(next) }) {
				l.t.Fatalf("%s did not receive %d, which was sent before or after the outages %v\n%s", n.name, next, windows, n.log)
			}
		}
		next++
	}
}

// stallMeter sums for how long the machine kept the process from running.
type stallMeter struct{ total atomic.Int64 }

func (m *stallMeter) sum() time.Duration { return time.Duration(m.total.Load()) }

func (m *stallMeter) start(t *testing.T) {
	t.Helper()
	const step = 10 * time.Millisecond
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for last := time.Now(); ; {
			select {
			case <-time.After(step):
			case <-stop:
				return
			}
			now := time.Now()
			m.total.Add(int64(max(0, now.Sub(last)-2*step)))
			last = now
		}
	})
	t.Cleanup(func() {
		close(stop)
		running.Wait()
	})
}
