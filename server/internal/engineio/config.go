// Package engineio is the Engine.IO v4 layer of the server: sessions over
// long-polling and WebSocket, the upgrade between them, heartbeats, the close
// in every state. What messages mean is the business of a [Receiver].
//
// Sources: the Engine.IO v4 document and, where it is silent or differs, the
// behaviour of engine.io 6.6 on Node.
//
// Locks: Session.mu is a leaf but for those of the flusher, the wheel and the
// session table, which are taken under it and take no other. No lock is held
// over I/O or over a call of a Receiver.
package engineio

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

// The reasons why a session ends, in the words of Socket.IO.
const (
	ReasonTransportError = "transport error"
	ReasonTransportClose = "transport close"
	ReasonForcedClose    = "forced close"
	ReasonPingTimeout    = "ping timeout"
	ReasonParseError     = "parse error"
	ReasonSlowClient     = "slow client"
)

// Config are the settings of a Server. All fields must be set, but those that
// may be nil.
type Config struct {
	PingInterval   time.Duration
	PingTimeout    time.Duration
	UpgradeTimeout time.Duration
	WriteTimeout   time.Duration // of one write to a peer that does not read
	CloseTimeout   time.Duration // how long a closed session waits for its peer

	MaxPayload   int // bytes of one message from a client, or of one POST
	MaxFragments int // WebSocket frames of one message
	QueuePackets int // packets queued for one client
	QueueBytes   int // bytes queued for one client

	Polling    bool
	WebSocket  bool
	NoUpgrades bool     // from polling to WebSocket
	EIO3       bool     // clients of version 3, and JSONP
	Origins    []string // foreign origins that are let in; "*" for all

	Compression Compression

	Logger   *slog.Logger
	Counters *Counters

	// Cookie is set by the answer to a handshake, with the id of the session
	// as its value. Nil for none.
	Cookie *http.Cookie

	// Allow may refuse a handshake, after all other checks: with an error, and
	// the message for the client. Nil allows all. It may block.
	Allow func(*http.Request) (message string, err error)

	// NewID makes the id of a session. Nil for random ones. It may block.
	NewID func(*http.Request) (string, error)

	// Refused is called with each request that is refused with a code of
	// Engine.IO, before it is answered. Nil if nobody wants to know.
	Refused func(Refusal)

	// Accept is called for each new session, before its first message, and
	// returns who takes its messages. The request must not be kept.
	Accept func(*Session, *http.Request) Receiver
}

// Compression says what is compressed. The zero value is nothing; the other
// fields must be set if one of the first two is.
type Compression struct {
	WebSocket bool // with clients that offer permessage-deflate
	Polling   bool // answers to polls, for clients that accept gzip or deflate
	Level     int  // of flate, 1 to 9
	Threshold int  // bytes of a packet, or a payload, from which on it is compressed
}

// Counters are what the Engine.IO layer counts. The server owns them.
type Counters struct {
	Sessions        atomic.Int64  // open now
	Opened          atomic.Uint64 // since the start
	Refused         atomic.Uint64 // requests answered with an error
	Upgrades        atomic.Uint64 // from polling to WebSocket
	Received        atomic.Uint64 // messages from clients
	Sent            atomic.Uint64 // messages queued for clients
	SlowClients     atomic.Uint64 // sessions closed because they did not read
	QueueOverflows  atomic.Uint64 // of these, because the queue passed its bound
	VolatileDropped atomic.Uint64 // volatile messages dropped
	PingTimeouts    atomic.Uint64
	ProtocolErrors  atomic.Uint64 // sessions closed because of bad input
	Compression     outbound.CompressionCounters
}

// A Receiver takes what one session receives.
type Receiver interface {
	// Message takes one message: never two at a time, in the order in which
	// the client sent them. data is valid until Message returns. Message may
	// block to slow the client down; it brackets this with Session.Pause and
	// Session.Resume, and returns when the session closes. An error closes
	// the session with ReasonParseError.
	Message(data []byte, binary bool) error

	// Upgraded is called on the goroutine of Message when the client has
	// changed from polling to WebSocket, before its first message there. It
	// must not block.
	Upgraded()

	// BatchEnd is called on the goroutine of Message when what has come
	// together has been handed over.
	BatchEnd()

	// Opened is called once, when the client is sure to hear of the session
	// before anything that is sent from now on.
	Opened()

	// Closed is called once, when the session has ended, from any goroutine.
	// It must not block.
	Closed(reason string)
}
