//go:build unix

package pysocketio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// sending is a node that emits numbered events until it is stopped.
type sending struct {
	*node
	name    string
	stop    chan struct{}
	ended   sync.WaitGroup
	sent    int
	longest time.Duration
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
			begin := time.Now()
			if err := s.Broadcast(event(fmt.Sprintf(`["%s",%d]`, name, s.sent)), adapter.Selector{}, adapter.Flags{}); err != nil {
				n.t.Error(err)
			}
			s.longest = max(s.longest, time.Since(begin))
			s.sent++
		}
	})
	return s
}

// ledger returns how many events of a sender the socket has received, and the
// last, and fails if one came twice or out of order.
func (s *sending) ledger(t *testing.T, sender string) (count, last int) {
	t.Helper()
	last = -1
	for _, d := range s.socket.Received() {
		number := 0
		if _, err := fmt.Sscanf(string(d.Packet.Args), `["`+sender+`",%d]`, &number); err != nil {
			continue
		}
		if number <= last {
			t.Fatalf("%s received %d of %s after %d", s.name, number, sender, last)
		}
		count, last = count+1, number
	}
	return count, last
}

// Under load on both nodes each node delivers its own events, all and in order,
// those of the other in order and at most once, and delivery comes back by
// itself. Calls return at once, and those under way when the outage is noticed.
func TestLedger(t *testing.T) {
	for _, o := range []struct {
		name       string
		begin, end func(*process)
	}{
		{"killed", (*process).stop, (*process).restart},
		{"stopped", func(p *process) { p.signal(syscall.SIGSTOP) }, func(p *process) { p.signal(syscall.SIGCONT) }},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			nodes := []*sending{
				startSending(start(t, pysocketio.New(r.url())), "a"),
				startSending(start(t, pysocketio.New(r.url())), "b"),
			}
			time.Sleep(200 * time.Millisecond)
			a := nodes[0]
			ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
			defer cancel()
			underWay := make(chan error, 1)
			a.socket.Answer(nil) // so that one call is under way
			go func() {
				_, err := a.BroadcastWithAck(ctx, event(`["question"]`), rooms("nobody"), adapter.Flags{})
				underWay <- err
			}()
			o.begin(r)
			for _, n := range nodes {
				eventually(t, n.name+" notices the outage", func() bool { return !n.backend.Status().Connected })
			}
			select {
			case err := <-underWay:
				t.Logf("a call that was under way: %v", err)
			case <-time.After(patience):
				t.Error("a call that was under way waits on")
			}
			testCallsAway(t, a.node)
			o.end(r)
			for _, n := range nodes {
				if err := n.backend.Ready(ctx); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(200 * time.Millisecond)
			for _, n := range nodes {
				close(n.stop)
				n.ended.Wait()
			}
			for i, n := range nodes {
				other := nodes[1-i]
				eventually(t, "the last one arrives", func() bool { _, last := n.ledger(t, other.name); return last == other.sent-1 })
				if got, _ := n.ledger(t, n.name); got != n.sent {
					t.Errorf("%s delivered %d of its own %d", n.name, got, n.sent)
				}
				eventually(t, "all are counted", func() bool {
					stats := other.backend.Stats()
					return stats.Published+stats.Dropped >= uint64(other.sent)
				})
				got, _ := n.ledger(t, other.name)
				stats := other.backend.Stats()
				t.Logf("%s received %d of %d, and %d are counted; the longest emit took %v", n.name, got, other.sent, stats.Dropped, n.longest)
				if stats.Reconnects == 0 {
					t.Errorf("%+v", stats)
				}
			}
		})
	}
}

// testCallsAway holds that calls do not wait for their deadline in an outage.
func testCallsAway(t *testing.T, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, asked := n.BroadcastWithAck(ctx, event(`["question"]`), rooms("nobody"), adapter.Flags{})
		_, fetched := n.FetchSockets(ctx, adapter.Selector{})
		_, listed := n.Rooms(ctx)
		_, told := n.ServerSideEmitWithAck(ctx, event(`["question"]`))
		_, counted := n.ServerCount(ctx)
		for what, err := range map[string]error{
			"BroadcastWithAck": asked, "FetchSockets": fetched, "Rooms": listed, "ServerSideEmitWithAck": told, "ServerCount": counted,
		} {
			if !errors.Is(err, adapter.ErrUnreachable) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("calls wait in an outage")
	}
}

