// Package args turns Go values into the canonical form of the arguments of an
// event or acknowledgement, a JSON array with binary attachments, and back.
//
// Text and structure are those of encoding/json, with three exceptions: a
// []byte is binary and becomes an attachment, the characters <, > and & are not
// escaped, as JSON.stringify does not escape them, and an empty json.RawMessage
// is null.
//
// Nothing here blocks or starts goroutines, and everything may be called
// concurrently. No panic of a user's MarshalJSON and its like leaves the
// package.
package args

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/roomspan/roomspan/adapter"
)

// Codec is the JSON library in use. The zero value is encoding/json.
//
// Strings, booleans, numbers, maps and slices of any, and every type that can
// hold binary or an interface are taken apart by this package. Marshal gets the
// rest, also as parts of those; its output is trusted to be JSON. It is to keep
// the order of map keys and the treatment of tags of encoding/json, and must
// not escape more than strings. Unmarshal must decode base64 into a []byte.
type Codec struct {
	Marshal   func(any) ([]byte, error)
	Unmarshal func([]byte, any) error
}

var (
	// ErrTooDeep says that a value refers to itself, or is nested deeper than
	// 1000 levels of maps, slices, structs and pointers.
	ErrTooDeep = errors.New("args: value contains itself or is nested too deeply")

	// ErrPlaceholder says that the placeholders in a text do not fit its
	// attachments: a number that no attachment has, data of the user that has
	// the form of a placeholder beside real ones, or so many references to
	// the same attachments that they would multiply what the peer has sent.
	ErrPlaceholder = errors.New("args: placeholders do not fit the attachments")

	// ErrPanic is wrapped by the error that a panic in a method of the user's
	// type, such as MarshalJSON, becomes.
	ErrPanic = errors.New("args: panic in the code of a type")

	errNoOutput = errors.New("args: the codec returned no JSON")
	errUTF8     = errors.New("args: JSON that is not valid UTF-8")
)

// ArgumentError is the error of encoding one argument.
type ArgumentError struct {
	Index int          // counted from zero, without the event name
	Type  reflect.Type // of the argument; nil for an untyped nil
	Err   error        // of this package, or of the JSON library
}

// Error implements error.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("argument %d of type %v: %v", e.Index, e.Type, e.Err)
}

// Unwrap returns the cause.
func (e *ArgumentError) Unwrap() error { return e.Err }

// EncodeEvent returns the canonical form of an event: ["event",arg1,...].
//
// The attachments of the packet are the caller's slices, not copies, as on
// Node: their bytes must not be changed as long as the packet may be sent. All
// else is copied. Errors: an *[ArgumentError].
func (c Codec) EncodeEvent(event string, args []any) (*adapter.Packet, error) {
	d, err := c.DraftEvent(event, args)
	if err != nil {
		return nil, err
	}
	return d.packet(), nil
}

// EncodeArgs returns the canonical form of the arguments of an acknowledgement:
// [arg1,...]. What is said of [Codec.EncodeEvent] holds for it too.
func (c Codec) EncodeArgs(args []any) (*adapter.Packet, error) {
	d, err := c.DraftArgs(args)
	if err != nil {
		return nil, err
	}
	return d.packet(), nil
}

// A Draft is an encoded packet in memory that serves the next one when Discard
// has been called.
type Draft struct{ e *encoder }

// DraftEvent is EncodeEvent for who needs the packet for a moment only.
func (c Codec) DraftEvent(event string, args []any) (Draft, error) {
	e := encoders.Get().(*encoder)
	e.buf = appendString(append(e.buf[:0], '['), event)
	return Draft{e}, e.encode(c, args)
}

// DraftArgs is EncodeArgs for who needs the packet for a moment only.
func (c Codec) DraftArgs(args []any) (Draft, error) {
	e := encoders.Get().(*encoder)
	e.buf = append(e.buf[:0], '[')
	return Draft{e}, e.encode(c, args)
}

// Args is that of the packet, valid until Discard.
func (d Draft) Args() []byte { return d.e.buf }

// Attachments are those of the packet. They stay valid.
func (d Draft) Attachments() [][]byte { return d.e.attachments }

// Discard ends the use of a draft that was made without an error.
func (d Draft) Discard() { d.e.free() }

// packet makes what lasts of a draft, and discards it.
func (d Draft) packet() *adapter.Packet {
	p := &adapter.Packet{Args: make([]byte, len(d.e.buf)), Attachments: d.e.attachments}
	copy(p.Args, d.e.buf)
	d.Discard()
	return p
}

// recovered turns a panic into an error. It is deferred directly.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrPanic, p)
	}
}
