package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

type socketState uint8

const (
	stateConnecting socketState = iota // its middleware runs
	stateConnected
	stateClosed
)

// Socket is one client in one namespace. Its methods may be called
// concurrently, also after it has been disconnected.
//
// Handlers of one socket run one at a time, in the order in which the client
// sent the events, on a goroutine that is not the one which reads.
type Socket struct {
	conn       *conn
	ns         *Namespace
	id         string
	auth       []byte
	membership adapter.Membership
	handlers   atomic.Pointer[registry] // of this socket alone; nil for most
	data       atomic.Pointer[any]

	// Guarded by conn.mu:
	state   socketState
	working bool
	inbox   []task
	acks    map[uint64]*pendingAck
	rooms   []string // what it was in, while OnDisconnect handlers run
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

func newSocket(c *conn, ns *Namespace, auth []byte) *Socket {
	var id [15]byte
	_, _ = rand.Read(id[:])
	return &Socket{conn: c, ns: ns, id: base64.RawURLEncoding.EncodeToString(id[:]), auth: auth}
}

// ID returns the id of the socket: 20 characters, other than those of the same
// client in other namespaces, and new after each reconnection.
func (s *Socket) ID() string { return s.id }

// Membership implements adapter.Socket.
func (s *Socket) Membership() *adapter.Membership { return &s.membership }

// Namespace returns the namespace of the socket.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Handshake returns the request with which the client connected.
func (s *Socket) Handshake() Handshake {
	h := *s.conn.handshake
	h.Auth = s.auth
	return h
}

// Transport returns the transport in use: "polling" or "websocket".
func (s *Socket) Transport() string { return s.conn.session.Transport() }

// Connected reports whether the socket is connected.
func (s *Socket) Connected() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.state == stateConnected
}

// Context returns a context that ends when the socket is disconnected. Its
// cause is [ErrDisconnected].
func (s *Socket) Context() context.Context {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancelCause(context.Background())
		if s.state == stateClosed {
			s.cancel(ErrDisconnected)
		}
	}
	return s.ctx
}

// SetData attaches a value to the socket, in place of the one before. Other
// nodes see its JSON form in the result of Fetch.
func (s *Socket) SetData(v any) { s.data.Store(&v) }

// Data returns what SetData has attached, nil at first.
func (s *Socket) Data() any {
	if p := s.data.Load(); p != nil {
		return *p
	}
	return nil
}

// Rooms returns the rooms of the socket, its own id first. In OnDisconnect
// handlers they are still those that it was in.
func (s *Socket) Rooms() []string {
	s.conn.mu.Lock()
	state, rooms := s.state, s.rooms
	s.conn.mu.Unlock()
	if state == stateClosed {
		return append([]string(nil), rooms...)
	}
	return s.roomsNow()
}

// Join puts the socket into rooms. It does nothing once the socket is
// disconnected.
func (s *Socket) Join(rooms ...string) { s.ns.adapter.Add(s, rooms...) }

// Leave takes the socket out of rooms. It cannot leave the room that is named
// by its own id.
func (s *Socket) Leave(rooms ...string) { s.ns.adapter.Del(s, rooms...) }

// Emit sends an event to the client. It queues and does not wait: nil means
// that the packet was queued. Errors: [ErrDisconnected], [ErrReservedEvent],
// or an argument that cannot be encoded. Attachments are taken as they are:
// the bytes must not be changed afterwards.
func (s *Socket) Emit(event string, args ...any) error {
	return s.only(adapter.Flags{}).Emit(event, args...)
}

// To returns the target of all sockets in at least one of the rooms, on all
// nodes, without this one.
func (s *Socket) To(rooms ...string) Target { return s.Broadcast().To(rooms...) }

// Broadcast returns the target of all sockets of the namespace, on all nodes,
// without this one.
func (s *Socket) Broadcast() Target { return s.ns.Target.Except(s.id) }

// Volatile returns the target of this socket alone, with packets that are
// dropped if the client cannot take them at once.
func (s *Socket) Volatile() Target { return s.only(adapter.Flags{Volatile: true}) }

// Compress returns the target of this socket alone, with packets that the
// transport may compress, or may not.
func (s *Socket) Compress(compress bool) Target { return s.only(adapter.Flags{NoCompress: !compress}) }

func (s *Socket) only(flags adapter.Flags) Target {
	return Target{ns: s.ns, only: s, flags: flags}
}

