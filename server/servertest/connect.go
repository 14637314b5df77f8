package servertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/internal/parser"
)

const defaultTimeout = 5 * time.Second

// New returns a server that is shut down when the test ends. An option that is
// not valid ends the test; a shutdown that takes more than 5 s, because a
// handler does not return, fails it.
func New(t testing.TB, opts ...server.Option) *server.Server {
	t.Helper()
	s, err := server.New(opts...)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("servertest: shutdown of the server: %v", err)
		}
	})
	return s
}

// An Option changes how a client connects.
type Option func(*config)

type config struct {
	namespace string
	auth      any
	header    http.Header
	query     url.Values
	timeout   time.Duration
}

// Namespace sets the namespace that the client joins. A missing leading slash
// is added. Default: "/".
func Namespace(name string) Option { return func(c *config) { c.namespace = name } }

// Auth sets what handlers see as the Auth of the handshake: a value whose JSON
// form is an object. Default: nil, which sends none.
func Auth(v any) Option { return func(c *config) { c.auth = v } }

// Header sets headers of the request with which the client connects, such as
// Origin, Cookie or Host. Default: Host is example.com.
func Header(h http.Header) Option { return func(c *config) { c.header = h } }

// Query sets query parameters of that request, besides those of the protocol:
// EIO and transport. Default: none.
func Query(q url.Values) Option { return func(c *config) { c.query = q } }

// Timeout sets how long the client waits for what must come. Default: 5 s.
func Timeout(d time.Duration) Option { return func(c *config) { c.timeout = d } }

// A HandshakeError is the error of [TryConnect] for a request that was answered
// otherwise than with a WebSocket.
type HandshakeError struct {
	StatusCode int
	Body       string // at most its first 4096 bytes
}

// Error implements error.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("servertest: handshake answered with status %d: %s", e.StatusCode, strings.TrimSpace(e.Body))
}

// Connect returns a client that has joined its namespace, and ends the test if
// it is refused. The handler is a *server.Server, or one that leads requests
// for "/socket.io/" to it, by WebSocket, the only transport of the client. The
// client is closed when the test ends; the server is not shut down.
//
// The client counts as connected when the server has said so: functions given
// to OnConnection may still be running.
func Connect(t testing.TB, h http.Handler, opts ...Option) *Client {
	t.Helper()
	c, err := TryConnect(t, h, opts...)
	if err != nil {
		t.Fatalf("servertest: connect: %v", err)
	}
	return c
}

// TryConnect is [Connect] for a client that may be refused. Errors: a
// *[server.ConnectError] as a client gets it, with Data as encoding/json decodes
// into any; a *[HandshakeError]; [server.ErrDisconnected] if the server closed
// the connection; [context.DeadlineExceeded] if it did not answer in time; that
// of encoding the Auth option.
func TryConnect(t testing.TB, h http.Handler, opts ...Option) (*Client, error) {
	t.Helper()
	cfg := config{namespace: "/", timeout: defaultTimeout}
	for _, opt := range opts {
		opt(&cfg)
	}
	if !strings.HasPrefix(cfg.namespace, "/") {
		cfg.namespace = "/" + cfg.namespace
	}
	join, err := cfg.joinPacket()
	if err != nil {
		return nil, err
	}
	conn, early, err := dial(h, &cfg)
	if err != nil {
		return nil, err
	}
	if early == nil {
		early = bufio.NewReader(conn)
	}
	c := newClient(t, conn, join, &cfg)
	go c.write()
	go c.read(early)
	t.Cleanup(c.end)
	if err := c.joined(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

var errAuth = errors.New("servertest: the JSON form of Auth is no object")

// joinPacket returns the packet with which the client joins its namespace.
func (cfg *config) joinPacket() (*parser.Packet, error) {
	p := &parser.Packet{Type: parser.Connect, Namespace: cfg.namespace}
	if cfg.auth == nil {
		return p, nil
	}
	auth, err := json.Marshal(cfg.auth)
	if err != nil {
		return nil, fmt.Errorf("servertest: Auth: %w", err)
	}
	if auth[0] != '{' {
		return nil, errAuth
	}
	p.Data = auth
	return p, nil
}

// url returns the address of the request. Its host is that of
// httptest.NewRequest, reserved for examples.
func (cfg *config) url() *url.URL {
	query := url.Values{}
	maps.Copy(query, cfg.query)
	query.Set("EIO", "4")
	query.Set("transport", "websocket")
	return &url.URL{Scheme: "ws", Host: "example.com", Path: "/socket.io/", RawQuery: query.Encode()}
}
