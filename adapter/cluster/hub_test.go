package cluster_test

import (
	"bufio"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// hub passes lines on between connections. It is what a message broker would
// be, and no part of the back-end over it.
type hub struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex // held while a line is passed on, so that all have one order
	conns map[net.Conn]struct{}
}

func newHub() (*hub, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hub{listener: l, conns: make(map[net.Conn]struct{})}
	h.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.serving.Go(func() { h.serve(c) })
		}
	})
	return h, nil
}

func (h *hub) addr() string { return h.listener.Addr().String() }

func (h *hub) serve(c net.Conn) {
	h.mu.Lock()
	h.conns[c] = struct{}{}
	_, _ = c.Write([]byte("\n"))
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
		_ = c.Close()
	}()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		h.mu.Lock()
		for other := range h.conns {
			if other != c {
				_ = other.SetWriteDeadline(time.Now().Add(5 * time.Second))
				_, _ = other.Write(append(lines.Bytes(), '\n'))
			}
		}
		h.mu.Unlock()
	}
}

// cut ends all connections.
func (h *hub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		_ = c.Close()
	}
}

func (h *hub) close() {
	_ = h.listener.Close()
	h.cut()
	h.serving.Wait()
}

type hubNode string

func (n hubNode) NodeID() string     { return string(n) }
func (hubNode) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func runHub(t *testing.T) *hub {
	t.Helper()
	h, err := newHub()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

// TestHubBackend holds that the back-end of the example is a whole one.
func TestHubBackend(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) func() adapter.Backend {
		h := runHub(t)
		return func() adapter.Backend { return NewHubBackend(h.addr()) }
	}, adaptertest.Abilities{})
}

// TestHubBackendFaults holds that it skips what it cannot read.
func TestHubBackendFaults(t *testing.T) {
	adaptertest.RunFaults(t, func(t *testing.T) adaptertest.Faults {
		h := runHub(t)
		return adaptertest.Faults{
			Backend: func(string) adapter.Backend { return NewHubBackend(h.addr()) },
			Poison: func() int {
				conn, err := net.Dial("tcp", h.addr())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				lines := []string{"x", "{", "[]", "null", `{"Namespace":"/"}`, `{"Namespace":"/","Message":7}`}
				if _, err := conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
					t.Fatal(err)
				}
				return len(lines)
			},
		}
	}, adaptertest.Abilities{})
}

// TestHubBackendOutage holds that it finds the hub again, and sends then what
// was published meanwhile.
func TestHubBackendOutage(t *testing.T) {
	h := runHub(t)
	var nodes []adapter.Adapter
	var backends []*HubBackend
	for _, id := range []string{"a", "b"} {
		b := NewHubBackend(h.addr())
		backends = append(backends, b)
		if err := b.Start(hubNode(id)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close(t.Context()) })
		a, err := b.Open(adaptertest.NewHost("/"))
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, a)
		if err := b.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	client := adaptertest.NewSocket("client")
	nodes[1].Add(client)
	h.cut()
	for _, b := range backends {
		for b.Stats().Reconnects == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := nodes[0].Broadcast(packet, all, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); len(client.Received()) == 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("nothing came after the outage")
		}
	}
}

// TestHubBackendLines holds what the guide says of the length of the example,
// without comments and empty lines.
func TestHubBackendLines(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	backend, _, ok := strings.Cut(string(source), "// Example connects")
	if !ok {
		t.Fatal("where does the back-end end?")
	}
	lines := 0
	for line := range strings.Lines(backend) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	guide, err := os.ReadFile("../../docs/adapters.md")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`in (\d+) lines`).FindSubmatch(guide)
	if said == nil || string(said[1]) != strconv.Itoa(lines) {
		t.Errorf("the back-end has %d lines, docs/adapters.md says %q", lines, said)
	}
}
