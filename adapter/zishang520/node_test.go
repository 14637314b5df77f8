package zishang520_test

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/zishang520/socket.io/v2/socket"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/zishang520"
)

// The server's own timers outlive it: each is a goroutine that waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/zishang520/engine.io/v2/utils.SetTimeout.func1"),
		goleak.IgnoreAnyFunction("github.com/zishang520/engine.io/v2/utils.SetTimeOut.func1"),
	)
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// node is a server of zishang520 in a cluster.
type node struct {
	io      *socket.Server
	cluster *zishang520.Cluster
	web     *httptest.Server

	// opened has an element for each connection that the server listens to: it
	// loses what a client sends before.
	opened chan struct{}
}

func start(t *testing.T, bus *adaptertest.Bus, opts ...zishang520.Option) *node {
	t.Helper()
	cluster, err := zishang520.New(bus.Backend(), opts...)
	must(t, err)
	io := socket.NewServer(nil, nil)
	io.SetAdapter(cluster)
	n := &node{io: io, cluster: cluster, web: httptest.NewServer(io.ServeHandler(nil)), opened: make(chan struct{}, 100)}
	must(t, io.Engine().On("connection", func(...any) { n.opened <- struct{}{} }))
	t.Cleanup(func() {
		io.Close(nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, cluster.Close(ctx))
		n.web.CloseClientConnections()
		n.web.Close()
	})
	return n
}

// two starts two nodes of one cluster.
func two(t *testing.T) (a, b *node) {
	t.Helper()
	bus := adaptertest.NewBus()
	a, b = start(t, bus), start(t, bus)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, a.cluster.Ready(ctx))
	must(t, b.cluster.Ready(ctx))
	return a, b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client speaks Socket.IO over a WebSocket, by hand.
type client struct {
	t    *testing.T
	conn net.Conn
	id   string
	got  chan string // text messages, binary ones as "b:..."
	mu   sync.Mutex
}

// join connects a client to a namespace.
func (n *node) join(t *testing.T, namespace string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, strings.Replace(n.web.URL, "http", "ws", 1)+"/socket.io/?EIO=4&transport=websocket")
	must(t, err)
	c := &client{t: t, conn: conn, got: make(chan string, 10_000)}
	var r io.Reader = conn
	if br != nil {
		r = br
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read(r)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	if open := c.next(); !strings.HasPrefix(open, "0{") {
		t.Fatalf("%q where the handshake was due", open)
	}
	<-n.opened
	c.send("40" + prefix)
	answer := c.next()
	id, ok := strings.CutPrefix(answer, "40"+prefix+`{"sid":"`)
	if !ok {
		t.Fatalf("%q where the connect was due", answer)
	}
	c.id = id[:strings.IndexByte(id, '"')]
	return c
}

func (c *client) read(r io.Reader) {
	defer close(c.got)
	for {
		h, err := ws.ReadHeader(r)
		if err != nil || h.Length > 1<<20 {
			return
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		switch {
		case h.OpCode == ws.OpText && string(payload) == "2":
			c.send("3")
		case h.OpCode == ws.OpText:
			c.got <- string(payload)
		case h.OpCode == ws.OpBinary:
			c.got <- "b:" + string(payload)
		}
	}
}

func (c *client) send(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
}

// next returns the next message, "" when the connection has ended.
func (c *client) next() string {
	c.t.Helper()
	select {
	case m := <-c.got:
		return m
	case <-time.After(patience):
		c.t.Fatal("nothing comes")
		return ""
	}
}

func (c *client) want(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		if got := c.next(); got != m {
			c.t.Errorf("got %q, want %q", got, m)
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}
