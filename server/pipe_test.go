package server_test

import (
	"context"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
)

// pipes is a listener in memory, for tests in a bubble of synctest: there time
// passes when everybody waits, and no machine is too slow.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// startInBubble is start for a test in a bubble.
func startInBubble(t testing.TB, opts ...server.Option) *node {
	t.Helper()
	s, err := server.New(opts...)
	must(t, err)
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	web := httptest.NewUnstartedServer(s)
	_ = web.Listener.Close()
	web.Listener = p
	web.Start()
	n := &node{Server: s, http: web, dial: p.dial}
	t.Cleanup(n.stop)
	return n
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithConnectTimeout(time.Second))
		joined, _ := join(t, n)
		for _, packet := range []string{"", "40/none,"} {
			c := dial(t, n)
			at := time.Now()
			if packet != "" {
				c.send(packet)
			}
			c.gone()
			if d := time.Since(at); d < time.Second || d > 2*time.Second {
				t.Errorf("closed after %v", d)
			}
		}
		must(t, n.Emit("still here"))
		joined.want(event("still here"))
	})
}

func TestMissingAttachmentsTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithConnectTimeout(time.Second))
		reasons := make(chan server.Reason, 1)
		n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
		c, _ := join(t, n)
		c.send(`451-["x",{"_placeholder":true,"num":0}]`, "ba")
		time.Sleep(3 * time.Second) // all are there: nothing to wait for
		c.send(`452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "ba")
		c.gone()
		if r := recv(t, reasons); r != server.ReasonParseError {
			t.Errorf("reason %q", r)
		}
	})
}

func TestPingTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithPingInterval(3*time.Second), server.WithPingTimeout(2*time.Second))
		reasons := make(chan server.Reason, 1)
		n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
		c, _ := join(t, n)
		time.Sleep(time.Minute)
		must(t, n.Emit("alive"))
		c.want(event("alive"))
		c.mute.Store(true)
		c.gone()
		if r := recv(t, reasons); r != server.ReasonPingTimeout {
			t.Errorf("reason %q", r)
		}
		if got := n.Stats().PingTimeouts; got != 1 {
			t.Errorf("%d ping timeouts counted", got)
		}
	})
}

// The pong of a client that the server itself does not read cannot come.
func TestClientThatIsNotReadKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithInboundLimit(1, 1<<20),
			server.WithPingInterval(3*time.Second), server.WithPingTimeout(2*time.Second))
		n.Handle("x", func(*server.Event) error { time.Sleep(6 * time.Second); return nil })
		c, _ := join(t, n)
		go func() {
			for range 4 {
				c.send(`42["x"]`)
			}
		}()
		eventually(t, "all is handled", func() bool { return n.Stats().Events == 4 })
		if st := n.Stats(); st.PingTimeouts != 0 || st.Sockets != 1 || st.InboundPauses == 0 {
			t.Errorf("%d ping timeouts, %d sockets, %d pauses", st.PingTimeouts, st.Sockets, st.InboundPauses)
		}
	})
}

func TestAckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t)
		connected := make(chan *server.Socket, 1)
		n.OnConnection(func(s *server.Socket) { connected <- s })
		c, _ := join(t, n)
		at := time.Now()
		_, err := recv(t, connected).EmitWithAck(t.Context(), "q")
		if d := time.Since(at); err != server.ErrAckTimeout || d < 10*time.Second || d > 11*time.Second {
			t.Errorf("%v after %v", err, d)
		}
		c.ackID("q")
	})
}
