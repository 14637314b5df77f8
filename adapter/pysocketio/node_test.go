package pysocketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// The ids of sockets in these tests: one here, one of a Python node.
const (
	sid      = "AAAAAAAAAAAAAAAAAAAA"
	theirSID = "BBBBBBBBBBBBBBBBBBBB"
)

// node is a node with the namespace "/" and one socket, which is in "room".
type node struct {
	adapter.Adapter
	t       *testing.T
	backend *pysocketio.Backend
	host    *adaptertest.Host
	socket  *adaptertest.Socket
	log     logBuffer
}

func (n *node) NodeID() string       { return "node" }
func (n *node) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(&n.log, nil)) }

// emitter is a node that only emits.
type emitter struct{ *node }

func (emitter) EmitsOnly() bool { return true }

func start(t *testing.T, b *pysocketio.Backend) *node {
	t.Helper()
	n := &node{t: t, backend: b, host: adaptertest.NewHost("/"), socket: adaptertest.NewSocket(sid)}
	n.open(n)
	n.Add(n.socket, "room")
	n.ready()
	return n
}

// startEmitter starts a process that has no clients.
func startEmitter(t *testing.T, b *pysocketio.Backend) *node {
	t.Helper()
	n := &node{t: t, backend: b, host: adaptertest.NewHost("/")}
	n.open(emitter{n})
	n.ready()
	return n
}

// open starts the back-end for who, and opens the namespace.
func (n *node) open(who adapter.Node) {
	t, b := n.t, n.backend
	t.Helper()
	if err := b.Start(who); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(ctx)
		n.host.Wait()
	})
	a, err := b.Open(n.host)
	if err != nil {
		t.Fatal(err)
	}
	n.Adapter = a
	n.host.Use(a)
}

// ready waits until the back-end is.
func (n *node) ready() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.backend.Ready(ctx); err != nil {
		n.t.Fatal(err)
	}
}

// await waits until the socket has received want, and nothing else.
func (n *node) await(want ...string) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%d events", len(want)), func() bool { return len(n.socket.Received()) >= len(want) })
	var got []string
	for _, d := range n.socket.Received() {
		got = append(got, string(d.Packet.Args))
	}
	if !slices.Equal(got, want) {
		n.t.Fatalf("received %q, want %q", got, want)
	}
}

// logBuffer collects lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// peer is a Python node, word by word: it listens to the channel.
type peer struct {
	t      *testing.T
	client *goredis.Client
	heard  <-chan *goredis.Message
}

func newPeer(t *testing.T, r *miniredis.Miniredis) *peer {
	t.Helper()
	p := &peer{t: t, client: goredis.NewClient(&goredis.Options{Addr: r.Addr()})}
	sub := p.client.Subscribe(t.Context(), "socketio")
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.heard = sub.Channel(goredis.WithChannelSize(4096))
	t.Cleanup(func() {
		_ = sub.Close()
		_ = p.client.Close()
	})
	return p
}

func (p *peer) say(payload string) {
	p.t.Helper()
	if err := p.client.Publish(p.t.Context(), "socketio", payload).Err(); err != nil {
		p.t.Fatal(err)
	}
}

// hear returns the next message that the peer has not said itself, and its
// members.
func (p *peer) hear() (string, map[string]any) {
	p.t.Helper()
	for {
		select {
		case m := <-p.heard:
			var members map[string]any
			if err := json.Unmarshal([]byte(m.Payload), &members); err != nil {
				p.t.Fatalf("%q: %v", m.Payload, err)
			}
			id, _ := members["host_id"].(string)
			if strings.HasPrefix(id, "roomspan-") != (members["method"] == "callback") {
				return m.Payload, members
			}
		case <-time.After(patience):
			p.t.Fatal("nothing was published")
		}
	}
}

// expect hears a message, of which HOST stands for the id of the node.
func (p *peer) expect(want string) {
	p.t.Helper()
	got, members := p.hear()
	host, _ := members["host_id"].(string)
	if want := strings.ReplaceAll(want, "HOST", host); got != want {
		p.t.Errorf("published %s\nwant      %s", got, want)
	}
}
