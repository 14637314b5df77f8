package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

type socketState uint8

const (
	stateConnecting socketState = iota // its middleware runs
	stateJoining                       // the answer is on its way: the client may send, and is not sent to
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
	bucket     *bucket  // of the reading goroutine alone; nil without a rate limit
	private    *privacy // nil unless it can be recovered

	// Guarded by conn.mu:
	state   socketState
	working bool
	live    atomic.Bool // state is stateConnected; read without the lock
	inbox   inbox
	acks    map[uint64]*pendingAck
	rooms   []string // joined before it is in the index; later what it was in, while OnDisconnect handlers run
	life    *life    // nil until somebody wants its context
}

type life struct {
	context.Context
	end context.CancelCauseFunc
}

func newSocket(c *conn, ns *Namespace, auth []byte) *Socket {
	if c.v3() {
		return &Socket{conn: c, ns: ns, id: c.id3(ns), auth: auth}
	}
	var id [15]byte
	_, _ = rand.Read(id[:])
	s := &Socket{conn: c, ns: ns, id: base64.RawURLEncoding.EncodeToString(id[:]), auth: auth}
	if ns.recovery != nil {
		s.private = newPrivacy()
	}
	return s
}

// ID returns the id of the socket: 20 characters, other than those of the same
// client in other namespaces, and new after each reconnection, unless the socket
// is [Socket.Recovered] or [WithIDs] makes it.
func (s *Socket) ID() string { return s.id }

// Membership implements adapter.Socket.
func (s *Socket) Membership() *adapter.Membership { return &s.membership }

// Namespace returns the namespace of the socket.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Handshake returns the request with which the client connected.
func (s *Socket) Handshake() Handshake {
	return s.conn.request.handshake(s.auth)
}

// Transport returns the transport in use: "polling" or "websocket".
func (s *Socket) Transport() string { return s.conn.session.Transport() }

// Queued returns how many packets and bytes wait to be sent to the client, for
// all its namespaces: a program that sends much may send less before
// [WithQueueLimit] is reached. What is being written is not counted.
func (s *Socket) Queued() (packets, bytes int) { return s.conn.session.Queued() }

// Connected reports whether the socket is connected.
func (s *Socket) Connected() bool { return s.live.Load() }

// Context returns a context that ends when the socket is disconnected. Its
// cause is [ErrDisconnected].
func (s *Socket) Context() context.Context {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.life == nil {
		s.life = new(life)
		s.life.Context, s.life.end = context.WithCancelCause(context.Background())
		if s.state == stateClosed {
			s.life.end(ErrDisconnected)
		}
	}
	return s.life.Context
}

// Rooms returns the rooms of the socket, its own id first. In OnDisconnect
// handlers they are still those that it was in.
func (s *Socket) Rooms() []string {
	s.conn.mu.Lock()
	state, rooms := s.state, s.rooms
	s.conn.mu.Unlock()
	switch state {
	case stateConnected:
		return s.membership.Rooms()
	case stateClosed:
		return slices.Clone(rooms)
	}
	return append([]string{s.id}, rooms...)
}

// Join puts the socket into rooms. It does nothing once the socket is
// disconnected.
//
// With an adapter that subscribes to each room on its own, as
// redis.WithRoomSubscriptions does, Join of a room that had no member on this
// node takes a round trip to the bus, one second at most: when it has returned,
// what other nodes send to the room arrives.
func (s *Socket) Join(rooms ...string) {
	if !s.early(func() {
		for _, r := range rooms {
			if !slices.Contains(s.rooms, r) && r != s.id {
				// Not in place: Rooms reads the list without the lock.
				s.rooms = append(slices.Clip(s.rooms), r)
			}
		}
	}) {
		s.ns.adapter.Add(s, rooms...)
		s.ns.settle(rooms)
	}
}

// Leave takes the socket out of rooms. It cannot leave the room that is named
// by its own id.
func (s *Socket) Leave(rooms ...string) {
	if !s.early(func() {
		s.rooms = slices.DeleteFunc(slices.Clone(s.rooms), func(r string) bool { return slices.Contains(rooms, r) })
	}) {
		s.ns.adapter.Del(s, rooms...)
	}
}

// early runs f under the lock if the socket is not connected yet: the index
// must not know it, or it would be sent to before its connect is answered.
func (s *Socket) early(f func()) bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.state != stateConnecting && s.state != stateJoining {
		return false
	}
	f()
	return true
}

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
func (s *Socket) Handle(event string, h func(*Event) error) (remove func()) {
	return s.ns.srv.register(s.registry(), event, h, false)
}

func (s *Socket) registry() *registry {
	r := s.handlers.Load()
	if r == nil {
		s.handlers.CompareAndSwap(nil, new(registry))
		r = s.handlers.Load()
	}
	return r
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
	if s.end(ReasonServerDisconnect, true) {
		s.tellDisconnect()
	}
}

func (s *Socket) tellDisconnect() {
	s.conn.send(parser.AppendText(outbound.Start(16+len(s.ns.name)), &parser.Packet{
		Type: parser.Disconnect, Namespace: s.ns.name,
	}))
}

// send queues an event for the client; p is its canonical form.
func (s *Socket) send(m *outbound.Message, p *adapter.Packet) error {
	err := s.sendMessage(m)
	if err == nil && s.ns.observed() {
		s.ns.sent(p, []*Socket{s})
	}
	return err
}

