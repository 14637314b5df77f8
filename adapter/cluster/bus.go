// Package cluster holds what all cluster adapters share, over a small bus:
// local delivery first, requests and their answers, who is alive, partial
// results at the deadline. A back-end supplies a [Bus] for each namespace and
// feeds what it hears to [Adapter.Receive].
package cluster

import (
	"context"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// Type says what a [Message] is. The numbers are this package's own: every
// family of back-ends has its own on the wire.
type Type uint8

// The messages that nodes of a namespace exchange. Those that end in Answer go
// to the one node that asked, named by Message.To.
const (
	Broadcast            Type = iota + 1 // Packet, Selector, Flags; with RequestID: acks are wanted for Timeout
	BroadcastCount                       // RequestID, To, Count: how many clients of this node were asked
	BroadcastAnswer                      // RequestID, To, Packet: the ack of one client; Count: the how-manyth of this node, 0 if unknown
	AddSockets                           // Selector, Rooms
	DelSockets                           // Selector, Rooms
	DisconnectSockets                    // Selector, CloseConn
	FetchSockets                         // RequestID, Selector
	FetchAnswer                          // RequestID, To, Sockets
	ListRooms                            // RequestID
	ListRoomsAnswer                      // RequestID, To, Rooms
	ServerSideEmit                       // Packet; with RequestID: an answer is wanted
	ServerSideEmitAnswer                 // RequestID, To, Packet
	Hello                                // a node that has come; the others answer with Heartbeat
	Heartbeat                            // a node that is alive
	Goodbye                              // a node that leaves
)

// Message is what one node of a namespace tells the others. It is immutable
// once published or received.
type Message struct {
	Type Type

	// Sender is the id of the adapter that published the message: NodeID of
	// Config, or whatever a foreign node calls itself. It may be empty.
	Sender string

	// To is the adapter that an answer is for: the Sender of the request.
	To string

	// RequestID ties answers to a request. It is opaque.
	RequestID string

	Selector  adapter.Selector
	Flags     adapter.Flags
	Timeout   time.Duration
	Packet    *adapter.Packet
	Rooms     []string
	Sockets   []adapter.SocketInfo
	Count     int
	CloseConn bool
}

// A Bus carries the messages of one namespace between nodes. Messages of one
// sender arrive in the order in which they were published, or not at all. A
// bus may bring a message back to its own sender: the Adapter ignores it.
type Bus interface {
	// Publish queues a message for the other nodes. It never blocks, and it
	// encodes or copies what it needs before it returns. An error says that
	// the message was not queued. It may be called concurrently, and while the
	// index of rooms is locked: it must not call the Adapter.
	Publish(*Message) error

	// Close ends the bus for this namespace; nothing is received after it has
	// returned. It is called once, after the last Publish, and may wait for a
	// Receive that is under way.
	Close() error
}

// A Counter is a Bus that knows how many nodes hear it, so that the Adapter
// needs no heartbeats of its own.
type Counter interface {
	// ServerCount returns the number of nodes that hear the namespace, this
	// one included. It may wait for the network until ctx ends.
	ServerCount(ctx context.Context) (int, error)
}

// A Reacher is a Bus that knows whether it reaches the other nodes. While it
// does not, a call asks nobody but this node, and a call under way returns with
// what has come, rather than wait for its deadline.
type Reacher interface {
	// Reachable returns nil while the other nodes can be reached, else why
	// not, with a channel that is closed when that may have changed. It does
	// not block, and may be called concurrently.
	Reachable() (changed <-chan struct{}, err error)
}
