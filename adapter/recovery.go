package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrNoSession is the error of RestoreSession when the state of a connection
// cannot be restored whole: the session is not known, too old, taken already,
// or packets that its socket missed are not kept any more.
var ErrNoSession = errors.New("adapter: no session to recover")

// Recovery says for how long, and how much, an adapter keeps for clients that
// were cut off. The zero value stands for nothing at all.
type Recovery struct {
	// MaxDisconnection is how long a session, and a packet, is kept.
	MaxDisconnection time.Duration

	// MaxPackets and MaxBytes bound the packets that one namespace keeps in
	// the memory of this node. A session that missed a packet beyond them is
	// not restored.
	MaxPackets, MaxBytes int

	// MaxSessions bounds the sessions that one namespace keeps in the memory
	// of this node. Beyond it the oldest is given up.
	MaxSessions int
}

// A RecoveryHost is a [Host] whose clients may recover the state of their
// connections. An adapter that can keep sessions looks for it.
type RecoveryHost interface {
	Host

	// Recovery returns the bounds of what is kept. It is constant.
	Recovery() Recovery
}

// Session is what is kept of a socket whose client was cut off.
type Session struct {
	// PrivateID is the secret by which the client claims the session.
	PrivateID string

	// SocketID is the id of the socket, which it gets back.
	SocketID string

	// Rooms are the rooms that it was in, without its own id.
	Rooms []string

	// Data is the JSON of what the user attached to the socket.
	Data json.RawMessage

	// Value is what the user attached, for an adapter that keeps sessions in
	// the memory of this node: nil when the session comes from elsewhere.
	Value any
}

// A Recoverer is an [Adapter] that keeps the sessions of clients that were cut
// off, and the packets that they miss. When its host is a [RecoveryHost] whose
// Recovery is not zero, it appends to every event that is not volatile and
// asks for no acknowledgement one more argument before it is delivered: the
// offset, a string that the client sends back when it claims its session
// (Socket.IO v5, "Connection state recovery"). What is sent to one socket
// alone then goes by Broadcast too, to the room of its id.
type Recoverer interface {
	Adapter

	// PersistSession keeps a session, from now until it is restored or has
	// passed its time. It does not block. It is called before DelAll, so that
	// each packet is either delivered to the socket or comes after the session
	// began to be kept, if not both.
	PersistSession(Session)

	// RestoreSession finds a session and the packets that its socket missed
	// since offset, takes the session out, and calls admit once with both:
	// after the last packet that is among the missed and before the first one
	// that is not. So whoever is added to the index by admit gets each packet
	// exactly once. admit must not block; it may call Add, and no other method
	// of the adapter. Packets are in order, with their offsets. If admit
	// returns false the session is put back, to be kept at most for its whole
	// time once more. offset is empty for a client that has not received any.
	//
	// It may wait for the network until ctx ends. The error is [ErrNoSession],
	// or why it could not be found out; admit has not been called then.
	RestoreSession(ctx context.Context, privateID, offset string, admit func(Session, []*Packet) bool) error
}
