//go:build unix

package redis_test

import (
	"context"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// blocker makes connections on which every call blocks from when it is closed,
// and dials none any more.
type blocker struct {
	closed   atomic.Bool
	released chan struct{} // closed: all calls fail
	stuck    atomic.Int64  // calls that block

	mu    sync.Mutex
	conns []net.Conn
}

// release ends all connections.
func (b *blocker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.released)
	b.closed.Store(true)
	for _, conn := range b.conns {
		_ = conn.Close()
	}
}

// block blocks if calls are to, and reports whether that has ended.
func (b *blocker) block() error {
	if !b.closed.Load() {
		return nil
	}
	b.stuck.Add(1)
	<-b.released
	return net.ErrClosed
}

func (b *blocker) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := b.block(); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = append(b.conns, conn)
	return &blockingConn{conn, b}, nil
}

type blockingConn struct {
	net.Conn
	*blocker
}

func (c *blockingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err := c.block(); err != nil {
		return 0, err
	}
	return n, err
}

func (c *blockingConn) Write(p []byte) (int, error) {
	if err := c.block(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Deadlines do not help.
func (c *blockingConn) SetDeadline(time.Time) error      { return nil }
func (c *blockingConn) SetReadDeadline(time.Time) error  { return nil }
func (c *blockingConn) SetWriteDeadline(time.Time) error { return nil }

func (b *blocker) client(addr string) *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: addr, Dialer: b.dial, DialerRetries: 1, MaxRetries: -1})
}

// Emit waits for nothing that has to do with Redis, and takes less than a
// millisecond: not even calls that never return hold it up, before there was a
// connection or while messages are under way. What does not fit into the backlog
// is dropped and counted.
func TestEmitNeverWaits(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		for _, when := range []string{"dialing", "writing"} {
			t.Run(f.name+" "+when, func(t *testing.T) {
				t.Parallel()
				testNeverWaits(t, when == "dialing", func(client *goredis.Client) *emitting {
					host := &tallyHost{Host: adaptertest.NewHost("/")}
					return startEmitting(t, redis.FromClient(client, f.opts...), host, host.count.Load)
				})
			})
		}
	}
	t.Run("streams with recovery writing", func(t *testing.T) {
		t.Parallel()
		testNeverWaits(t, false, func(client *goredis.Client) *emitting {
			host := &tallyHost{Host: adaptertest.NewHost("/")}
			return startEmitting(t, redis.FromClient(client, redis.WithStreams()), keepingHost{host}, host.count.Load)
		})
	})
}

// tallyHost keeps nothing of what is delivered.
type tallyHost struct {
	*adaptertest.Host
	count atomic.Int64
}

func (h *tallyHost) Deliver(_ *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
		h.count.Add(1)
	}
}

type keepingHost struct{ *tallyHost }

func (keepingHost) Recovery() adapter.Recovery { return keeper{}.Recovery() }

// emitting is a node that emits and counts.
type emitting struct {
	adapter.Adapter
	backend   *redis.Backend
	delivered func() int64
}

func startEmitting(t *testing.T, b *redis.Backend, host adapter.Host, delivered func() int64) *emitting {
	t.Helper()
	if err := b.Start(server{&logBuffer{}}); err != nil {
		t.Fatal(err)
	}
	a, err := b.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	a.Add(adaptertest.NewSocket("socket"))
	return &emitting{a, b, delivered}
}

func testNeverWaits(t *testing.T, dialing bool, begin func(*goredis.Client) *emitting) {
	r := runProcess(t)
	b := &blocker{released: make(chan struct{})}
	b.closed.Store(dialing)
	client := b.client(r.addr())
	n := begin(client)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var release sync.Once
	end := func() {
		release.Do(b.release)
		if err := n.backend.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = client.Close()
	}
	t.Cleanup(end)
	const warm = 10
	p := &adapter.Packet{Args: []byte(`["event","` + strings.Repeat("x", 64) + `"]`)}
	if !dialing {
		if err := n.backend.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		for range warm {
			if err := n.Broadcast(p, adapter.Selector{}, adapter.Flags{}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "all is published", func() bool { return n.backend.Stats().Published == warm && n.delivered() == warm })
		b.closed.Store(true)
	}
	const emits, backlog = 100_000, 10_000
	took := make([]time.Duration, emits)
	for i := range took {
		begun := time.Now()
		if err := n.Broadcast(p, adapter.Selector{}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(begun)
	}
	logSpread(t, "an emit", took)
	// The processor is taken away from a loop at times, but not from one turn in
	// a hundred; the race detector makes each turn that much longer.
	percentile := 99
	if raceEnabled {
		percentile = 90
	}
	if slow := took[emits*percentile/100]; slow >= time.Millisecond {
		t.Errorf("an emit takes %v at p%d", slow, percentile)
	}
	eventually(t, "all is delivered here", func() bool { return n.delivered()-emits >= 0 })
	eventually(t, "a call to Redis blocks", func() bool { return b.stuck.Load() > 0 })
	// A batch may be under way, and is neither in the backlog nor dropped yet.
	stats := n.backend.Stats()
	if under := emits - backlog - int(stats.Dropped); under < 0 || under > 2*512 {
		t.Errorf("%d dropped, %d under way", stats.Dropped, under)
	}
	end()
	if stats := n.backend.Stats(); stats.Published+stats.Dropped < emits {
		t.Errorf("%+v", stats)
	}
}

// logSpread sorts how long something took, and logs it.
func logSpread(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	t.Logf("%s, %d times: p50 %v, p99 %v, p99.9 %v, longest %v", what, len(took),
		took[len(took)/2], took[len(took)*99/100], took[len(took)*999/1000], took[len(took)-1])
}
