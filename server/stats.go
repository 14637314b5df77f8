package server

import (
	"maps"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/engineio"
)

type counters struct {
	engine        engineio.Counters
	connections   atomic.Uint64
	events        atomic.Uint64
	unhandled     atomic.Uint64
	handlerErrors atomic.Uint64
	panics        atomic.Uint64
	inboundPauses atomic.Uint64
	rateLimited   atomic.Uint64

	noticesDropped    atomic.Uint64
	namespacesRefused atomic.Uint64

	recovered    atomic.Uint64
	notRecovered atomic.Uint64
}

// Stats are the counters of a server since it was made, and a few figures of
// the present. Counters, of type uint64, only grow.
type Stats struct {
	Sessions int // connections that are open now
	Sockets  int // sockets in all namespaces now, on this node
	Rooms    int // rooms with a member now, in all namespaces on this node

	// Namespaces are the figures of the present for each namespace by its name.
	Namespaces map[string]struct{ Sockets, Rooms int }

	Opened      uint64 // connections opened
	Refused     uint64 // requests answered with an error
	Connections uint64 // sockets that joined a namespace
	Upgrades    uint64 // from polling to WebSocket

	Received        uint64 // messages from clients
	Sent            uint64 // messages queued for clients
	VolatileDropped uint64 // volatile packets dropped

	Events        uint64 // events that reached the handlers
	Unhandled     uint64 // of these, events without a handler
	HandlerErrors uint64 // errors and panics of handlers
	Panics        uint64 // of these, panics
	InboundPauses uint64 // how often a client was not read because handlers were behind
	RateLimited   uint64 // events refused by WithRateLimit

	NoticesDropped uint64 // events of other nodes, changes of rooms and outgoing events that nobody was told of

	NamespacesRefused uint64 // namespaces beyond the limit that clients asked for

	Recovered      uint64 // sockets whose state was recovered
	NotRecovered   uint64 // sockets that claimed one which could not be
	Compressions   uint64 // messages and answers to polls that were compressed, once for all who got the same
	CompressedFrom uint64 // their bytes before
	CompressedTo   uint64 // and after

	SlowClients    uint64 // clients disconnected because they did not read
	QueueOverflows uint64 // of these, because of WithQueueLimit; the others because of WithWriteTimeout
	PingTimeouts   uint64 // clients disconnected because they did not answer
	ProtocolErrors uint64 // clients disconnected because of bad input

	Adapter adapter.Stats // of the cluster's back-end
}

// roomCounter is an adapter that knows the number of rooms on this node, as
// those do that embed adapter.Local.
type roomCounter interface{ RoomCount() int }

// Stats returns the counters of the server. It may be called at any time; the
// figures are read one after another.
func (s *Server) Stats() Stats {
	c, e := &s.counters, &s.counters.engine
	st := Stats{
		Sessions:          int(e.Sessions.Load()),
		Opened:            e.Opened.Load(),
		Refused:           e.Refused.Load(),
		Connections:       c.connections.Load(),
		Upgrades:          e.Upgrades.Load(),
		Received:          e.Received.Load(),
		Sent:              e.Sent.Load(),
		VolatileDropped:   e.VolatileDropped.Load(),
		Events:            c.events.Load(),
		Unhandled:         c.unhandled.Load(),
		HandlerErrors:     c.handlerErrors.Load(),
		Panics:            c.panics.Load(),
		InboundPauses:     c.inboundPauses.Load(),
		RateLimited:       c.rateLimited.Load(),
		NamespacesRefused: c.namespacesRefused.Load(),
		NoticesDropped:    c.noticesDropped.Load(),
		Recovered:         c.recovered.Load(),
		NotRecovered:      c.notRecovered.Load(),
		Compressions:      e.Compression.Compressions.Load(),
		CompressedFrom:    e.Compression.BytesBefore.Load(),
		CompressedTo:      e.Compression.BytesAfter.Load(),
		SlowClients:       e.SlowClients.Load(),
		QueueOverflows:    e.QueueOverflows.Load(),
		PingTimeouts:      e.PingTimeouts.Load(),
		ProtocolErrors:    e.ProtocolErrors.Load(),
		Adapter:           s.cfg.backend.Stats(),
	}
	s.mu.RLock()
	namespaces := maps.Clone(s.namespaces)
	s.mu.RUnlock()
	st.Namespaces = make(map[string]struct{ Sockets, Rooms int }, len(namespaces))
	for name, ns := range namespaces {
		figures := st.Namespaces[name]
		figures.Sockets = int(ns.sockets.Load())
		if counter, ok := ns.adapter.(roomCounter); ok {
			figures.Rooms = counter.RoomCount()
		}
		st.Namespaces[name] = figures
		st.Sockets += figures.Sockets
		st.Rooms += figures.Rooms
	}
	return st
}
