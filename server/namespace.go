package server

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/args"
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

	handlers registry

	mu           sync.Mutex // orders those who replace one of these lists
	middleware   atomic.Pointer[[]func(*Socket) error]
	onConnection atomic.Pointer[[]func(*Socket)]
	onDisconnect atomic.Pointer[[]func(*Socket, Reason)]
}

func newNamespace(s *Server, name string) *Namespace {
	ns := &Namespace{srv: s, name: name}
	ns.Target = Target{ns: ns}
	ns.middleware.Store(new([]func(*Socket) error))
	ns.onConnection.Store(new([]func(*Socket)))
	ns.onDisconnect.Store(new([]func(*Socket, Reason)))
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

func appendTo[T any](mu *sync.Mutex, list *atomic.Pointer[[]T], v T) {
	mu.Lock()
	defer mu.Unlock()
	longer := append(slices.Clip(*list.Load()), v)
	list.Store(&longer)
}

// Handle registers a handler for an event. Handlers of one event run one after
// another in the order of registration; those of one socket one at a time.
// The name must not be one of those of [ErrReservedEvent]: the error handler is
// told, and the handler never called. [On] and [Reply] are the typed forms.
func (ns *Namespace) Handle(event string, h func(*Event) error) {
	ns.srv.register(&ns.handlers, event, h)
}

// admit runs the middleware.
func (ns *Namespace) admit(s *Socket) error {
	for _, f := range *ns.middleware.Load() {
		if err := s.guard(func() error { return f(s) }); err != nil {
			return err
		}
	}
	return nil
}

// encodeEvent makes the canonical form of an event that a user emits.
func (ns *Namespace) encodeEvent(event string, values []any) (*adapter.Packet, error) {
	if parser.Reserved(event) {
		return nil, ErrReservedEvent
	}
	return args.Codec{}.EncodeEvent(event, values)
}

// message makes the wire form of an event for the clients of this node.
func (ns *Namespace) message(p *adapter.Packet, flags adapter.Flags, ack *uint64) *outbound.Message {
	packet := parser.Packet{
		Type:        parser.Event,
		Namespace:   ns.name,
		Attachments: len(p.Attachments),
		Data:        p.Args,
	}
	if ack != nil {
		packet.ID, packet.HasID = *ack, true
	}
	return finish(&packet, p.Attachments, flags)
}

func finish(p *parser.Packet, attachments [][]byte, flags adapter.Flags) *outbound.Message {
	buf := parser.AppendText(outbound.Start(len(p.Data)+len(p.Namespace)+32), p)
	return outbound.Finish(buf, attachments, outbound.Flags{Volatile: flags.Volatile, NoCompress: flags.NoCompress})
}
