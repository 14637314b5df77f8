package server

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/roomspan/roomspan/adapter"
)

// Errors that callers can test for with errors.Is.
var (
	// ErrClosed is the error of a call on a server that has been shut down.
	ErrClosed = adapter.ErrClosed

	// ErrDisconnected is the error of a call that needs a client which is not
	// connected any more.
	ErrDisconnected = errors.New("server: socket disconnected")

	// ErrAckTimeout is the error of a Call whose client did not answer in time.
	ErrAckTimeout = errors.New("server: no acknowledgement in time")

	// ErrAcked is the error of a second answer to one event.
	ErrAcked = errors.New("server: event already acknowledged")

	// ErrNoAck is the error of an answer to an event whose sender wants none.
	ErrNoAck = errors.New("server: event asks for no acknowledgement")

	// ErrReservedEvent is the error for an event name that Socket.IO uses
	// itself: connect, connect_error, disconnect, disconnecting, newListener,
	// removeListener.
	ErrReservedEvent = errors.New("server: reserved event name")

	// ErrVolatileDropped is the error of a volatile Emit to one socket that
	// could not take the packet at that moment.
	ErrVolatileDropped = errors.New("server: volatile packet dropped")
)

// A MissingAnswersError is the error of a call to many that ended before all of
// them had answered; the answers that came are returned beside it. Its fields
// count what was expected and what was received, its cause is what ended the
// call.
type MissingAnswersError = adapter.MissingAnswersError

// A ConnectError is the refusal of a connection, returned by a middleware. The
// client's connect_error event has its message and data. Any other error of a
// middleware reaches the client as "internal error" only.
type ConnectError struct {
	Message string
	Data    any // sent as JSON; nil for none
}

// Error implements error.
func (e *ConnectError) Error() string { return e.Message }

// A ClientError is an error whose text is made for the client: returned by a
// Reply handler it answers the acknowledgement with {"error": Message}. Any
// other error is answered with "internal error".
type ClientError struct{ Message string }

// Error implements error.
func (e *ClientError) Error() string { return e.Message }

// Errorf returns a [ClientError] with a text made like that of fmt.Sprintf.
func Errorf(format string, args ...any) error {
	return &ClientError{Message: fmt.Sprintf(format, args...)}
}

// An OptionError is the error of New for an option that is not valid.
type OptionError struct {
	Option string // its name, such as "WithPingInterval"
	Reason string // what is wrong with the value, and its range
}

// Error implements error.
func (e *OptionError) Error() string { return "server: " + e.Option + ": " + e.Reason }

// A DecodeError is the error of an argument that does not fit the type that a
// handler wants.
type DecodeError struct {
	Index int // of the argument, from 0
	Err   error
}

// Error implements error.
func (e *DecodeError) Error() string { return fmt.Sprintf("server: argument %d: %v", e.Index, e.Err) }

// Unwrap returns the error of the decoder.
func (e *DecodeError) Unwrap() error { return e.Err }

// A PanicError is a panic of a user's handler, made an error.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("server: panic in a handler: %v", e.Value) }

const internalError = "internal error"

// clientText returns what a client may know of the error of a handler.
func clientText(err error) string {
	var (
		ce *ClientError
		de *DecodeError
	)
	switch {
	case errors.As(err, &ce):
		return ce.Message
	case errors.As(err, &de):
		return "invalid arguments"
	}
	return internalError
}

// refusal returns what a client may know of the error of a middleware, and
// reports what only the program may know.
func (s *Socket) refusal(err error) (message string, data []byte) {
	var ce *ConnectError
	if !errors.As(err, &ce) {
		s.ns.srv.handlerError(s, "", err)
		return internalError, nil
	}
	if ce.Data == nil {
		return ce.Message, nil
	}
	if err := s.guard(func() (err error) {
		data, err = json.Marshal(ce.Data)
		return err
	}); err != nil {
		s.ns.srv.handlerError(s, "", err)
	}
	return ce.Message, data
}
