package server_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

func TestInvalidOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []server.Option
	}{
		{"WithAdapter", []server.Option{server.WithAdapter(nil)}},
		{"WithLogger", []server.Option{server.WithLogger(nil)}},
		{"WithPingInterval", []server.Option{server.WithPingInterval(0), server.WithPingInterval(-time.Second),
			server.WithPingInterval(time.Microsecond)}},
		{"WithPingTimeout", []server.Option{server.WithPingTimeout(0)}},
		{"WithConnectTimeout", []server.Option{server.WithConnectTimeout(0)}},
		{"WithUpgradeTimeout", []server.Option{server.WithUpgradeTimeout(0)}},
		{"WithWriteTimeout", []server.Option{server.WithWriteTimeout(0)}},
		{"WithAckTimeout", []server.Option{server.WithAckTimeout(0)}},
		{"WithMaxPayload", []server.Option{server.WithMaxPayload(63), server.WithMaxPayload(-1)}},
		{"WithMaxAttachments", []server.Option{server.WithMaxAttachments(0)}},
		{"WithQueueLimit", []server.Option{server.WithQueueLimit(0, 1), server.WithQueueLimit(1, 0)}},
		{"WithInboundLimit", []server.Option{server.WithInboundLimit(0, 1), server.WithInboundLimit(1, 0)}},
		{"WithTransports", []server.Option{server.WithTransports(false, false)}},
		{"WithOrigins", []server.Option{server.WithOrigins(""), server.WithOrigins("example.com"),
			server.WithOrigins("https://"), server.WithOrigins("https://example.com/"), server.WithOrigins("*", "null"),
			server.WithOrigins("http://a b"), server.WithOrigins("https://example.com?x"), server.WithOrigins("https://a@example.com"),
			server.WithOrigins("https://example.com#x")}},
		{"WithCookie", []server.Option{server.WithCookie(http.Cookie{Name: "a b"}), server.WithCookie(http.Cookie{Path: "/;"}),
			server.WithCookie(http.Cookie{Domain: "a b"}), server.WithCookie(http.Cookie{SameSite: http.SameSiteNoneMode})}},
		{"WithRateLimit", []server.Option{server.WithRateLimit(0, 1), server.WithRateLimit(-1, 1), server.WithRateLimit(math.NaN(), 1),
			server.WithRateLimit(math.Inf(1), 1), server.WithRateLimit(1, 0), server.WithRateLimit(1, -1)}},
		{"WithCompressionLevel", []server.Option{server.WithCompressionLevel(0, 1), server.WithCompressionLevel(10, 1),
			server.WithCompressionLevel(-1, 1), server.WithCompressionLevel(1, 0), server.WithCompressionLevel(1, -1)}},
		{"WithClientBundle", []server.Option{server.WithClientBundle(nil)}},
	} {
		for _, opt := range tt.opts {
			s, err := server.New(opt)
			var oe *server.OptionError
			if s != nil || !errors.As(err, &oe) || oe.Option != tt.name || oe.Reason == "" {
				t.Errorf("%s: got %v", tt.name, err)
			}
		}
	}
}

func TestValidOptions(t *testing.T) {
	s, err := server.New(
		server.WithPingInterval(time.Millisecond), server.WithMaxPayload(64), server.WithMaxAttachments(1),
		server.WithQueueLimit(1, 1), server.WithInboundLimit(1, 1), server.WithTransports(false, true),
		server.WithOrigins("*", "https://example.com", "http://localhost:3000", "capacitor://localhost"),
		server.WithCookie(http.Cookie{}), server.WithRateLimit(0.001, 1), server.WithAllowRequest(nil),
		server.WithConnectionErrorHandler(nil), server.WithIDs(nil, nil),
		server.WithCompression(false, true), server.WithCompressionLevel(9, 1),
	)
	must(t, err)
	if len(s.NodeID()) != 16 {
		t.Errorf("node id %q", s.NodeID())
	}
	must(t, s.Ready(t.Context()))
	must(t, s.Shutdown(t.Context()))
}

func TestOf(t *testing.T) {
	n := start(t)
	a := n.of(t, "/a")
	if b := n.of(t, "a"); a != b || a.Name() != "/a" {
		t.Error("/a and a are two namespaces")
	}
	if main := n.of(t, ""); main != n.Namespace || n.Name() != "/" {
		t.Error("the main namespace is not /")
	}
	for _, name := range []string{"/a,b", "/a?b", "/\xff"} {
		var oe *server.OptionError
		if _, err := n.Of(name); !errors.As(err, &oe) {
			t.Errorf("Of(%q): %v", name, err)
		}
	}
}

// broken is a back-end that fails where it is told to.
type broken struct {
	adapter.Backend
	start, open error
	closed      int
	delay       time.Duration // of Add
}

// late is an adapter whose index learns of a socket late.
type late struct {
	adapter.Adapter
	delay time.Duration
}

func (l late) Add(s adapter.Socket, rooms ...string) bool {
	time.Sleep(l.delay)
	return l.Adapter.Add(s, rooms...)
}

func (b *broken) Start(n adapter.Node) error {
	if b.start != nil {
		return b.start
	}
	return b.Backend.Start(n)
}

func (b *broken) Open(h adapter.Host) (adapter.Adapter, error) {
	if b.open != nil {
		return nil, b.open
	}
	a, err := b.Backend.Open(h)
	if b.delay > 0 {
		a = late{a, b.delay}
	}
	return a, err
}

func (b *broken) Close(ctx context.Context) error {
	b.closed++
	return b.Backend.Close(ctx)
}

func TestBackendThatFails(t *testing.T) {
	cause := errors.New("redis: bad URL")
	b := &broken{Backend: adapter.Memory(), start: cause}
	if _, err := server.New(server.WithAdapter(b)); !errors.Is(err, cause) || b.closed != 0 {
		t.Errorf("New: %v, closed %d times", err, b.closed)
	}
	b = &broken{Backend: adapter.Memory(), open: cause}
	if _, err := server.New(server.WithAdapter(b)); !errors.Is(err, cause) || b.closed != 1 {
		t.Errorf("New: %v, closed %d times", err, b.closed)
	}
	b = &broken{Backend: adapter.Memory()}
	n := start(t, server.WithAdapter(b))
	b.open = cause
	if _, err := n.Of("/a"); !errors.Is(err, cause) {
		t.Errorf("Of: %v", err)
	}
	b.open = nil
	n.of(t, "/a")
}
