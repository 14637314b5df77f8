// Package adapter is the contract between a Socket.IO namespace and what makes
// several nodes one cluster, together with its smallest implementation: the
// in-memory adapter of a single node.
//
// A [Backend] is what a user hands to the server: one connection to a bus such
// as Redis. It opens one [Adapter] for each namespace. The namespace asks the
// Adapter; the Adapter reaches back through the [Host].
//
// The node-local index of rooms, [Local], is written once, here. Cluster
// adapters embed it, by way of the package adapter/cluster, which holds what
// they share: requests and answers, who is alive, partial results at the
// deadline.
//
// This package imports the standard library alone.
package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"
)

// ErrClosed is the error of every call on an adapter or back-end after Close.
var ErrClosed = errors.New("adapter: closed")

// ErrNoAnswer is the cause of a [MissingAnswersError] when those who are missing
// will not answer any more: they are gone, or their time has passed.
var ErrNoAnswer = errors.New("adapter: no answer")

// Packet is the canonical form of an event or of the arguments of an
// acknowledgement, in which it travels between server and adapter.
//
// A Packet is immutable once it has been handed over: neither side writes to
// its slices, both may keep and share them.
type Packet struct {
	// Args is a JSON array. For an event its first element is the name. A
	// binary argument stands, at any depth, as the object
	// {"_placeholder":true,"num":N} and its bytes in Attachments[N]. With no
	// attachments such an object is plain data.
	Args []byte

	// Attachments are the binary arguments, in the order of their first
	// appearance in Args.
	Attachments [][]byte
}

// Selector says which sockets of a namespace a call concerns: those in at
// least one of Rooms (all, if there are none), without those that are in any
// of Except. A socket is in the room that is named by its own id. Whoever is
// given a Selector does not change its slices.
type Selector struct {
	Rooms  []string
	Except []string

	// Local restricts the call to the sockets of this node, Remote to those of
	// other nodes. At most one of them is set.
	Local, Remote bool
}

// Flags are the options of one broadcast. The zero value is an ordinary one.
type Flags struct {
	// Volatile lets a packet be dropped for a receiver that cannot take it now.
	Volatile bool

	// NoCompress keeps a packet from being compressed by the transport.
	NoCompress bool
}

