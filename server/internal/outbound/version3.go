package outbound

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/ws"
)

// Version3 returns the message as it stands on the WebSocket of a client of
// Engine.IO 3: there a binary packet begins with its type, or is text in
// base64. Unlike all other forms it is made for each receiver: such clients
// are few.
func (m *Message) Version3(noBinary bool) *Message {
	if len(m.binary) == 0 {
		return m
	}
	old := &Message{Flags: m.Flags, text: m.text, binary: m.binary, payload: m.payload}
	if m.text != nil {
		old.frames = ws.AppendFrame(nil, ws.OpText, m.text)
	}
	for _, b := range m.binary {
		if noBinary {
			old.frames = ws.AppendFrame(old.frames, ws.OpText, appendBase64(nil, b))
		} else {
			old.frames = ws.AppendFrame(old.frames, ws.OpBinary, append([]byte{4}, b...))
		}
	}
	return old
}

func appendBase64(dst, b []byte) []byte {
	return base64.StdEncoding.AppendEncode(append(dst, "b4"...), b)
}

// AppendPayload3 appends messages as a payload of Engine.IO 3 (engine.io-parser
// 2) and reports whether it is a binary one: it is if there is binary, and
// noBinary does not say that the client cannot take it.
func AppendPayload3(dst []byte, messages []*Message, noBinary bool) (payload []byte, binary bool) {
	if !noBinary {
		for _, m := range messages {
			binary = binary || len(m.binary) > 0
		}
	}
	for _, m := range messages {
		if m.text != nil {
			if binary {
				dst = append(appendLength(append(dst, 0), len(m.text)), m.text...)
			} else {
				dst = append(append(strconv.AppendInt(dst, int64(utf16Length(m.text)), 10), ':'), m.text...)
			}
		}
		for _, b := range m.binary {
			if binary {
				dst = append(append(appendLength(append(dst, 1), len(b)+1), 4), b...)
				continue
			}
			dst = append(strconv.AppendInt(dst, int64(2+base64.StdEncoding.EncodedLen(len(b))), 10), ':')
			dst = appendBase64(dst, b)
		}
	}
	return dst, binary
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
