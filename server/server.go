package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// Server is a Socket.IO server: an http.Handler for the requests of clients,
// to be mounted at the path that clients use, "/socket.io/" by default. It
// owns no listener. It embeds its main namespace, "/". All methods may be
// called concurrently.
type Server struct {
	*Namespace
	cfg      config
	id       string
	engine   *engineio.Server
	counters counters
	bundle   clientBundle // nil for none
	draining atomic.Bool

	mu         sync.RWMutex
	namespaces map[string]*Namespace
	parents    []parentRule // only appended to
	children   int          // namespaces that have a parent
	closing    map[string]chan struct{}
	closed     bool

	onNamespace atomic.Pointer[[]func(*Namespace)]

	workers workers // goroutines that run handlers, and teardowns
	pool    *pool   // those of them that sockets share
}

// New returns a server. It does no network I/O: with [WithAdapter] the server
// begins to connect to its cluster in the background. The error is an
// [OptionError], or that of a back-end whose configuration is not valid.
func New(opts ...Option) (*Server, error) {
	s, err := configure(opts)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.backend.Start(node{s}); err != nil {
		return nil, err
	}
	s.engine = engineio.NewServer(s.engineConfig())
	s.pool = newPool(s.engine.Wheel())
	ns, err := s.Of("/")
	if err != nil {
		_ = s.Shutdown(context.Background())
		return nil, err
	}
	s.Namespace = ns
	if s.cfg.recovery != nil && ns.recovery == nil {
		s.cfg.logger.Warn("socket.io: the adapter keeps no packets: connection state recovery is off")
	}
	return s, nil
}

// configure returns a server that has not been started.
func configure(opts []Option) (*Server, error) {
	s := &Server{
		cfg:        defaults(),
		namespaces: make(map[string]*Namespace),
		closing:    make(map[string]chan struct{}),
		workers:    newWorkers(),
	}
	s.onNamespace.Store(new([]func(*Namespace)))
	for _, opt := range opts {
		opt(&s.cfg)
	}
	if err := s.cfg.validate(); err != nil {
		return nil, err
	}
	s.cfg.codec = s.cfg.argsCodec()
	if err := s.bundle.load(s.cfg.http.bundle); err != nil {
		return nil, err
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	s.id = hex.EncodeToString(id[:])
	return s, nil
}

func (s *Server) engineConfig() engineio.Config {
	cfg := engineio.Config{
		PingInterval:   s.cfg.pingInterval,
		PingTimeout:    s.cfg.pingTimeout,
		UpgradeTimeout: s.cfg.upgradeTimeout,
		WriteTimeout:   s.cfg.writeTimeout,
		CloseTimeout:   min(s.cfg.writeTimeout, 10*time.Second),
		MaxPayload:     s.cfg.maxPayload,
		MaxFragments:   1024,
		QueuePackets:   s.cfg.queuePackets,
		QueueBytes:     s.cfg.queueBytes,
		NoUpgrades:     s.cfg.noUpgrades,
		EIO3:           s.cfg.eio3,
		Polling:        s.cfg.polling,
		WebSocket:      s.cfg.webSocket,
		Compression:    s.cfg.compression,
		Origins:        s.cfg.origins,
		Logger:         s.cfg.logger,
		Counters:       &s.counters.engine,
		Accept:         s.accept,
	}
	s.hooks(&cfg)
	return cfg
}

// node is the server as its back-end sees it.
type node struct{ s *Server }

func (n node) NodeID() string       { return n.s.id }
func (n node) Logger() *slog.Logger { return n.s.cfg.logger }

// NodeID returns the id of this node in the cluster: 16 hexadecimal digits,
// made anew for each Server.
func (s *Server) NodeID() string { return s.id }

// ServeHTTP implements http.Handler: it serves long-polling requests and takes
// over the connections of WebSockets. Of the path it looks only at the last
// element, and only with [WithClientBundle].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.bundle != nil && s.serveBundle(w, r) {
		return
	}
	s.engine.ServeHTTP(w, r)
}

// Of returns the namespace of that name, and makes it if there is none: from
// then on clients can connect to it. A missing leading slash is added, as on
// Node. The error is [ErrClosed], an [OptionError] for a name that cannot be
// written in a packet, or that of the adapter.
func (s *Server) Of(name string) (*Namespace, error) {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	if strings.ContainsAny(name, ",?") || !utf8.ValidString(name) {
		return nil, &OptionError{"Of", "the name of a namespace is UTF-8 without comma and question mark"}
	}
	return s.open(name, nil)
}

func (s *Server) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// Ready blocks until this node hears the other nodes and can reach them, or
// until ctx ends; then the error says what is missing. Without a cluster it
// returns at once. Clients of this node are served in either case. Once Drain
// or Shutdown has begun the error is [ErrClosed].
func (s *Server) Ready(ctx context.Context) error {
	if s.draining.Load() {
		return ErrClosed
	}
	return s.cfg.backend.Ready(ctx)
}

// Drain ends the server slowly, for the restart of one node after another: it
// refuses new clients with 503, makes [Server.Ready] fail so that a balancer
// looks elsewhere, disconnects the clients that are there one by one, evenly
// spread over window, and then calls [Server.Shutdown] with ctx. Clients see
// their transport close, and so reconnect by themselves, a few at a time; a
// DISCONNECT packet would keep them away. Their sockets end with
// [ReasonServerShuttingDown]. It ends early when no client is left; when ctx
// ends, the rest of the clients is disconnected at once and its error returned.
// A window of 0 or less is that of Shutdown.
func (s *Server) Drain(ctx context.Context, window time.Duration) error {
	s.draining.Store(true)
	s.engine.Drain(ctx, window, string(ReasonServerShuttingDown))
	return s.Shutdown(ctx)
}

// Shutdown ends the server: new clients are refused with 503, all clients are
// disconnected with [ReasonServerShuttingDown] after what is queued for them
// has been sent (they reconnect by themselves, to whoever serves them then),
// handlers under way are waited for, and the back-end is closed. When ctx ends
// first, connections are cut and its error is returned; handlers that still
// run are then no longer waited for. Further calls return nil.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.draining.Store(true)
	err := s.engine.Close(ctx, string(ReasonServerShuttingDown))
	if werr := s.workers.wait(ctx); err == nil {
		err = werr
	}
	if cerr := s.cfg.backend.Close(ctx); err == nil {
		err = cerr
	}
	if werr := s.workers.wait(ctx); err == nil {
		err = werr // the bus may have brought something until it was closed
	}
	s.pool.close()
	if err == nil {
		s.pool.wait()
	}
	return err
}
