package server

import (
	"iter"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// OnAnyOutgoing adds a function that is told of every event that is sent to a
// client of this node, whoever emitted it and by whatever method,
// once for each client. It is called after the fact, in order, on a goroutine
// of the namespace; see [WithNoticeLimit]. The event cannot be answered.
func (ns *Namespace) OnAnyOutgoing(f func(*Socket, *Event)) {
	appendTo(&ns.mu, &ns.onOutgoing, f)
}

// observed reports whether anybody wants to know what is sent.
func (ns *Namespace) observed() bool {
	return len(*ns.onOutgoing.Load()) > 0 || ns.parent != nil && ns.parent.observed()
}

// observe returns the receivers of a packet, and tells the functions of
// OnAnyOutgoing when they have been walked over.
func (h host) observe(p *adapter.Packet, to iter.Seq[adapter.Socket]) iter.Seq[adapter.Socket] {
	return func(yield func(adapter.Socket) bool) {
		var all []*Socket
		for s := range to {
			all = append(all, s.(*Socket))
			if !yield(s) {
				break
			}
		}
		h.ns.sent(p, all)
	}
}

// sent tells the functions of OnAnyOutgoing.
func (ns *Namespace) sent(p *adapter.Packet, to []*Socket) {
	if len(to) == 0 {
		return
	}
	ns.notify(func() {
		spans, err := parser.Scan(p.Args, len(p.Attachments), parser.Limits{}, nil)
		if err != nil || len(spans) == 0 {
			return // a foreign node let it through
		}
		for _, s := range to {
			ev := &Event{ns: ns, socket: s, values: values{data: p.Args, spans: spans, attachments: p.Attachments}}
			for n := ns; n != nil; n = n.parent {
				for _, f := range *n.onOutgoing.Load() {
					ns.call(ev.Name(), s, func() { f(s, ev) })
				}
			}
		}
	})
}
