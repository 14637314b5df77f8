package server

import (
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

	noticesDropped    atomic.Uint64
	namespacesRefused atomic.Uint64
}

// Stats are the counters of a server since it was made, and a few figures of
// the present.
type Stats struct {
	Sessions int // connections that are open now
	Sockets  int // sockets in all namespaces now

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

	NoticesDropped uint64 // events of other nodes, changes of rooms and outgoing events that nobody was told of

	NamespacesRefused uint64 // namespaces beyond the limit that clients asked for

	SlowClients    uint64 // clients disconnected because they did not read
	PingTimeouts   uint64 // clients disconnected because they did not answer
	ProtocolErrors uint64 // clients disconnected because of bad input

	Adapter adapter.Stats // of the cluster's back-end
}

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
		NamespacesRefused: c.namespacesRefused.Load(),
		NoticesDropped:    c.noticesDropped.Load(),
		SlowClients:       e.SlowClients.Load(),
		PingTimeouts:      e.PingTimeouts.Load(),
		ProtocolErrors:    e.ProtocolErrors.Load(),
		Adapter:           s.cfg.backend.Stats(),
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, ns := range s.namespaces {
		st.Sockets += int(ns.sockets.Load())
	}
	return st
}
