// Package outbound is the way out: messages encoded and framed once for all
// their receivers, the bounded queue of a connection, and the flusher that
// writes what has gathered.
package outbound

import (
	"encoding/base64"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/server/internal/ws"
)

// Separator stands between the packets of a polling payload (Engine.IO v4).
const Separator = 0x1e

// Flags are the options of a message.
type Flags struct {
	Volatile   bool // may be dropped if the receiver cannot take it now
	NoCompress bool // the transport must not compress it
}

// Message is one thing to send: an Engine.IO packet or several that must stay
// together, in every form that a transport needs. It is immutable and shared
// by all its receivers; one that was leased has only one.
type Message struct {
	Flags
	released bool          // only with poison.On
	units    atomic.Uint32 // the length of text in UTF-16, plus 1; 0 until a client of version 3 asks
	frames   []byte        // WebSocket frames, back to back
	text     []byte        // the first packet, a part of frames; nil for a bare frame
	binary   [][]byte      // the packets behind it, all binary
	more     *binaryForms  // nil without binary packets

	deflated atomic.Pointer[deflatedForm] // nil until a connection with compression asks

	room []byte // of a leased message: the memory of frames
}

// binaryForms are the forms of a message with binary packets that not every
// receiver needs. Each is made by the first who asks.
type binaryForms struct {
	once     sync.Once
	payload  []byte                           // of long-polling
	version3 [2]atomic.Pointer[version3Forms] // with binary packets, in base64
}

// Start returns a buffer with room for a message of about n bytes, to which the
// caller appends the text of an Engine.IO packet of type message ("4" stands
// there already) before it calls Finish.
func Start(n int) []byte {
	return append(make([]byte, ws.MaxHeader, ws.MaxHeader+1+n), '4')
}

// Finish makes a message of a buffer that began with Start, followed by binary
// packets. It owns buf; it copies attachments.
func Finish(buf []byte, attachments [][]byte, flags Flags) *Message {
	m := &Message{Flags: flags}
	m.finish(buf, attachments)
	return m
}

// finish makes the frames of a message in the memory of buf, and returns that.
func (m *Message) finish(buf []byte, attachments [][]byte) []byte {
	n := len(buf) - ws.MaxHeader
	start := ws.MaxHeader - ws.HeaderSize(n)
	ws.AppendHeader(buf[start:start:ws.MaxHeader], ws.OpText, n)
	if len(attachments) > 0 {
		size := 0
		for _, b := range attachments {
			size += ws.HeaderSize(len(b)) + len(b)
		}
		buf = slices.Grow(buf, size)
		for _, b := range attachments {
			buf = ws.AppendFrame(buf, ws.OpBinary, b)
		}
		m.binary, m.more = attachments, new(binaryForms)
	}
	m.frames, m.text = buf[start:], buf[ws.MaxHeader:ws.MaxHeader+n]
	return buf
}

// Packet returns the message of one Engine.IO text packet, given with its type
// digit. It is never compressed.
func Packet(text string) *Message {
	frames := ws.AppendFrame(nil, ws.OpText, []byte(text))
	return &Message{Flags: Flags{NoCompress: true}, frames: frames, text: frames[len(frames)-len(text):]}
}

// Binary returns the message of binary packets. It copies them.
func Binary(flags Flags, packets ...[]byte) *Message {
	m := &Message{Flags: flags}
	for _, b := range packets {
		m.frames = ws.AppendFrame(m.frames, ws.OpBinary, b)
	}
	end := 0
	for _, b := range packets {
		end += ws.HeaderSize(len(b)) + len(b)
		m.binary = append(m.binary, m.frames[end-len(b):end:end])
	}
	m.more = new(binaryForms)
	return m
}

// Frame returns the message of a WebSocket control frame, which does not
// exist on any other transport. It owns frame.
func Frame(frame []byte) *Message {
	return &Message{Flags: Flags{NoCompress: true}, frames: frame} // RFC 7692, section 6.1
}

// Frames returns the bytes of the message on a WebSocket. They are not to be
// changed.
func (m *Message) Frames() []byte { return m.frames }

// Packets returns the number of Engine.IO packets in the message.
func (m *Message) Packets() int {
	n := len(m.binary)
	if m.text != nil {
		n++
	}
	return n
}

// AppendPayload appends the message to a polling payload, with a separator if
// dst is not empty.
func (m *Message) AppendPayload(dst []byte) []byte {
	p := m.text
	if f := m.more; f != nil {
		f.once.Do(func() { f.payload = m.buildPayload() })
		p = f.payload
	}
	if len(p) == 0 {
		return dst
	}
	if len(dst) > 0 {
		dst = append(dst, Separator)
	}
	return append(dst, p...)
}

func (m *Message) buildPayload() []byte {
	size := len(m.text)
	for _, b := range m.binary {
		size += 2 + base64.StdEncoding.EncodedLen(len(b))
	}
	p := append(make([]byte, 0, size), m.text...)
	for _, b := range m.binary {
		if len(p) > 0 {
			p = append(p, Separator)
		}
		p = append(p, 'b')
		p = base64.StdEncoding.AppendEncode(p, b)
	}
	return p
}
