// Package parser reads and writes Socket.IO packets (protocol version 5) in
// their text form. A packet is decoded in one pass that finds the event name
// and the bounds of each argument and proves the payload to be JSON; the
// arguments themselves are left to whoever knows their types.
//
// Nothing here keeps state, blocks or starts goroutines. Memory is never
// allocated on a number that the peer declares.
package parser

import (
	"errors"
	"fmt"
	"strconv"
)

// Type is the type of a packet. The two binary types of the protocol have no
// value of their own: an [Event] or [Ack] with attachments stands for them.
type Type uint8

// The types of packets, with the digits that they have on the wire.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
)

// toBinary is the distance on the wire from Event and Ack to BINARY_EVENT and
// BINARY_ACK.
const toBinary = 3

// A Packet is one Socket.IO packet without the bytes of its attachments.
//
// After [Packet.Decode], Data and, without escape sequences, Name alias the
// decoded text: a packet is valid as long as that text is not overwritten.
type Packet struct {
	Type Type

	// Namespace begins with a slash. Decode never leaves it empty;
	// AppendText takes the empty string for "/".
	Namespace string

	// Query is what a client of Socket.IO 2 has put behind the namespace and a
	// question mark. AppendText does not read it.
	Query string

	// ID is the acknowledgement id of an Event that asks for an answer, or of
	// an Ack that gives one. It is valid if HasID is set.
	ID    uint64
	HasID bool

	// Attachments is the number of binary frames that follow.
	Attachments int

	// Data is the JSON text of the payload; nil if there is none.
	Data []byte

	// Name is the name of an Event. A number as a name stands for its text.
	// AppendText does not read it: the name is in Data.
	Name []byte

	// Elements are the bounds in Data of the elements of an Event or Ack; the
	// first element of an Event is its name. Decode reuses the memory of this
	// slice: a caller that brings room for the usual few arguments decodes
	// without an allocation, and one that keeps the packet must not decode
	// into it again. AppendText does not read it.
	Elements []Span
}

// A Span is the bounds of a part of a text: Start inclusive, End exclusive.
type Span struct{ Start, End uint32 }

// Of returns the part of text that the span bounds. It aliases text.
func (s Span) Of(text []byte) []byte { return text[s.Start:s.End:s.End] }

// Limits are the bounds that a peer must keep. The zero value has the defaults.
type Limits struct {
	// MaxAttachments is the largest number of attachments of one packet;
	// 10 if zero, none if negative.
	MaxAttachments int

	// MaxDepth is the largest number of arrays and objects within each other,
	// the outermost included; 512 if zero. The decoder of encoding/json takes
	// at most 10,000.
	MaxDepth int
}

const (
	defaultMaxAttachments = 10
	defaultMaxDepth       = 512
)

func (l Limits) maxAttachments() int {
	if l.MaxAttachments == 0 {
		return defaultMaxAttachments
	}
	return max(l.MaxAttachments, 0)
}

func (l Limits) maxDepth() int {
	if l.MaxDepth == 0 {
		return defaultMaxDepth
	}
	return l.MaxDepth
}

// ErrParse is what every error of this package wraps. The texts of the errors
// hold nothing that the peer sent.
var ErrParse = errors.New("parser: parse error")

// The errors that a caller may want to tell from the others.
var (
	// ErrTooManyAttachments says that a packet declares more attachments than
	// Limits allow.
	ErrTooManyAttachments = parseError("too many attachments")

	// ErrIllegalAttachments says that a placeholder refers to an attachment
	// that the packet does not have.
	ErrIllegalAttachments = parseError("illegal attachments")

	// ErrTooDeep says that a payload is nested deeper than Limits allow.
	ErrTooDeep = parseError("payload nested too deeply")
)

// The other reasons. They are made once, so that a flood of bad packets costs
// no allocations.
var (
	errEmpty        = parseError("empty packet")
	errType         = parseError("unknown packet type")
	errAttachments  = parseError("malformed number of attachments")
	errNoneAttached = parseError("binary packet without attachments")
	errNamespace    = parseError("namespace is not valid UTF-8")
	errID           = parseError("acknowledgement id too long")
	errUnexpectedID = parseError("acknowledgement id on a packet that cannot have one")
	errMissingID    = parseError("acknowledgement without an id")
	errPayload      = parseError("payload missing or of the wrong kind")
	errName         = parseError("event name is neither a string nor a number")
	errReserved     = parseError("event name is reserved")
	errNotArray     = parseError("payload is not an array")
	errSyntax       = parseError("malformed JSON")
	errEnd          = parseError("unexpected end of JSON")
	errTrailing     = parseError("text after the end of JSON")
	errUTF8         = parseError("JSON string is not valid UTF-8")
	errTooLong      = parseError("payload too long")
)

func parseError(reason string) error { return fmt.Errorf("%w: %s", ErrParse, reason) }

// AppendText appends the text of a packet to dst and returns the longer slice.
// Data is not checked. The namespace must contain neither a comma nor a
// question mark, which end it on the wire.
func AppendText(dst []byte, p *Packet) []byte {
	digit := '0' + byte(p.Type)
	if p.Attachments > 0 {
		dst = append(dst, digit+toBinary)
		dst = strconv.AppendInt(dst, int64(p.Attachments), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, digit)
	}
	if p.Namespace != "" && p.Namespace != "/" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

// AppendConnect appends the packet that answers a CONNECT: the socket's id and,
// unless it is empty, the private id with which a client recovers its state.
func AppendConnect(dst []byte, namespace, sid, pid string) []byte {
	dst = AppendText(dst, &Packet{Type: Connect, Namespace: namespace})
	dst = append(dst, `{"sid":`...)
	dst = appendQuoted(dst, sid)
	if pid != "" {
		dst = append(dst, `,"pid":`...)
		dst = appendQuoted(dst, pid)
	}
	return append(dst, '}')
}

// AppendConnectError appends the packet that refuses a CONNECT. data is JSON
// text, which is not checked, or nil.
func AppendConnectError(dst []byte, namespace, message string, data []byte) []byte {
	dst = AppendText(dst, &Packet{Type: ConnectError, Namespace: namespace})
	dst = append(dst, `{"message":`...)
	dst = appendQuoted(dst, message)
	if data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, '}')
}
