//go:build unix

package pysocketio_test

import (
	"context"
	"errors"
	"net"
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

// Calls return at once while Redis is away, and those under way when that is
// noticed.
func TestCallsInOutage(t *testing.T) {
	for name, begin := range map[string]func(*process){
		"killed":  (*process).stop,
		"stopped": func(p *process) { p.signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			n := start(t, pysocketio.New(r.url()))
			other := start(t, pysocketio.New(r.url()))
			other.Add(other.socket, "there") // and it does not answer
			ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
			defer cancel()
			underWay := make(chan error, 1)
			go func() {
				_, err := n.BroadcastWithAck(ctx, event(`["question"]`), rooms("there"), adapter.Flags{})
				underWay <- err
			}()
			eventually(t, "the question has come", func() bool { return len(other.socket.Received()) > 0 })
			begin(r)
			eventually(t, "the outage is noticed", func() bool { return !n.backend.Status().Connected })
			select {
			case err := <-underWay:
				if missing := (*adapter.MissingAnswersError)(nil); !errors.As(err, &missing) {
					t.Errorf("a call that was under way: %v", err)
				}
			case <-time.After(patience):
				t.Error("a call that was under way waits on")
			}
			testCallsAway(t, n)
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
