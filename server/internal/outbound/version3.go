package outbound

import (
	"encoding/base64"
	"math"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/ws"
)

// version3Forms are the forms of a message with binary packets for clients of
// Engine.IO 3, each made by the first who asks. Text has no form of its own: it
// is the same on a WebSocket, and has its length before it in a payload.
type version3Forms struct {
	framed    sync.Once
	webSocket *Message

	packed  sync.Once
	payload []byte // the part of a payload
}

// version3 returns the forms for clients that take binary packets, or with
// inBase64 for those that do not.
func (m *Message) version3(inBase64 bool) *version3Forms {
	forms := &m.more.version3[0]
	if inBase64 {
		forms = &m.more.version3[1]
	}
	if f := forms.Load(); f != nil {
		return f
	}
	forms.CompareAndSwap(nil, new(version3Forms))
	return forms.Load()
}

// Version3 returns the message as it stands on the WebSocket of a client of
// Engine.IO 3, with Frames and their compressed form alone: there a binary
// packet begins with its type, or is text in base64. All receivers share it.
func (m *Message) Version3(inBase64 bool) *Message {
	if m.more == nil {
		return m
	}
	f := m.version3(inBase64)
	f.framed.Do(func() { f.webSocket = m.webSocket3(inBase64) })
	return f.webSocket
}

func (m *Message) webSocket3(inBase64 bool) *Message {
	size := ws.MaxHeader + len(m.text)
	for _, b := range m.binary {
		n := length3(b, inBase64)
		size += ws.HeaderSize(n) + n
	}
	old := &Message{Flags: m.Flags, frames: make([]byte, 0, size)}
	if m.text != nil {
		old.frames = ws.AppendFrame(old.frames, ws.OpText, m.text)
	}
	for _, b := range m.binary {
		op := ws.OpBinary
		if inBase64 {
			op = ws.OpText
		}
		old.frames = ws.AppendHeader(old.frames, op, length3(b, inBase64))
		old.frames = appendBinary3(old.frames, b, inBase64)
	}
	return old
}

// length3 returns the length of a binary packet.
func length3(b []byte, inBase64 bool) int {
	if inBase64 {
		return len("b4") + base64.StdEncoding.EncodedLen(len(b))
	}
	return 1 + len(b)
}

// appendBinary3 appends a binary packet: its type, a digit in base64, else a
// byte, and its data.
func appendBinary3(dst, b []byte, inBase64 bool) []byte {
	if inBase64 {
		return base64.StdEncoding.AppendEncode(append(dst, "b4"...), b)
	}
	return append(append(dst, 4), b...)
}

// AppendPayload3 appends messages as a payload of Engine.IO 3 (engine.io-parser
// 2) and reports whether it is a binary one: it is if there is binary, unless
// inBase64 says that the client cannot take it.
func AppendPayload3(dst []byte, messages []*Message, inBase64 bool) (payload []byte, binary bool) {
	if !inBase64 {
		for _, m := range messages {
			binary = binary || m.more != nil
		}
	}
	for _, m := range messages {
		switch {
		case m.more != nil:
			f := m.version3(inBase64)
			f.packed.Do(func() { f.payload = m.payload3(inBase64) })
			dst = append(dst, f.payload...)
		case m.text != nil:
			dst = m.appendText3(dst, binary)
		}
	}
	return dst, binary
}

// maxPrefix is room for what stands before a packet in a payload, if that is not
// of an absurd length.
const maxPrefix = 12

// payload3 makes the part of a payload that a message with binary packets is.
func (m *Message) payload3(inBase64 bool) []byte {
	size := maxPrefix + len(m.text)
	for _, b := range m.binary {
		size += maxPrefix + length3(b, inBase64)
	}
	p := make([]byte, 0, size)
	if m.text != nil {
		p = m.appendText3(p, !inBase64)
	}
	for _, b := range m.binary {
		if inBase64 {
			p = append(strconv.AppendInt(p, int64(length3(b, true)), 10), ':')
		} else {
			p = appendLength(append(p, 1), length3(b, false))
		}
		p = appendBinary3(p, b, inBase64)
	}
	return p
}

// appendText3 appends the text of a message with its length: in bytes where the
// payload is binary, else in the units of JavaScript.
func (m *Message) appendText3(dst []byte, binary bool) []byte {
	if binary {
		dst = appendLength(append(dst, 0), len(m.text))
	} else {
		dst = append(strconv.AppendInt(dst, m.textLength(), 10), ':')
	}
	return append(dst, m.text...)
}

// textLength returns the length of the text in UTF-16, counted once.
func (m *Message) textLength() int64 {
	if n := m.units.Load(); n > 0 {
		return int64(n) - 1
	}
	n := int64(utf16Length(m.text))
	if n < math.MaxUint32 {
		m.units.Store(uint32(n) + 1)
	}
	return n
}

// appendLength appends a number in decimal digits, each a byte from 0 to 9,
// and the byte that ends it.
func appendLength(dst []byte, n int) []byte {
	start := len(dst)
	dst = strconv.AppendInt(dst, int64(n), 10)
	for i := start; i < len(dst); i++ {
		dst[i] -= '0'
	}
	return append(dst, 0xff)
}

// utf16Length returns the length of a text in the units of JavaScript, in
// which Engine.IO 3 counts.
func utf16Length(text []byte) int {
	n := 0
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r >= 0x10000 {
			n++
		}
		n++
		text = text[size:]
	}
	return n
}
