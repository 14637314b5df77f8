package outbound

import (
	"sync"

	"github.com/roomspan/roomspan/server/internal/poison"
	"github.com/roomspan/roomspan/server/internal/ws"
)

// leasedBytes bounds the memory that a message keeps for the next one.
const leasedBytes = 16 << 10

var leased = sync.Pool{New: func() any { return new(Message) }}

// Lease returns a message for one receiver, and the buffer of which it is to be
// made, as by Start. Once it has been sent it belongs to the connection, which
// alone knows when it has been written and its memory serves the next: whoever
// sent it must not look at it again. One that is never written is left to the
// garbage collector.
func Lease(n int) (m *Message, buf []byte) {
	m = leased.Get().(*Message)
	if cap(m.room) < ws.MaxHeader+1+n {
		m.room = make([]byte, 0, ws.MaxHeader+1+n)
	}
	return m, append(m.room[:ws.MaxHeader], '4')
}

// Finish makes a leased message of its buffer, to which the caller has
// appended, as the function Finish does.
func (m *Message) Finish(buf []byte, attachments [][]byte, flags Flags) {
	m.Flags = flags
	m.room = m.finish(buf, attachments)
}

// Release ends the lease of a message that has been written, and does nothing
// with any other. Neither it nor its Frames may be used afterwards.
func (m *Message) Release() {
	if m.room == nil {
		return
	}
	if poison.On {
		m.spoil()
		return
	}
	room := m.room[:0]
	if cap(room) > leasedBytes {
		room = nil
	}
	*m = Message{room: room}
	leased.Put(m)
}

// spoil is Release in a build that looks for mistakes: the message is not used
// again, and who still has it sends nonsense.
func (m *Message) spoil() {
	if m.released {
		panic("outbound: a message released twice")
	}
	m.released = true
	poison.Memory(m.room)
	if d := m.deflated.Load(); d != nil {
		poison.Bytes(d.frames)
	}
	m.binary, m.more = nil, nil
}
