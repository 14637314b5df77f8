package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// node is a server that clients of a test can reach.
type node struct {
	*server.Server
	http *httptest.Server
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil for TCP

	offers []httphead.Option // extensions that clients offer
}

func start(t testing.TB, opts ...server.Option) *node {
	t.Helper()
	s, err := server.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Server: s, http: httptest.NewServer(s)}
	t.Cleanup(n.stop)
	return n
}

// stop shuts the node down; it may be called more than once.
func (n *node) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = n.Shutdown(ctx)
	n.http.Close()
}

// of returns a namespace of the node.
func (n *node) of(t testing.TB, name string) *server.Namespace {
	t.Helper()
	ns, err := n.Of(name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// client is a raw Socket.IO client over WebSocket. It answers pings and
// otherwise does what it is told, right or wrong.
type client struct {
	t       testing.TB
	conn    net.Conn
	packets chan string   // Socket.IO packets; attachments with a "b" before them
	done    chan struct{} // closed when the connection has ended
	sid     string        // of the Engine.IO session
	mute    atomic.Bool   // sends no pongs
	deaf    chan struct{} // reads nothing until closed, if not nil

	turn chan struct{} // orders writes; no mutex, with which a bubble would not rest
}

// dial opens a connection and joins no namespace.
func dial(t testing.TB, n *node) *client {
	t.Helper()
	c, err := tryDial(n)
	if err != nil {
		t.Fatal(err)
	}
	c.attach(t)
	return c
}

// join opens a connection and joins the main namespace.
func join(t testing.TB, n *node) (c *client, id string) {
	t.Helper()
	c = dial(t, n)
	return c, c.join("/")
}

// tryDial is dial without a test that fails, and without a reader.
func tryDial(n *node) (*client, error) { return tryDialVersion(n, "4") }

// tryDialVersion is tryDial of a client of that version of Engine.IO.
func tryDialVersion(n *node, version string) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := "ws" + strings.TrimPrefix(n.http.URL, "http") + "/socket.io/?transport=websocket&EIO=" + version
	conn, early, _, err := ws.Dialer{NetDial: n.dial, Extensions: n.offers}.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	c := &client{packets: make(chan string, 1<<16), done: make(chan struct{}), turn: make(chan struct{}, 1), conn: conn}
	if early != nil {
		c.conn = &readAhead{Conn: conn, r: early}
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	f, err := readFrame(c.conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	var open struct{ Sid string }
	if err := json.Unmarshal(f.Payload[1:], &open); err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.sid = open.Sid
	return c, nil
}

func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

type readAhead struct {
	net.Conn
	r *bufio.Reader
}

func (r *readAhead) Read(b []byte) (int, error) { return r.r.Read(b) }

// attach starts the reader of the client.
func (c *client) attach(t testing.TB) {
	c.t = t
	deaf := c.deaf
	go func() {
		defer close(c.done)
		if deaf != nil {
			<-deaf
		}
		c.read()
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		if deaf != nil {
			select {
			case <-deaf:
			default:
				close(deaf)
			}
		}
		<-c.done
	})
}

func (c *client) read() {
	r := bufio.NewReader(c.conn)
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		switch f.Header.OpCode {
		case ws.OpClose:
			c.write(ws.NewCloseFrame(nil))
			_ = c.conn.Close()
			return
		case ws.OpBinary:
			c.packets <- "b" + string(f.Payload)
		case ws.OpText:
			switch p := string(f.Payload); {
			case p == "2":
				if !c.mute.Load() {
					c.send("3")
				}
			case p[0] == '4':
				c.packets <- p[1:]
			default:
				c.packets <- "engine.io " + p
			}
		}
	}
}

func (c *client) write(frames ...ws.Frame) {
	var b strings.Builder
	for _, f := range frames {
		_ = ws.WriteFrame(&b, ws.MaskFrame(f))
	}
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	_, _ = io.WriteString(c.conn, b.String())
}

// send writes Engine.IO packets at once, each in a frame: text, or binary if
// it begins with "b". That the server has closed the connection is no failure.
func (c *client) send(packets ...string) {
	frames := make([]ws.Frame, len(packets))
	for i, p := range packets {
		if p != "" && p[0] == 'b' {
			frames[i] = ws.NewBinaryFrame([]byte(p[1:]))
		} else {
			frames[i] = ws.NewTextFrame([]byte(p))
		}
	}
	c.write(frames...)
}

// next returns the next packet of the server.
func (c *client) next() string {
	c.t.Helper()
	select {
	case p := <-c.packets:
		return p
	case <-time.After(patience):
		c.t.Fatal("no packet came")
	case <-c.done:
		select {
		case p := <-c.packets:
			return p
		default:
			c.t.Fatal("the connection was closed")
		}
	}
	return ""
}

// want compares the next packets with what the server should have sent.
func (c *client) want(packets ...string) {
	c.t.Helper()
	for _, want := range packets {
		if got := c.next(); got != want {
			c.t.Fatalf("got packet %q, want %q", got, want)
		}
	}
}

// join joins a namespace and returns the id of the socket.
func (c *client) join(namespace string) string {
	c.t.Helper()
	c.send("40" + prefix(namespace))
	return sidOf(c.t, namespace, c.next())
}

func prefix(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + ","
}

func sidOf(t testing.TB, namespace, packet string) string {
	t.Helper()
	var reply struct{ Sid string }
	text, ok := strings.CutPrefix(packet, "0"+prefix(namespace))
	if err := json.Unmarshal([]byte(text), &reply); !ok || err != nil || reply.Sid == "" {
		t.Fatalf("%q is no answer to a connect to %s", packet, namespace)
	}
	return reply.Sid
}

// gone waits until the server has closed the connection.
func (c *client) gone() {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatal("the connection was not closed")
	}
}

// poller is a raw client over long-polling.
type poller struct {
	t    testing.TB
	n    *node
	http *http.Client
	sid  string
}

func poll(t testing.TB, n *node) *poller {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p := &poller{t: t, n: n, http: &http.Client{Transport: transport, Timeout: patience}}
	body, status := p.get()
	var open struct{ Sid string }
	if status != http.StatusOK || json.Unmarshal([]byte(body[1:]), &open) != nil {
		t.Fatalf("handshake answered with %d %s", status, body)
	}
	p.sid = open.Sid
	return p
}

func (p *poller) url() string {
	u := p.n.http.URL + "/socket.io/?EIO=4&transport=polling"
	if p.sid != "" {
		u += "&sid=" + p.sid
	}
	return u
}

func (p *poller) get() (body string, status int) {
	p.t.Helper()
	resp, err := p.http.Get(p.url())
	return p.answer(resp, err)
}

func (p *poller) post(packets ...string) (body string, status int) {
	p.t.Helper()
	resp, err := p.http.Post(p.url(), "text/plain", strings.NewReader(strings.Join(packets, "\x1e")))
	return p.answer(resp, err)
}

func (p *poller) answer(resp *http.Response, err error) (string, int) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
		return "", 0
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	return string(b), resp.StatusCode
}

// recv takes a value that must come.
func recv[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventually waits for a condition that must come true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("did not come true: " + what)
		}
	}
}

// logs gathers what a server logs.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// must fails the test if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// event is the packet of an event with arguments in JSON, as in event("a", "1").
func event(name string, args ...string) string {
	return fmt.Sprintf("2[%s]", strings.Join(append([]string{`"` + name + `"`}, args...), ","))
}
