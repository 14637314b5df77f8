// Package msgpack carries the arguments of an event between JSON, in which they
// travel inside a node, and msgpack, in which the back-ends of the Node family
// put them on the bus.
//
// It works on the bytes of both forms and builds no values in between. Sizes
// that a message declares are never trusted: nothing is allocated for them,
// and what is written is at most a small multiple of what was read.
package msgpack

import "errors"

// The errors of this package. They say that the input is not what it should
// be, and are returned as they are.
var (
	// ErrJSON is the error for text that is not the JSON it should be.
	ErrJSON = errors.New("msgpack: invalid JSON")

	// ErrFormat is the error for bytes that are not msgpack, end too early, or
	// hold what JSON cannot, such as a map under a map key.
	ErrFormat = errors.New("msgpack: invalid or unsupported data")

	// ErrDepth is the error for values that are nested deeper than 512.
	ErrDepth = errors.New("msgpack: nested too deeply")

	// ErrAttachments is the error for more bin values than the caller allows.
	ErrAttachments = errors.New("msgpack: too many attachments")

	// ErrPlaceholder is the error for a placeholder without an attachment.
	ErrPlaceholder = errors.New("msgpack: placeholder without attachment")
)

// maxDepth bounds the recursion, and with it the stack.
const maxDepth = 512