// Handle registers a handler for events of this socket alone, beside those of
// the namespace, which run first. See [Namespace.Handle].
func (s *Socket) Handle(event string, h func(*Event) error) {
	r := s.handlers.Load()
	if r == nil {
		s.handlers.CompareAndSwap(nil, new(registry))
		r = s.handlers.Load()
	}
	s.ns.srv.register(r, event, h)
}

// Disconnect ends the socket with [ReasonServerDisconnect]; with closeConn the
// whole connection of the client, with its sockets in other namespaces. The
// client does not reconnect by itself. Events that wait to be handled are
// dropped.
func (s *Socket) Disconnect(closeConn bool) {
	all := []*Socket{s}
	if closeConn {
		s.conn.mu.Lock()
		all = s.conn.socketsLocked()
		s.conn.mu.Unlock()
	}
	for _, o := range all {
		o.disconnect()
	}
	if closeConn {
		s.conn.session.Close(string(ReasonServerDisconnect))
	}
}

func (s *Socket) disconnect() {
	s.conn.send(parser.AppendText(outbound.Start(16+len(s.ns.name)), &parser.Packet{
		Type: parser.Disconnect, Namespace: s.ns.name,
	}))
	s.end(ReasonServerDisconnect, true)
}

// connect runs the middleware, joins the socket to the namespace and runs the
// connection handlers. It is the first task of the worker.
func (s *Socket) connect() {
	if err := s.ns.admit(s); err != nil {
		message, data := refusalOf(err)
		s.end("", true)
		s.conn.send(parser.AppendConnectError(outbound.Start(64+len(data)), s.ns.name, message, data))
		return
	}
	c := s.conn
	c.mu.Lock()
	if s.state != stateConnecting || c.closed {
		c.mu.Unlock()
		s.end("", true)
		return
	}
	s.state = stateConnected
	if !c.joined {
		c.joined = true
		if !c.lagging {
			c.srv.engine.Wheel().Stop(&c.timer)
		}
	}
	c.mu.Unlock()
	// Held, so that the answer goes out before anything that is broadcast, and
	// after the socket can be reached.
	c.session.Hold()
	c.send(parser.AppendConnect(outbound.Start(64), s.ns.name, s.id, ""))
	s.ns.adapter.Add(s)
	c.session.Release()
	s.ns.srv.counters.connections.Add(1)
	s.ns.sockets.Add(1)
	for _, f := range *s.ns.onConnection.Load() {
		if err := s.guard(func() error { f(s); return nil }); err != nil {
			s.ns.srv.handlerError(s, "connection", err)
		}
	}
}

// end takes the socket out of everything. With drop, events that wait to be
// handled are forgotten; else they were sent before the end, and are handled.
func (s *Socket) end(reason Reason, drop bool) {
	c := s.conn
	c.mu.Lock()
	if s.state == stateClosed {
		c.mu.Unlock()
		return
	}
	was := s.state
	s.state = stateClosed
	s.rooms = s.roomsNow()
	c.removeLocked(s)
	acks := s.acks
	s.acks = nil
	c.asked -= len(acks)
	if drop {
		for _, t := range s.inbox {
			if t.event != nil {
				c.takenLocked(t.event)
			}
		}
		s.inbox = nil
	}
	cancel := s.cancel
	c.mu.Unlock()
	s.ns.adapter.DelAll(s)
	if cancel != nil {
		cancel(ErrDisconnected)
	}
	for _, a := range acks {
		c.srv.engine.Wheel().Stop(&a.timer)
		a.done(nil, ErrDisconnected)
	}
	if was == stateConnected {
		c.mu.Lock()
		s.inbox = append(s.inbox, task{run: func() { s.disconnected(reason) }})
		c.workLocked(s)
		c.mu.Unlock()
	}
}

func (s *Socket) disconnected(reason Reason) {
	s.ns.sockets.Add(-1)
	for _, f := range *s.ns.onDisconnect.Load() {
		if err := s.guard(func() error { f(s, reason); return nil }); err != nil {
			s.ns.srv.handlerError(s, "disconnect", err)
		}
	}
	s.conn.mu.Lock()
	s.rooms = nil
	s.conn.mu.Unlock()
}

// roomsNow returns the rooms in which the index has the socket.
func (s *Socket) roomsNow() []string { return s.membership.Rooms() }
