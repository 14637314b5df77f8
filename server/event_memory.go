package server

import (
	"sync"

	"github.com/roomspan/roomspan/server/internal/parser"
	"github.com/roomspan/roomspan/server/internal/poison"
)

const (
	// shortText is how much JSON has its place in the event: one object instead
	// of two for the collector to look after.
	shortText = 96

	// lentBytes bounds the JSON whose memory is kept for the next event.
	lentBytes = 4 << 10
)

// events are events that nobody holds on to.
var events = sync.Pool{New: func() any { return new(Event) }}

// newEvent makes an event that belongs to no socket yet, and has no attachments.
// It copies the packet, which aliases the reader's buffer.
func newEvent(p *parser.Packet) *Event {
	ev := events.Get().(*Event)
	ev.ackID, ev.asks = p.ID, p.HasID
	room := ev.values.data
	if len(p.Data) > cap(room) && len(p.Data) <= shortText {
		room = ev.text[:]
	}
	ev.values.keep(room, p)
	return ev
}

// release gives back the memory of an event whose handlers have returned, unless
// somebody may hold on to it. Handlers with typed arguments never saw the event,
// and what they were given is their own: decoding copies.
func (e *Event) release() {
	if e.kept || e.ns.srv.cfg.json != nil { // not every JSON library copies
		return
	}
	data := e.values.data[:0]
	if cap(data) > lentBytes {
		data = nil
	}
	*e = Event{values: values{data: data}}
	poison.Memory(data)
	events.Put(e)
}