// connect runs the middleware, joins the socket to the namespace and runs the
// connection handlers. It is the first task of the worker.
func (s *Socket) connect() {
	<-s.ns.announced
	if s.private != nil && s.reconnect() {
		return
	}
	err := s.chooseID()
	if err == nil {
		err = s.ns.admit(s)
	}
	if err != nil || !s.joining() {
		if err == nil {
			err = errEnded
		}
		s.refuse(err)
		return
	}
	if !s.join() {
		s.tellDisconnect()
		return
	}
	s.welcome()
}

// errEnded is the refusal of a client whose socket the program has
// disconnected before it was connected.
var errEnded = &ConnectError{Message: internalError}

func (s *Socket) refuse(err error) {
	message, data := s.refusal(err)
	s.end("", true)
	if s.conn.v3() {
		s.refused3(message, data)
		return
	}
	s.conn.send(parser.AppendConnectError(outbound.Start(64+len(data)), s.ns.name, message, data))
}

// welcome runs the connection handlers.
func (s *Socket) welcome() {
	if p := s.ns.parent; p != nil {
		p.connected(s)
	}
	s.ns.connected(s)
}

// joining notes that the middleware let the socket in. It reports false if the
// socket has been ended meanwhile.
func (s *Socket) joining() bool {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != stateConnecting || c.closed {
		return false
	}
	s.state = stateJoining
	if !c.joined {
		c.joined = true
		if !c.lagging {
			c.srv.engine.Wheel().Stop(&c.timer)
		}
	}
	return true
}

// join answers the client and makes the socket known. It reports false if the
// socket has been ended meanwhile. The session is held, so that the answer
// goes out before anything that is broadcast, and after the socket can be
// reached.
func (s *Socket) join() bool {
	c := s.conn
	c.session.Hold()
	defer c.session.Release()
	rooms, ok := s.answer()
	if ok {
		s.enter(rooms)
		if a, ok := s.ns.adapter.(adapter.Settler); ok {
			a.Settle(append([]string{s.id}, rooms...)...)
		}
	}
	return ok
}

// answer tells the client that it is connected, and returns the rooms that the
// socket is to join.
func (s *Socket) answer() (rooms []string, ok bool) {
	c := s.conn
	if c.v3() {
		s.connected3()
	} else {
		c.send(parser.AppendConnect(outbound.Start(64), s.ns.name, s.id, s.privateID()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != stateJoining {
		return nil, false
	}
	s.state = stateConnected
	s.live.Store(true)
	s.ns.sockets.Add(1)
	if s.private != nil {
		s.ns.recovery.begin(s)
	}
	return s.rooms, true
}

// enter puts the socket into the index.
func (s *Socket) enter(rooms []string) {
	s.ns.srv.counters.connections.Add(1)
	s.ns.adapter.Add(s, rooms...)
	if len(rooms) == 0 {
		return
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.state == stateConnected {
		s.rooms = nil
	}
}

// end takes the socket out of everything, and reports whether it was connected.
// With drop, events that wait to be handled are forgotten; else they were sent
// before the end, and are handled.
func (s *Socket) end(reason Reason, drop bool) (connected bool) {
	c := s.conn
	c.mu.Lock()
	if s.state == stateClosed {
		c.mu.Unlock()
		return false
	}
	connected = s.state == stateConnected
	s.state = stateClosed
	s.live.Store(false)
	if !connected {
		s.rooms = nil
	} else {
		if rooms := s.membership.Rooms(); rooms != nil {
			s.rooms = rooms
		} else { // it is about to enter the index
			s.rooms = append([]string{s.id}, s.rooms...)
		}
		s.ns.sockets.Add(-1)
	}
	c.removeLocked(s, connected)
	acks := s.acks
	s.acks = nil
	c.asked -= len(acks)
	if drop {
		for t := s.inbox.pop(); t != nil; t = s.inbox.pop() {
			if t.event != nil {
				c.takenLocked(t.event)
			}
		}
	}
	life := s.life
	c.mu.Unlock()
	if connected && s.private != nil && reason.recoverable() {
		s.persist()
	}
	s.ns.adapter.DelAll(s)
	s.ns.ids.release(s)
	if life != nil {
		life.end(ErrDisconnected)
	}
	for _, a := range acks {
		c.srv.engine.Wheel().Stop(&a.timer)
		a.done(nil, ErrDisconnected)
	}
	if connected {
		c.mu.Lock()
		s.inbox.push(&task{run: func() { s.disconnected(reason) }, last: true})
		c.queued++
		c.workLocked(s)
		c.mu.Unlock()
	} else {
		s.ns.srv.release(s.ns)
	}
	return connected
}

// upgraded tells the program of the change of transport.
func (s *Socket) upgraded() {
	if !s.Connected() {
		return
	}
	if p := s.ns.parent; p != nil {
		p.upgraded(s)
	}
	s.ns.upgraded(s)
}

func (s *Socket) disconnected(reason Reason) {
	if s.private != nil {
		defer s.ns.recovery.end(s)
	}
	if p := s.ns.parent; p != nil {
		p.disconnected(s, reason)
	}
	s.ns.disconnected(s, reason)
	s.conn.mu.Lock()
	s.rooms = nil
	s.conn.mu.Unlock()
	s.ns.srv.release(s.ns)
}
