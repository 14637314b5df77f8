package engineio

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/wheel"
	"github.com/roomspan/roomspan/server/internal/ws"
)

const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// Server serves the requests of Engine.IO clients. It is an http.Handler and
// does not look at the path.
type Server struct {
	cfg     Config
	flusher *outbound.Flusher
	wheel   *wheel.Wheel
	ws      ws.Options
	deflate *outbound.Compressor // nil if nothing is compressed
	wg      sync.WaitGroup       // goroutines of sessions
	keys    atomic.Uint32        // the key of the last session
	ended   chan struct{}        // closed by Close

	mu       sync.RWMutex
	sessions map[string]*Session // nil for an id that is reserved
	closed   bool
	draining bool
}

// NewServer returns a Server. Close ends it.
func NewServer(cfg Config) *Server {
	// Fine enough that a time-out is late by a small part of itself.
	tick := min(max(min(cfg.PingInterval, cfg.PingTimeout)/20, 5*time.Millisecond), 50*time.Millisecond)
	srv := &Server{
		cfg:     cfg,
		flusher: outbound.NewFlusher(),
		wheel:   wheel.New(tick),
		ws: ws.Options{
			Deflate:      cfg.Compression.WebSocket,
			MaxMessage:   cfg.MaxPayload,
			MaxFragments: cfg.MaxFragments,
			WriteTimeout: cfg.WriteTimeout,
		},
		ended:    make(chan struct{}),
		sessions: make(map[string]*Session),
	}
	if c := cfg.Compression; c.WebSocket || c.Polling {
		srv.deflate = outbound.NewCompressor(c.Level, c.Threshold, &cfg.Counters.Compression)
	}
	return srv
}

// Wheel returns the timing wheel of the server, for the layers above.
func (srv *Server) Wheel() *wheel.Wheel { return srv.wheel }

// Close refuses new clients, closes all sessions with reason and waits until
// their goroutines have ended. When ctx ends, connections that are left are cut.
func (srv *Server) Close(ctx context.Context, reason string) error {
	srv.mu.Lock()
	if !srv.closed {
		srv.closed = true
		close(srv.ended)
	}
	all := srv.sessionsLocked()
	srv.mu.Unlock()
	for _, s := range all {
		s.Close(reason)
	}
	done := make(chan struct{})
	go func() {
		srv.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		for _, s := range all {
			s.terminate()
		}
		<-done
	}
	for _, s := range all {
		s.terminate()
	}
	srv.flusher.Close()
	srv.wheel.Close()
	return err
}