// SocketInfo is the description of a socket that other nodes see.
type SocketInfo struct {
	ID        string          `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     []string        `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

// MissingAnswersError is the error of a cluster call that ended before everyone
// who was asked had answered. What had come is returned beside it.
type MissingAnswersError struct {
	// Expected and Received count answers: of clients for a broadcast with
	// acknowledgement, of other nodes for every other call. Expected is
	// Received and one more when it is not known how many are missing.
	Expected, Received int

	// Cause is why the call did not wait longer: the error of its context,
	// [ErrNoAnswer], [ErrClosed], or the state of the bus.
	Cause error
}

// Error implements error.
func (e *MissingAnswersError) Error() string {
	return fmt.Sprintf("adapter: %d of %d answers received: %v", e.Received, e.Expected, e.Cause)
}

// Unwrap returns the cause.
func (e *MissingAnswersError) Unwrap() error { return e.Cause }

// Node is the server as a back-end sees it.
type Node interface {
	// NodeID returns the id of this node, unique in the cluster and constant.
	NodeID() string

	// Logger returns where the back-end logs changes of its state. Never nil.
	Logger() *slog.Logger
}

// An EmitterNode is a [Node] that may have no clients, and no handlers: a
// process that only emits. A back-end may look for it when it is started.
type EmitterNode interface {
	Node

	// EmitsOnly reports that it has none. Then nobody need count it as a node
	// of the cluster, or wait for its answers, and it need hear only answers
	// to its own questions.
	EmitsOnly() bool
}

// A Backend connects a server to its cluster. It serves one server, and is
// used up when it has been closed.
type Backend interface {
	// Start checks the configuration and begins to connect in the background.
	// It does no network I/O itself; an unreachable bus is no error. It is
	// called once, before Open. An error means that nothing was started.
	Start(Node) error

	// Open returns the adapter of a namespace. It is called once for each
	// namespace, at any time between Start and Close, from any goroutine, and
	// does not wait for the network.
	Open(Host) (Adapter, error)

	// Ready blocks until this node hears the others in every namespace that
	// is open and can reach them, or until ctx ends; then it returns an error
	// that says what is missing. Concurrent calls are allowed.
	Ready(ctx context.Context) error

	// Stats returns the counters of the back-end.
	Stats() Stats

	// Close closes every adapter, sends what is queued as far as ctx lets it,
	// ends the goroutines of the back-end and returns when they have ended.
	// Further calls return nil.
	Close(ctx context.Context) error
}

// Stats counts what a back-end did since it was started.
type Stats struct {
	// Connected says whether the bus can be reached and heard now.
	Connected bool

	// Published counts messages that the bus accepted, Received those that it
	// brought from other nodes.
	Published, Received uint64

	// Dropped counts messages that were to be published and were not: beyond
	// a bound of the backlog, refused by a back-end that fails fast, or lost
	// with a connection.
	Dropped uint64

	// Malformed counts messages from the bus that were skipped because they
	// could not be understood.
	Malformed uint64

	// Lost counts messages of other nodes that the bus kept for this one, and
	// that were gone before it had read them. Only a bus that keeps messages,
	// such as Redis Streams, counts them.
	Lost uint64

	// Reconnects counts how often the bus was found again after a loss.
	Reconnects uint64

	// PacketsTrimmed and SessionsTrimmed count what was kept for recovery in
	// the memory of this node and given up before its time, because there was
	// more than the bounds of [Recovery] allow.
	PacketsTrimmed, SessionsTrimmed uint64
}

// A Host is a namespace as its adapter sees it. Its methods may be called
// concurrently and do not block on the network or on code of the user, if
// their comments do not say otherwise.
type Host interface {
	// Namespace returns the name of the namespace, with its leading slash.
	Namespace() string

	// Deliver sends an event to sockets of this node. It encodes the packet at
	// most once, and only if there is a receiver; it queues, and does not wait
	// for any client.
	//
	// The index of rooms is locked while to is being walked. Between its first
	// and its last socket Deliver must not call the adapter, nor wait for
	// anyone who does: also a client that is found to be too slow is
	// disconnected later, by another goroutine.
	Deliver(p *Packet, flags Flags, to iter.Seq[Socket])

	// Ask sends an event that asks for an acknowledgement to sockets of this
	// node and returns their number. For each of them answer is called once,
	// from any goroutine and possibly before Ask returns: with the arguments
	// of the acknowledgement, or with nil when there will be none, because the
	// socket is gone or the time has passed. answer must not block. What is
	// said of the walk over to in Deliver holds for Ask too.
	Ask(p *Packet, flags Flags, to iter.Seq[Socket], timeout time.Duration, answer func(*Packet)) int

	// Describe returns what other nodes see of a socket of this node.
	Describe(Socket) SocketInfo

	// Disconnect ends a socket of this node; with closeConn also the
	// connection under it, with all other namespaces. It may call the adapter.
	Disconnect(s Socket, closeConn bool)

	// ServerSideEvent hands an event that another node sent with
	// ServerSideEmit to the user's handlers. reply is nil if no answer is
	// wanted; else the first call counts, from any goroutine. Handlers run on
	// a goroutine of the namespace, in order.
	ServerSideEvent(p *Packet, reply func(*Packet))
}

// A Socket is a member of rooms: one client in one namespace on this node.
// Implementations are comparable.
type Socket interface {
	// ID returns the Socket.IO id, constant, 20 characters unless the user
	// chose otherwise.
	ID() string

	// Membership returns where the index keeps the rooms of this socket. It
	// is always the same.
	Membership() *Membership
}

// An Adapter is what a namespace asks of its cluster. All methods may be
// called concurrently. Those without a context never block on the network:
// they take effect on this node before they return and are queued for the
// others; their error says that queueing was impossible, not that nobody
// received.
//
// Between two calls by one goroutine the order is kept on every node.
type Adapter interface {
	// Add puts a socket of this node into rooms. The first Add makes it known
	// to the index, also without rooms. It reports false, and does nothing,
	// after DelAll.
	Add(s Socket, rooms ...string) bool

	// Del takes a socket of this node out of rooms. Its own id is no room that
	// it can leave.
	Del(s Socket, rooms ...string)

	// DelAll takes a socket of this node out of the index for good.
	DelAll(s Socket)

	// Broadcast delivers an event to the selected sockets: on this node at
	// once, on others by the bus unless the selector is local.
	Broadcast(p *Packet, sel Selector, flags Flags) error

	// BroadcastWithAck delivers an event and returns the arguments of the
	// acknowledgements of all selected sockets, in no order. When ctx ends
	// before all have come, it returns those that came and a
	// *[MissingAnswersError]. A ctx without deadline is an error of the
	// caller: the call then has a deadline of five seconds. With a ctx that
	// has ended nothing is sent, and the error is that of ctx.
	BroadcastWithAck(ctx context.Context, p *Packet, sel Selector, flags Flags) ([]*Packet, error)

	// FetchSockets returns descriptions of the selected sockets, with partial
	// results and deadline like BroadcastWithAck.
	FetchSockets(ctx context.Context, sel Selector) ([]SocketInfo, error)

	// AddSockets, DelSockets and DisconnectSockets make the selected sockets
	// join rooms, leave rooms, or disconnect.
	AddSockets(sel Selector, rooms []string) error
	DelSockets(sel Selector, rooms []string) error
	DisconnectSockets(sel Selector, closeConn bool) error

	// Rooms returns the names of all rooms that have a member on any node,
	// without the rooms that are named by socket ids of this node; partial
	// results and deadline like BroadcastWithAck.
	Rooms(ctx context.Context) ([]string, error)

	// ServerSideEmit sends an event to the handlers of all other nodes.
	ServerSideEmit(p *Packet) error

	// ServerSideEmitWithAck does the same and returns their answers, with
	// partial results and deadline like BroadcastWithAck.
	ServerSideEmitWithAck(ctx context.Context, p *Packet) ([]*Packet, error)

	// ServerCount returns the number of nodes that are alive, this one
	// included.
	ServerCount(ctx context.Context) (int, error)

	// Close ends the adapter, and calls under way with what they have. What
	// was published before may still be sent. After it Add reports false, Del
	// and DelAll go on working, and all other calls do nothing but return
	// ErrClosed. Further calls of Close do nothing.
	Close() error
}

// idLength is the length of the ids of sockets, here as on Node and in Python.
const idLength = 20

// LooksLikeID reports whether a name is taken for the id of a socket where it
// cannot be known, because the socket is on another node: it is 20 letters,
// digits, "-" and "_".
func LooksLikeID(name string) bool {
	if len(name) != idLength {
		return false
	}
	for i := range idLength {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
