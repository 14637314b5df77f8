// Package ws is one WebSocket connection type for servers, over RFC 6455
// frames: a reader that holds no buffer while it waits, and a write that never
// waits for the peer. Handshake and unmasking are those of
// github.com/gobwas/ws.
//
// Nothing is allocated on a length that the peer declares: memory grows with
// the bytes that have come.
package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Opcode is the type of a frame (RFC 6455, section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xa
)

// The status codes of close frames that a server sends here (RFC 6455,
// section 7.4.1).
const (
	StatusNormal         = 1000
	StatusProtocolError  = 1002
	StatusInvalidPayload = 1007
	StatusPolicy         = 1008
	StatusTooBig         = 1009
)

// MaxHeader is the size in bytes of the longest header of an unmasked frame.
const MaxHeader = 10

// Deflated is added to the opcode of a data frame whose message is compressed:
// RSV1 of RFC 7692, section 6.
const Deflated Opcode = 0x40

const maxControlPayload = 125

// CloseError is the end of a connection: by a close frame of the peer, if
// Remote, or because the peer broke the protocol or a bound.
type CloseError struct {
	Code   int // 1005 if the peer's close frame had none
	Reason string
	Remote bool
}

// Error implements error.
func (e *CloseError) Error() string {
	if e.Remote {
		return fmt.Sprintf("ws: closed by the peer with code %d", e.Code)
	}
	return fmt.Sprintf("ws: %s (code %d)", e.Reason, e.Code)
}

func violation(reason string) error {
	return &CloseError{Code: StatusProtocolError, Reason: reason}
}

// header is the head of one frame as a client sends it.
type header struct {
	fin      bool
	deflated bool // RSV1
	op       Opcode
	length   uint64
	mask     [4]byte
	size     int // of the header itself
}

var errShort = errors.New("ws: header incomplete")

// parseHeader reads the header at the start of b. It returns errShort if b
// does not hold all of it. With deflate the first frame of a data message may
// say that the message is compressed.
func parseHeader(b []byte, deflate bool) (h header, err error) {
	if len(b) < 2 {
		return h, errShort
	}
	h.fin = b[0]&0x80 != 0
	h.op = Opcode(b[0] & 0x0f)
	h.deflated = b[0]&byte(Deflated) != 0
	if b[0]&0x30 != 0 || h.deflated && !deflate {
		return h, violation("reserved bit set without an extension")
	}
	if h.deflated && h.op != OpText && h.op != OpBinary {
		return h, violation("compression bit out of place")
	}
	if b[1]&0x80 == 0 {
		return h, violation("unmasked frame")
	}
	length := b[1] & 0x7f
	switch h.op {
	case OpContinuation, OpText, OpBinary:
	case OpClose, OpPing, OpPong:
		if !h.fin {
			return h, violation("fragmented control frame")
		}
		if length > maxControlPayload {
			return h, violation("control frame too long")
		}
	default:
		return h, violation("reserved opcode")
	}
	n := 2
	switch length {
	case 126:
		n += 2
		if len(b) < n {
			return h, errShort
		}
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		n += 8
		if len(b) < n {
			return h, errShort
		}
		h.length = binary.BigEndian.Uint64(b[2:])
		if h.length>>63 != 0 {
			return h, violation("frame length with the top bit set")
		}
	default:
		h.length = uint64(length)
	}
	if len(b) < n+4 {
		return h, errShort
	}
	copy(h.mask[:], b[n:])
	h.size = n + 4
	return h, nil
}

// HeaderSize returns the size of the header that AppendHeader writes for a
// payload of n bytes.
func HeaderSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return MaxHeader
}

// AppendHeader appends the header of an unmasked final frame with n bytes of
// payload. op may have Deflated added to it.
func AppendHeader(dst []byte, op Opcode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// AppendFrame appends an unmasked final frame.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// CutFrame takes the first frame off what AppendFrame has written.
func CutFrame(b []byte) (op Opcode, payload, rest []byte) {
	n, start := int(b[1]), 2
	switch n {
	case 126:
		n, start = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		n, start = int(binary.BigEndian.Uint64(b[2:])), MaxHeader
	}
	return Opcode(b[0] &^ 0x80), b[start : start+n], b[start+n:]
}

// AppendClose appends a close frame. Code 0 leaves the payload empty. reason
// is at most 123 bytes of UTF-8.
func AppendClose(dst []byte, code int, reason string) []byte {
	if code == 0 {
		return AppendHeader(dst, OpClose, 0)
	}
	dst = AppendHeader(dst, OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// parseClose reads the payload of a close frame into the error that ends the
// connection.
func parseClose(p []byte) error {
	if len(p) == 0 {
		return &CloseError{Code: 1005, Remote: true}
	}
	if len(p) == 1 {
		return violation("close frame of one byte")
	}
	code := int(binary.BigEndian.Uint16(p))
	switch {
	case code >= 3000 && code <= 4999:
	case code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
	default:
		return violation("close code that may not be sent")
	}
	if !utf8.Valid(p[2:]) {
		return &CloseError{Code: StatusInvalidPayload, Reason: "close reason that is no UTF-8"}
	}
	return &CloseError{Code: code, Reason: string(p[2:]), Remote: true}
}
