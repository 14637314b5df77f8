package zishang520

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/zishang520/socket.io-go-parser/v2/parser"
	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// host is a namespace as the cluster sees it.
type host struct{ *namespace }

var _ adapter.RoomObserver = host{}

// Namespace implements adapter.Host.
func (h host) Namespace() string { return h.name }

// Deliver implements adapter.Host. The receivers are collected first: a listener
// for what goes out may call the adapter.
func (h host) Deliver(p *adapter.Packet, f adapter.Flags, to iter.Seq[adapter.Socket]) {
	receivers := slices.Collect(to)
	if len(receivers) == 0 {
		return
	}
	out, err := h.outgoing(p, nil, f)
	if err != nil {
		h.report("delivery", err)
		return
	}
	for _, r := range receivers {
		if s := r.(*member).socket(); s != nil {
			out.write(s)
		}
	}
}

// outgoing is an event on its way to clients.
type outgoing struct {
	host    host
	writeTo func(*socket.Client)
	packet  func() *parser.Packet
}

func (h host) outgoing(p *adapter.Packet, id *uint64, f adapter.Flags) (*outgoing, error) {
	parts, packet, err := h.encoded(p, id)
	if err != nil {
		return nil, err
	}
	opts := &socket.WriteOptions{Volatile: f.Volatile, PreEncoded: true}
	opts.Compress = !f.NoCompress
	return &outgoing{h, func(c *socket.Client) { c.WriteToEngine(parts, opts) }, packet}, nil
}

func (o *outgoing) write(s *socket.Socket) {
	if listen := s.NotifyOutgoingListeners(); listen != nil {
		o.host.cluster.guard(func() { listen(o.packet()) })
	}
	o.writeTo(s.Client())
}

// Ask implements adapter.Host. The server shares its numbers of
// acknowledgements among all sockets of a namespace.
func (h host) Ask(p *adapter.Packet, f adapter.Flags, to iter.Seq[adapter.Socket], timeout time.Duration, answer func(*adapter.Packet)) int {
	id := h.nsp.Ids()
	out, err := h.outgoing(p, &id, f)
	if err != nil {
		h.report("question", err)
		return 0
	}
	q := &question{id: id, answer: answer, waiting: make(map[*member]struct{})}
	var asked []*socket.Socket
	for _, r := range slices.Collect(to) {
		m := r.(*member)
		if s := m.socket(); s != nil && m.ask(q) {
			asked = append(asked, s)
			s.Acks().Store(id, func(args []any, _ error) { q.answered(m, args) })
		}
	}
	q.expire(timeout)
	for _, s := range asked {
		out.write(s)
	}
	return len(asked)
}

// Describe implements adapter.Host.
func (h host) Describe(r adapter.Socket) adapter.SocketInfo {
	info := adapter.SocketInfo{
		ID:        r.ID(),
		Handshake: json.RawMessage("{}"),
		Rooms:     append([]string{r.ID()}, slices.DeleteFunc(r.Membership().Rooms(), func(room string) bool { return room == r.ID() })...),
		Data:      json.RawMessage("{}"),
	}
	if s := r.(*member).socket(); s != nil {
		info.Handshake = describe(s.Handshake())
		if data := s.Data(); data != nil {
			h.cluster.guard(func() {
				if b, err := json.Marshal(data); err == nil {
					info.Data = b
				}
			})
		}
	}
	return info
}

// describe returns a handshake in the form that Socket.IO on Node gives it.
func describe(hs *socket.Handshake) json.RawMessage {
	if hs == nil {
		return json.RawMessage("{}")
	}
	flat := func(lists map[string][]string, key func(string) string) map[string]string {
		m := make(map[string]string, len(lists))
		for k, v := range lists {
			m[key(k)] = strings.Join(v, ", ")
		}
		return m
	}
	b, err := json.Marshal(map[string]any{
		"headers": flat(hs.Headers, strings.ToLower), "time": hs.Time, "address": hs.Address, "xdomain": hs.Xdomain,
		"secure": hs.Secure, "issued": hs.Issued, "url": hs.Url, "query": flat(hs.Query, strings.Clone), "auth": hs.Auth,
	})
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}

// Disconnect implements adapter.Host. The listeners of the socket run on a
// goroutine of their own: this one may be reading the bus.
func (h host) Disconnect(r adapter.Socket, closeConn bool) {
	if s := r.(*member).socket(); s != nil {
		h.cluster.work.Go(func() { h.cluster.guard(func() { s.Disconnect(closeConn) }) })
	}
}

// ServerSideEvent implements adapter.Host.
func (h host) ServerSideEvent(p *adapter.Packet, reply func(*adapter.Packet)) {
	h.queue.push(func() {
		args, err := decode(p)
		if err != nil {
			h.report("event of another node", err)
			return
		}
		if reply != nil {
			args = append(args, socket.Ack(func(values []any, _ error) {
				answer, err := encode(values)
				if err != nil {
					h.report("answer", fmt.Errorf("to another node: %w", err))
					return
				}
				reply(answer)
			}))
		}
		h.nsp.OnServerSideEmit(args)
	})
}
