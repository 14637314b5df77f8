package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// node is one server of a cluster, with one namespace and a socket in it.
type node struct {
	t       testing.TB
	backend *redis.Backend
	adapter adapter.Adapter
	host    *host
	log     *logBuffer
}

type nodeOptions struct {
	namespace string
	rooms     []string
	emits     bool // it only emits, and has no socket
}

func start(t testing.TB, backend *redis.Backend, opts nodeOptions) *node {
	t.Helper()
	n := &node{t: t, backend: backend, log: &logBuffer{}}
	n.host = &host{namespace: opts.namespace}
	if n.host.namespace == "" {
		n.host.namespace = "/"
	}
	who := adapter.Node(server{n.log})
	if opts.emits {
		who = emitter{server{n.log}}
	}
	if err := backend.Start(who); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = backend.Close(ctx)
	})
	a, err := backend.Open(n.host)
	if err != nil {
		t.Fatal(err)
	}
	n.adapter = a
	if !opts.emits {
		a.Add(&socket{id: "socket"}, opts.rooms...)
	}
	return n
}

func (n *node) ready() *node {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.backend.Ready(ctx); err != nil {
		n.t.Fatalf("%v\n%s", err, n.log)
	}
	return n
}

func (n *node) emit(args string, rooms ...string) time.Duration {
	n.t.Helper()
	begin := time.Now()
	if err := n.adapter.Broadcast(&adapter.Packet{Args: []byte(args)}, adapter.Selector{Rooms: rooms}, adapter.Flags{}); err != nil {
		n.t.Fatal(err)
	}
	return time.Since(begin)
}

// wait waits until the host has been given all of want, and returns
// everything.
func (n *node) wait(want ...string) []string {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := n.host.events()
		missing := slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(got, w) })
		if !missing {
			return got
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("got %d events, the last %q, want %q\n%s", len(got), got[max(0, len(got)-5):], want, n.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

type server struct{ log *logBuffer }

func (s server) NodeID() string       { return "node" }
func (s server) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(s.log, nil)) }

type emitter struct{ server }

func (emitter) EmitsOnly() bool { return true }

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

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

type socket struct {
	id         string
	membership adapter.Membership
}

func (s *socket) ID() string                      { return s.id }
func (s *socket) Membership() *adapter.Membership { return &s.membership }

// host records what an adapter asks of it.
type host struct {
	namespace string

	mu           sync.Mutex
	delivered    []string
	attachments  [][]byte
	flags        []adapter.Flags
	disconnected int
	cut          []string // "id closeConn", of each that was disconnected
}

func (h *host) events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.delivered)
}

func (h *host) Namespace() string { return h.namespace }

func (h *host) Deliver(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range to {
		h.delivered = append(h.delivered, string(p.Args))
		h.attachments = append(h.attachments, p.Attachments...)
		h.flags = append(h.flags, flags)
	}
}

func (h *host) Ask(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket], _ time.Duration, answer func(*adapter.Packet)) int {
	h.Deliver(p, flags, to)
	n := 0
	for range to {
		n++
		answer(&adapter.Packet{Args: []byte(`["pong"]`)})
	}
	return n
}

func (h *host) Describe(s adapter.Socket) adapter.SocketInfo {
	return adapter.SocketInfo{ID: s.ID(), Rooms: []string{s.ID()}, Data: []byte(`{}`), Handshake: []byte(`{}`)}
}

func (h *host) Disconnect(s adapter.Socket, closeConn bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disconnected++
	h.cut = append(h.cut, fmt.Sprint(s.ID(), " ", closeConn))
}

func (h *host) ServerSideEvent(p *adapter.Packet, reply func(*adapter.Packet)) {
	h.mu.Lock()
	h.delivered = append(h.delivered, "server:"+string(p.Args))
	h.attachments = append(h.attachments, p.Attachments...)
	h.mu.Unlock()
	if reply != nil {
		reply(&adapter.Packet{Args: []byte(`["pong"]`)})
	}
}
