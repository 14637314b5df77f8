package server

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// Namespace is a part of the server that clients join by name. It embeds the
// [Target] of all its sockets on all nodes: Emit, To, Except, Local, Volatile,
// Compress, Fetch, Join, Leave and Disconnect are methods of that. All methods
// may be called concurrently, also while clients are connected.
type Namespace struct {
	Target
	srv     *Server
	name    string
	adapter adapter.Adapter
	ackIDs  atomic.Uint64
	sockets atomic.Int64
	parent  *Namespace // that of a child; nil otherwise

	recovery *recovering // nil unless clients are recovered

	announced chan struct{} // closed when the functions of OnNamespace have returned

	// Guarded by Server.mu:
	users int                     // of a child: clients that join it or have joined
	kin   map[*Namespace]struct{} // of a parent: its children

	handlers   registry
	serverSide registry
	notices    notices

	mu           sync.Mutex // orders those who replace one of these lists
	middleware   atomic.Pointer[[]func(*Socket) error]
	onConnection atomic.Pointer[[]func(*Socket)]
	onDisconnect atomic.Pointer[[]func(*Socket, Reason)]
	onOutgoing   atomic.Pointer[[]func(*Socket, *Event)]
	onRoom       atomic.Pointer[[]func(RoomEvent)]
	onUpgrade    atomic.Pointer[[]func(*Socket)]
	ids          idSet // of sockets, with WithIDs
}

func newNamespace(s *Server, name string) *Namespace {
	ns := &Namespace{srv: s, name: name, announced: make(chan struct{})}
	ns.Target = Target{ns: ns}
	ns.middleware.Store(new([]func(*Socket) error))
	ns.onConnection.Store(new([]func(*Socket)))
	ns.onDisconnect.Store(new([]func(*Socket, Reason)))
	ns.onOutgoing.Store(new([]func(*Socket, *Event)))
	ns.onRoom.Store(new([]func(RoomEvent)))
	ns.onUpgrade.Store(new([]func(*Socket)))
	return ns
}

// Name returns the name of the namespace, with its leading slash.
func (ns *Namespace) Name() string { return ns.name }

// Use adds a middleware. Each is called for every client that wants to join,
// in the order in which they were added, before the client counts as
// connected; it may block. The first error refuses the client, which learns of
// a [ConnectError] everything and of any other error nothing: that goes to the
// log and the error handler. Rooms that a middleware joins take effect when
// the socket is connected; until then it cannot be emitted to.
func (ns *Namespace) Use(f func(*Socket) error) { appendTo(&ns.mu, &ns.middleware, f) }

// OnConnection adds a function that is called for every socket when it has
// joined. The events of the socket wait until it returns.
func (ns *Namespace) OnConnection(f func(*Socket)) { appendTo(&ns.mu, &ns.onConnection, f) }

// OnDisconnect adds a function that is called once for every socket that had
// joined, when it is gone and the events that it sent before have been
// handled. [Socket.Rooms] are still those that it was in.
func (ns *Namespace) OnDisconnect(f func(*Socket, Reason)) { appendTo(&ns.mu, &ns.onDisconnect, f) }

// OnUpgrade adds a function that is called for every socket whose client has
// changed from polling to WebSocket: after the functions of OnConnection, in
// order with the socket's events. Sockets that join later begin on WebSocket and
// are not told. [Socket.Transport] says what is in use.
func (ns *Namespace) OnUpgrade(f func(*Socket)) { appendTo(&ns.mu, &ns.onUpgrade, f) }

func appendTo[T any](mu sync.Locker, list *atomic.Pointer[[]T], v T) {
	mu.Lock()
	defer mu.Unlock()
	longer := append(slices.Clip(*list.Load()), v)
	list.Store(&longer)
}

// Handle registers a handler for an event. Handlers of one event run one after
// another in the order of registration; those of one socket one at a time.
// The name must not be one of those of [ErrReservedEvent]: the error handler is
// told, and the handler never called. [On] and [Reply] are the typed forms.
// remove takes the handler out again.
func (ns *Namespace) Handle(event string, h func(*Event) error) (remove func()) {
	return ns.srv.register(&ns.handlers, event, h, false)
}

// OnAny registers a handler for all events, which runs before those that are
// registered by name. An event that has such a handler counts as handled.
func (ns *Namespace) OnAny(h func(*Event) error) (remove func()) { return ns.handlers.addCatchAll(h) }

// UseEvent adds a middleware for events: a function around all handlers of an
// event, in the order in which they were added. next runs what comes further
// in and returns its error; without it the handlers are not called. The error
// that the middleware returns, also that of next, goes to the log and the
// error handler. If the handlers were not called it answers the
// acknowledgement as with [Reply].
func (ns *Namespace) UseEvent(f func(e *Event, next func() error) error) (remove func()) {
	return ns.handlers.addMiddleware(f)
}

// admit runs the middleware.
func (ns *Namespace) admit(s *Socket) error {
	if ns.parent != nil {
		if err := ns.parent.admit(s); err != nil {
			return err
		}
	}
	for _, f := range *ns.middleware.Load() {
		if err := s.guard(func() error { return f(s) }); err != nil {
			return err
		}
	}
	return nil
}

func (ns *Namespace) connected(s *Socket) {
	for _, f := range *ns.onConnection.Load() {
		ns.call("connection", s, func() { f(s) })
	}
}

func (ns *Namespace) disconnected(s *Socket, reason Reason) {
	for _, f := range *ns.onDisconnect.Load() {
		ns.call("disconnect", s, func() { f(s, reason) })
	}
}

func (ns *Namespace) upgraded(s *Socket) {
	for _, f := range *ns.onUpgrade.Load() {
		ns.call("upgrade", s, func() { f(s) })
	}
}

// awaitsUpgrade reports whether anyone wants to know of upgrades.
func (ns *Namespace) awaitsUpgrade() bool {
	return len(*ns.onUpgrade.Load()) > 0 || ns.parent != nil && ns.parent.awaitsUpgrade()
}

// encodeEvent makes the canonical form of an event that a user emits.
func (ns *Namespace) encodeEvent(event string, values []any) (*adapter.Packet, error) {
	if parser.Reserved(event) {
		return nil, ErrReservedEvent
	}
	return ns.srv.cfg.codec.EncodeEvent(event, values)
}

// message makes the wire form of an event for the clients of this node. Only a
// parser of the program's own makes errors.
func (ns *Namespace) message(p *adapter.Packet, flags adapter.Flags, ack *uint64) (*outbound.Message, error) {
	packet := parser.Packet{
		Type:        parser.Event,
		Namespace:   ns.name,
		Attachments: len(p.Attachments),
		Data:        p.Args,
	}
	if ack != nil {
		packet.ID, packet.HasID = *ack, true
	}
	return ns.srv.pack(&packet, p.Attachments, flags)
}
