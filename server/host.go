package server

import (
	"encoding/json"
	"iter"
	"slices"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// host is a namespace as its adapter sees it.
type host struct{ ns *Namespace }

var (
	_ adapter.RoomObserver = host{}
	_ adapter.RecoveryHost = host{}
)

func (h host) Namespace() string { return h.ns.name }

// Deliver implements adapter.Host: encoded and framed once for all receivers.
func (h host) Deliver(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket]) {
	to = h.unlocked(to)
	if h.ns.observed() {
		to = h.observe(p, to)
	}
	var m *outbound.Message
	for s := range to {
		if m == nil {
			var err error
			if m, err = h.ns.message(p, flags, nil); err != nil {
				h.ns.unsendable(err)
				break
			}
		}
		s.(*Socket).conn.session.Send(m)
	}
}

// Ask implements adapter.Host. All receivers share one ack id, and so the
// frame.
func (h host) Ask(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket], timeout time.Duration, answer func(*adapter.Packet)) int {
	to = h.unlocked(to)
	var m *outbound.Message
	id := h.ns.ackIDs.Add(1)
	count := 0
	if h.ns.observed() {
		to = h.observe(p, to)
	}
	for member := range to {
		if m == nil {
			var err error
			if m, err = h.ns.message(p, flags, &id); err != nil {
				h.ns.unsendable(err)
				break
			}
		}
		count++
		s := member.(*Socket)
		if !s.expect(id, timeout, func(a *Answer, err error) {
			if err != nil {
				answer(nil)
				return
			}
			answer(a.packet())
		}) {
			answer(nil)
			continue
		}
		if !s.conn.session.Send(m) {
			s.forget(id, ErrDisconnected)
		}
	}
	return count
}

// unlocked returns the receivers such that a parser of the program's own does
// not run under the locks of the index.
func (h host) unlocked(to iter.Seq[adapter.Socket]) iter.Seq[adapter.Socket] {
	if h.ns.srv.cfg.parser == nil {
		return to
	}
	return slices.Values(slices.Collect(to))
}

// unsendable reports an event that the parser cannot encode, off the goroutine
// that may be reading the bus.
func (ns *Namespace) unsendable(err error) {
	ns.notify(func() { ns.srv.handlerError(nil, "", err) })
}

func (h host) Describe(member adapter.Socket) adapter.SocketInfo {
	s := member.(*Socket)
	return adapter.SocketInfo{ID: s.id, Handshake: s.Handshake().describe(), Rooms: s.Rooms(), Data: s.dataJSON()}
}

// dataJSON returns what other nodes see of what the user has attached.
func (s *Socket) dataJSON() json.RawMessage {
	data := []byte("{}")
	if p := s.data.Load(); p != nil && *p != nil {
		v := *p
		// The value is the user's, and so may be its MarshalJSON.
		_ = s.guard(func() error {
			b, err := json.Marshal(v)
			if err == nil {
				data = b
			}
			return err
		})
	}
	return data
}

func (h host) Disconnect(member adapter.Socket, closeConn bool) {
	member.(*Socket).Disconnect(closeConn)
}