// A call that waits for Python's clients, of whom nobody knows how many there
// are, ends when the outage is noticed.
func TestOutageEndsWaitingForPython(t *testing.T) {
	r := runProcess(t)
	n := start(t, pysocketio.New(r.url()))
	python := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer python.Close()
	sub := python.Subscribe(t.Context(), "socketio")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	underWay := make(chan error, 1)
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event(`["here"]`) })
	go func() {
		_, err := n.BroadcastWithAck(ctx, event(`["question"]`), adapter.Selector{}, adapter.Flags{})
		underWay <- err
	}()
	eventually(t, "the question is published", func() bool { return n.backend.Stats().Published >= 2 })
	select {
	case err := <-underWay:
		t.Fatalf("waits for nobody: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	r.stop()
	select {
	case err := <-underWay:
		missing := (*adapter.MissingAnswersError)(nil)
		if !errors.As(err, &missing) || missing.Received != 1 {
			t.Errorf("the call: %v", err)
		}
	case <-time.After(patience):
		t.Error("the call waits on")
	}
}

// With WithFailFast an outage is an error, after the effect on this node, and
// every change of the connection is told.
func TestFailFastAndStatus(t *testing.T) {
	r := runProcess(t)
	b := pysocketio.New(r.url(), pysocketio.WithFailFast(), pysocketio.WithBacklogAge(time.Minute))
	states := make(chan adapter.Status, 10)
	b.OnStatus(func(s adapter.Status) { states <- s })
	n := start(t, b)
	if s := <-states; !s.Connected || s != b.Status() {
		t.Errorf("%+v, the state is %+v", s, b.Status())
	}
	r.stop()
	if s := <-states; s.Connected || s.Err == nil {
		t.Errorf("%+v", s)
	}
	for what, err := range map[string]error{
		"Broadcast":  n.Broadcast(event(`["x"]`), adapter.Selector{}, adapter.Flags{}),
		"AddSockets": n.AddSockets(rooms(sid), []string{"new"}),
	} {
		if !errors.Is(err, adapter.ErrUnreachable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	n.await(`["x"]`)
	if stats := b.Stats(); stats.Dropped != 2 {
		t.Errorf("%+v", stats)
	}
	r.restart()
	if s := <-states; !s.Connected {
		t.Errorf("%+v", s)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := <-states; !errors.Is(s.Err, adapter.ErrClosed) {
		t.Errorf("%+v", s)
	}
}

// Emit waits for nothing that has to do with Redis, not even a dialer that
// never returns. What does not fit into the backlog is dropped and counted.
func TestEmitNeverWaits(t *testing.T) {
	var dials atomic.Int64
	released := make(chan struct{})
	client := goredis.NewClient(&goredis.Options{DialerRetries: 1, Dialer: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		<-released
		return nil, net.ErrClosed
	}})
	host := adaptertest.NewHost("/")
	b := pysocketio.FromClient(client)
	if err := b.Start(&node{t: t}); err != nil {
		t.Fatal(err)
	}
	a, err := b.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	host.Use(a)
	const emits, backlog = 100_000, 10_000
	longest := time.Duration(0)
	for range emits {
		begin := time.Now()
		if err := a.Broadcast(event(`["x"]`), adapter.Selector{}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(begin))
	}
	t.Logf("the longest emit took %v", longest)
	eventually(t, "a call to Redis blocks", func() bool { return dials.Load() > 0 })
	if stats := b.Stats(); stats.Dropped != emits-backlog || stats.Published != 0 {
		t.Errorf("%+v", stats)
	}
	close(released)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if stats := b.Stats(); stats.Dropped != emits {
		t.Errorf("%+v", stats)
	}
	_ = client.Close()
}
