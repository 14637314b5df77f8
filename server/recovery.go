package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// Recovery says how the state of connections is recovered; see
// [WithConnectionStateRecovery]. A zero field stands for its default.
type Recovery struct {
	// MaxDisconnection is how long a client may be cut off. Default: 2 min,
	// as on Node; at least 1 ms.
	MaxDisconnection time.Duration

	// RunMiddleware has the middleware of [Namespace.Use] run for sockets that
	// are recovered too. By default it is skipped for them, as on Node: it has
	// let the client in before.
	RunMiddleware bool

	// MaxPackets and MaxBytes bound the packets that one namespace keeps in
	// the memory of this node. Those beyond are counted in [Stats], and a
	// client that missed one of them is not recovered. Default: 10,000 packets
	// and 16 MiB; at least 1 each.
	MaxPackets, MaxBytes int

	// MaxSessions bounds the clients of one namespace that are cut off at one
	// time and whose state is kept in the memory of this node. The oldest
	// beyond are counted in [Stats] and not recovered. Default: 50,000; at
	// least 1.
	MaxSessions int
}

// WithConnectionStateRecovery lets a client that was cut off come back as the
// socket that it was: with its id, rooms and data, and with all packets that
// it missed, in order and before any other; or, if that is not possible, as a
// new one. See "Connection state recovery" in the documentation of the
// package. It is without effect, but for a line in the log, with an adapter
// that cannot keep packets, such as that for plain Redis Pub/Sub. Default: off.
func WithConnectionStateRecovery(r Recovery) Option {
	return func(c *config) {
		setDefault(&r.MaxDisconnection, 2*time.Minute)
		setDefault(&r.MaxPackets, 10_000)
		setDefault(&r.MaxBytes, 16<<20)
		setDefault(&r.MaxSessions, 50_000)
		c.recovery = &r
	}
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (r *Recovery) validate() error {
	const option = "WithConnectionStateRecovery"
	if r == nil {
		return nil
	}
	if r.MaxDisconnection < time.Millisecond {
		return &OptionError{option, fmt.Sprintf("MaxDisconnection: %v is less than 1ms", r.MaxDisconnection)}
	}
	if n := min(r.MaxPackets, r.MaxBytes, r.MaxSessions); n < 1 {
		return &OptionError{option, fmt.Sprintf("a bound of %d is less than 1", n)}
	}
	return nil
}

// Recovery implements adapter.RecoveryHost.
func (h host) Recovery() adapter.Recovery {
	r := h.ns.srv.cfg.recovery
	if r == nil {
		return adapter.Recovery{}
	}
	return adapter.Recovery{
		MaxDisconnection: r.MaxDisconnection,
		MaxPackets:       r.MaxPackets,
		MaxBytes:         r.MaxBytes,
		MaxSessions:      r.MaxSessions,
	}
}

// recoverable reports whether Node keeps the state of a client that was
// disconnected for this reason. That of a slow client, which Node does not
// know, is kept too: a network that has gone silent is mostly found out when a
// write does not get through.
func (r Reason) recoverable() bool {
	switch r {
	case ReasonTransportError, ReasonTransportClose, ReasonForcedClose, ReasonPingTimeout,
		ReasonServerShuttingDown, ReasonForcedServerClose, ReasonSlowClient:
		return true
	}
	return false
}

// restoreTimeout is how long a client that claims a session waits for it: for
// the adapter, and for the OnDisconnect handlers of the socket that it was.
const restoreTimeout = 5 * time.Second

// maxClaim is the length of the longest private id or offset that an adapter
// is asked for.
const maxClaim = 256

// recovering is what a namespace has when its clients are recovered.
type recovering struct {
	adapter adapter.Recoverer

	// live are the sockets by their private ids, from when they are connected
	// until their OnDisconnect handlers have returned. mu comes after conn.mu.
	mu   sync.Mutex
	live map[string]*Socket
}

func (s *Server) recovering(a adapter.Adapter) *recovering {
	r, ok := a.(adapter.Recoverer)
	if s.cfg.recovery == nil || !ok {
		return nil
	}
	return &recovering{adapter: r, live: make(map[string]*Socket)}
}

// privacy is what a socket has that can be recovered.
type privacy struct {
	id        string        // by which the client claims it: a secret of both
	ended     chan struct{} // closed when the OnDisconnect handlers have returned
	recovered bool          // written before the socket can be reached
}

func newPrivacy() *privacy {
	var id [15]byte
	_, _ = rand.Read(id[:])
	return &privacy{id: base64.RawURLEncoding.EncodeToString(id[:]), ended: make(chan struct{})}
}

// Recovered reports whether the socket is one whose state was recovered: it
// has the id, rooms and data of before, and its client all packets that it had
// missed. [Namespace.OnConnection] handlers are called for it once more.
func (s *Socket) Recovered() bool { return s.private != nil && s.private.recovered }

func (s *Socket) privateID() string {
	if s.private == nil {
		return ""
	}
	return s.private.id
}

func (r *recovering) begin(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[s.private.id] = s
}

func (r *recovering) end(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[s.private.id] == s {
		delete(r.live, s.private.id)
	}
	close(s.private.ended)
}

// await returns when the socket that had a private id is gone for good, so
// that its handlers do not take its end for that of the socket which is
// recovered. It reports false if there still is one: also a client whose
// connection lives as far as the server knows, though it claims otherwise, is
// not recovered, since it might be someone else.
func (r *recovering) await(ctx context.Context, privateID string) bool {
	r.mu.Lock()
	s := r.live[privateID]
	r.mu.Unlock()
	if s == nil {
		return true
	}
	s.conn.mu.Lock()
	cut := s.conn.closed || s.state == stateClosed
	s.conn.mu.Unlock()
	if !cut {
		return false
	}
	select {
	case <-s.private.ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// claim is what a client sends beside its auth payload when it wants to be
// recovered. It stays there, as on Node.
type claim struct {
	PrivateID string `json:"pid"`
	Offset    string `json:"offset"`
}

func (s *Socket) claim() (c claim, ok bool) {
	if s.private == nil {
		return claim{}, false
	}
	_ = json.Unmarshal(s.auth, &c) // what is no string is no claim
	return c, c.PrivateID != "" && len(c.PrivateID) <= maxClaim && len(c.Offset) <= maxClaim
}

// persist has a session kept. It is called while the socket is still in the
// index.
func (s *Socket) persist() {
	session := adapter.Session{
		PrivateID: s.private.id,
		SocketID:  s.id,
		Rooms:     s.rooms[1:],
		Data:      s.dataJSON(),
	}
	if p := s.data.Load(); p != nil {
		session.Value = *p
	}
	s.ns.recovery.adapter.PersistSession(session)
}

// takeOver makes the socket that of a session. It reports false if it has
// ended, or if another socket has chosen the id meanwhile.
func (s *Socket) takeOver(session adapter.Session) bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.state == stateClosed {
		return false
	}
	if s.ns.srv.cfg.http.socketID != nil && !s.ns.ids.reserve(session.SocketID, s) {
		return false
	}
	s.id, s.rooms = session.SocketID, session.Rooms
	s.private.id, s.private.recovered = session.PrivateID, true
	switch {
	case session.Value != nil:
		s.SetData(session.Value)
	case len(session.Data) > 0 && string(session.Data) != "{}" && string(session.Data) != "null":
		s.SetData(session.Data)
	}
	return true
}

// reconnect connects a socket whose client claims a session. It reports false
// if it is to be connected as a new one.
func (s *Socket) reconnect() bool {
	c, ok := s.claim()
	if !ok {
		return false
	}
	count := &s.ns.srv.counters
	if s.ns.srv.cfg.recovery.RunMiddleware {
		if !s.restore(c, s.preview) {
			count.notRecovered.Add(1)
			return false
		}
		if err := s.ns.admit(s); err != nil {
			s.refuse(err)
			return true
		}
	}
	if s.restore(c, s.readmit) {
		count.recovered.Add(1)
		s.welcome()
		return true
	}
	count.notRecovered.Add(1)
	switch {
	case s.ended():
		s.refuse(errEnded)
	case s.private.recovered:
		// The session has passed its time while the middleware ran, which took
		// the socket for the old one. The client is to come back.
		s.end("", true)
		s.conn.session.Close(string(ReasonForcedServerClose))
	default:
		return false
	}
	return true
}

// restore hands the session that a client claims to admit, which reports
// whether it makes use of it, and whether it is used up.
func (s *Socket) restore(c claim, admit func(adapter.Session, []*adapter.Packet) (used, taken bool)) (used bool) {
	ctx, cancel := context.WithTimeout(s.Context(), restoreTimeout)
	defer cancel()
	if !s.ns.recovery.await(ctx, c.PrivateID) {
		return false
	}
	err := s.ns.recovery.adapter.RestoreSession(ctx, c.PrivateID, c.Offset,
		func(session adapter.Session, missed []*adapter.Packet) (taken bool) {
			used, taken = admit(session, missed)
			return taken
		})
	if err != nil && !errors.Is(err, adapter.ErrNoSession) {
		s.ns.srv.cfg.logger.Warn("socket.io: cannot recover a connection", "namespace", s.ns.name, "error", err)
	}
	return used
}

// preview makes the socket that of a session without taking it: the middleware
// is to see the socket as it will be. Nothing is sent to it yet.
func (s *Socket) preview(session adapter.Session, missed []*adapter.Packet) (used, taken bool) {
	if !s.bearable(missed) {
		return false, true
	}
	return s.takeOver(session), false
}

// readmit answers the client, queues what it missed and makes the socket
// known, as join does. It is called by the adapter and does not wait.
//
// The answer comes before the missed packets; Node sends it after them. The
// client keeps what comes before the answer also when it loses the connection
// in between, and would have those packets twice after the next recovery.
func (s *Socket) readmit(session adapter.Session, missed []*adapter.Packet) (used, taken bool) {
	if !s.bearable(missed) {
		return false, true
	}
	c := s.conn
	c.session.Hold()
	defer c.session.Release()
	// After a preview the middleware may have changed rooms and data.
	if !s.private.recovered && !s.takeOver(session) || !s.joining() {
		return false, false
	}
	rooms, ok := s.answer()
	if !ok {
		return false, false
	}
	for _, p := range missed {
		// What the parser cannot encode nobody has been sent.
		if m, err := s.ns.message(p, adapter.Flags{}, nil); err == nil {
			c.session.Send(m)
		}
	}
	s.enter(rooms)
	return true, true
}

// bearable reports whether missed packets leave enough room in the queue for
// what is sent while they are. A client that cannot be sent them without
// becoming a slow client would claim them again and again.
func (s *Socket) bearable(missed []*adapter.Packet) bool {
	cfg := &s.ns.srv.cfg
	size := 0
	for _, p := range missed {
		size += len(p.Args)
		for _, a := range p.Attachments {
			size += len(a)
		}
	}
	return len(missed) <= cfg.queuePackets/2 && size <= cfg.queueBytes/2
}

func (s *Socket) ended() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.state == stateClosed
}

// emitKept sends an event to this socket by way of the adapter, as Node does:
// it gets an offset, and is kept. Whether other nodes can be reached does not
// concern it.
func (s *Socket) emitKept(p *adapter.Packet, flags adapter.Flags) error {
	if !s.Connected() {
		return ErrDisconnected
	}
	err := s.ns.adapter.Broadcast(p, adapter.Selector{Rooms: []string{s.id}}, flags)
	if errors.Is(err, adapter.ErrUnreachable) {
		return nil
	}
	return err
}