func (srv *Server) sessionsLocked() []*Session {
	all := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// run starts the goroutine that reads a WebSocket, unless the server is closed.
func (srv *Server) run(s *Session, r *wsReader) {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	if srv.closed {
		_ = r.conn.Close()
		return
	}
	srv.wg.Go(func() { s.serve(r) })
}

// newSession makes a session known by an id that has been reserved, or returns
// nil when the server is closed.
func (srv *Server) newSession(r *http.Request, conn *ws.Conn, id string) *Session {
	s := &Session{srv: srv, id: id, key: srv.keys.Add(1), conn: conn}
	if s.v3 = srv.speaks3(r); s.v3 {
		s.inBase64 = r.URL.Query().Get("b64") != ""
	}
	s.rcv = srv.cfg.Accept(s, r)
	srv.mu.Lock()
	if srv.closed {
		delete(srv.sessions, id)
		srv.mu.Unlock()
		s.state = stateClosed
		s.rcv.Closed(ReasonForcedClose)
		return nil
	}
	srv.sessions[s.id] = s
	srv.mu.Unlock()
	srv.cfg.Counters.Sessions.Add(1)
	srv.cfg.Counters.Opened.Add(1)
	s.mu.Lock()
	if s.state == stateOpen {
		first := srv.cfg.PingInterval
		if s.v3 {
			first += srv.cfg.PingTimeout
		}
		srv.wheel.Set(&s.heartbeat, s, first)
	}
	s.mu.Unlock()
	return s
}

func (srv *Server) forget(s *Session) {
	srv.mu.Lock()
	_, known := srv.sessions[s.id]
	delete(srv.sessions, s.id)
	srv.mu.Unlock()
	if known {
		srv.cfg.Counters.Sessions.Add(-1)
	}
}

// accepting reports whether new clients are let in.
func (srv *Server) accepting() bool {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return !srv.closed && !srv.draining
}

func (srv *Server) find(sid string) *Session {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return srv.sessions[sid]
}

// speaks3 reports whether a handshake is of version 3.
func (srv *Server) speaks3(r *http.Request) bool {
	return srv.cfg.EIO3 && version(r.URL.Query()) == 3
}

// openPacket is the first packet of a session (Engine.IO v4, "Handshake").
// Version 3 has no maxPayload, though Node tells it of it.
func (srv *Server) openPacket(id string, v3, upgrade bool) string {
	upgrades, maxPayload := "", ""
	if upgrade {
		upgrades = `"` + transportWebSocket + `"`
	}
	if !v3 {
		maxPayload = `,"maxPayload":` + strconv.Itoa(srv.cfg.MaxPayload)
	}
	return `0{"sid":"` + id + `","upgrades":[` + upgrades + `],"pingInterval":` + milliseconds(srv.cfg.PingInterval) +
		`,"pingTimeout":` + milliseconds(srv.cfg.PingTimeout) + maxPayload + `}`
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// ServeHTTP implements http.Handler. The order of its checks is that of
// engine.io, since clients and test suites see it in the error codes.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	query := r.URL.Query()
	if !srv.CORS(w.Header(), r) {
		srv.reject(w, r, errForeignOrigin)
		return
	}
	if r.Method == http.MethodOptions && len(srv.cfg.Origins) > 0 {
		preflight(w, r)
		return
	}
	s, no := srv.verify(r, query)
	if no != nil {
		srv.reject(w, r, no)
		return
	}
	switch upgrade := query.Get("transport") == transportWebSocket; {
	case s == nil:
		srv.handshake(w, r, upgrade)
	case upgrade:
		srv.probeWebSocket(w, r, w.Header(), s)
	case r.Method == http.MethodGet:
		s.get(w, r)
	case r.Method == http.MethodPost:
		s.post(w, r)
	default:
		srv.reject(w, r, errBadMethod)
	}
}

// verify finds the session of a request, nil for a handshake, or the reason to
// refuse it.
func (srv *Server) verify(r *http.Request, query url.Values) (*Session, *refusal) {
	transport := query.Get("transport")
	upgrade := ws.IsUpgrade(r)
	switch {
	case len(query["transport"]) != 1,
		transport != transportPolling && transport != transportWebSocket,
		transport == transportPolling && !srv.cfg.Polling && !query.Has("sid"),
		transport == transportWebSocket && !srv.cfg.WebSocket:
		return nil, errUnknownTransport
	case strings.ContainsFunc(r.Header.Get("Origin"), isControl):
		return nil, errInvalidOrigin
	}
	if query.Has("sid") {
		s := srv.find(query.Get("sid"))
		switch {
		case s == nil:
			return nil, errUnknownSession
		case version(query) != s.Version():
			return nil, errProtocolMismatch // not the version of the handshake
		case upgrade != (transport == transportWebSocket):
			return nil, errTransportMismatch
		case upgrade && srv.cfg.NoUpgrades, !upgrade && s.Transport() != transport:
			return nil, errTransportMismatch
		}
		return s, nil
	}
	switch {
	case r.Method != http.MethodGet:
		return nil, errBadMethod
	case upgrade != (transport == transportWebSocket):
		return nil, errTransportHandshake
	case version(query) != 4 && (version(query) != 3 || !srv.cfg.EIO3),
		query.Has("j") && !srv.cfg.EIO3:
		return nil, errUnsupportedVersion
	}
	return nil, nil
}

// version returns the version of the protocol that a request names, or 0. One
// that names none is of version 3, as on Node, where also whatever else stands
// there is taken for a 3.
func version(query url.Values) int {
	switch eio := query.Get("EIO"); {
	case eio == "4":
		return 4
	case eio == "3", !query.Has("EIO"):
		return 3
	}
	return 0
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
