package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// idsPrefix marks, inside this node, requests of the old kind that want the
// ids of sockets and not their descriptions.
const idsPrefix = "\x00ids:"

// namespace is the bus of one namespace: what it publishes takes the form of
// the protocol, and what is heard becomes messages for its adapter.
type namespace struct {
	backend *Backend
	host    adapter.Host
	name    string
	uid     string
	channels

	// ids begins the ids of requests that this node makes, so that answers to
	// others are told apart without being read.
	ids string

	// ownBroadcast and ownRequest are how messages of this node begin, which
	// come back to it.
	ownBroadcast, ownRequest string

	// fresh are rooms whose members this node has changed elsewhere: a node
	// with WithRoomSubscriptions may not hear them yet.
	fresh freshRooms

	node   *cluster.Adapter
	opened adapter.Adapter // node, or what is around it
	census census

	// mu is held while a message is handled, so that Close waits for it.
	mu     sync.Mutex
	closed bool
}

func newNamespace(b *Backend, host adapter.Host) *namespace {
	uid := adapter.NodeID(host, rand.Text()[:12])
	n := &namespace{
		backend:      b,
		host:         host,
		name:         host.Namespace(),
		uid:          uid,
		channels:     newChannels(b.config.key, host.Namespace(), uid),
		ids:          uid + "-",
		ownBroadcast: string(msgp.AppendString(msgp.AppendArrayHeader(nil, 3), uid)),
		ownRequest:   `{"uid":"` + uid + `"`,
		fresh:        freshRooms{time: b.config.fresh},
	}
	if b.config.rooms {
		host = newRoomWatcher(host, b, n)
	}
	n.node = cluster.New(host, n, cluster.Config{NodeID: uid, Uncounted: b.emits})
	n.opened = n.node
	if b.config.rooms {
		n.opened = &roomAdapter{Adapter: n.node, backend: b, bus: n}
	}
	return n
}

func (n *namespace) adapter() adapter.Adapter { return n.opened }

func (n *namespace) subscriptions() []subscription {
	if n.backend.emits {
		return []subscription{{name: n.response, peers: n.request, user: n}, {name: n.own, sole: true, user: n}}
	}
	broadcast := subscription{name: n.pattern, pattern: true}
	if n.backend.config.rooms {
		broadcast = subscription{name: n.broadcast, user: n}
	}
	return []subscription{
		broadcast,
		{name: n.request, request: true, user: n},
		{name: n.response, user: n},
		{name: n.own, sole: true, user: n},
	}
}

// Publish implements [cluster.Bus].
func (n *namespace) Publish(m *cluster.Message) error {
	if m.Selector.Local {
		return nil
	}
	if m.Flags.Volatile && !n.backend.link.isUp() {
		n.backend.publisher.dropped.Add(1)
		return nil // it is for those who can take it now
	}
	size := 128
	if m.Packet != nil {
		size += len(m.Packet.Args)
		for _, a := range m.Packet.Attachments {
			size += len(a) + 8
		}
	}
	if m.Type == cluster.AddSockets {
		n.fresh.add(m.Rooms)
	}
	channel, payload, err := n.encode(make([]byte, 0, size), m)
	if err != nil || payload == nil {
		return err
	}
	return n.backend.publisher.publish(outgoing{channel: channel, payload: payload, request: n.request})
}

// encode returns a nil payload for what has no place in the protocol.
func (n *namespace) encode(dst []byte, m *cluster.Message) (channel string, payload []byte, err error) {
	switch m.Type {
	case cluster.Broadcast:
		if m.RequestID == "" {
			payload, err = appendBroadcast(dst, n.uid, n.name, m)
			return n.broadcastChannel(m.Selector.Rooms), payload, err
		}
		fallthrough
	case cluster.AddSockets, cluster.DelSockets, cluster.DisconnectSockets,
		cluster.FetchSockets, cluster.ListRooms, cluster.ServerSideEmit:
		if m.RequestID != "" {
			own := *m
			own.RequestID = n.ids + m.RequestID
			m = &own
		}
		payload, err = appendRequest(dst, n.uid, n.name, m)
		return n.request, payload, err
	case cluster.FetchAnswer:
		if id, ok := strings.CutPrefix(m.RequestID, idsPrefix); ok {
			ids := *m
			ids.RequestID = id
			return n.answerChannel(m), appendSocketIDs(dst, n.uid, &ids), nil
		}
		fallthrough
	case cluster.BroadcastCount, cluster.BroadcastAnswer, cluster.ListRoomsAnswer, cluster.ServerSideEmitAnswer:
		payload, err = appendResponse(dst, n.uid, m)
		return n.answerChannel(m), payload, err
	default:
		// Redis counts the nodes, which need no heartbeats.
		return "", nil, nil
	}
}

func (n *namespace) answerChannel(m *cluster.Message) string {
	// Node answers server-side events on the shared channel always.
	if !n.backend.config.specificResponse || m.To == "" || m.Type == cluster.ServerSideEmitAnswer {
		return n.response
	}
	return n.to(m.To)
}

// ServerCount implements [cluster.Counter]. It fails at once while Redis is
// away.
func (n *namespace) ServerCount(ctx context.Context) (int, error) {
	return n.census.count(ctx, n.backend, n.request)
}

// Reachable implements [cluster.Reacher].
func (n *namespace) Reachable() (<-chan struct{}, error) { return n.backend.link.reachable() }

// Close implements [cluster.Bus].
func (n *namespace) Close() error {
	n.backend.forget(n)
	if l, ok := n.backend.sub.(*channelListener); ok {
		l.removeAll(n) // the channels of rooms
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return nil
}

// receive handles a message of one of the channels. An error says that it was
// not understood.
func (n *namespace) receive(m *goredis.Message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil
	case m.Channel == n.request:
		return n.receiveRequest(m.Payload)
	case m.Channel == n.response, m.Channel == n.own:
		return n.receiveResponse(m.Payload)
	default:
		return n.receiveBroadcast(m.Channel, m.Payload)
	}
}

// receiveBroadcast looks at a broadcast in steps, and goes no further than is
// needed to know that no local socket wants it.
func (n *namespace) receiveBroadcast(channel, payload string) error {
	if room := n.room(channel); room != "" && !n.node.HasRoom(room) {
		return nil
	}
	if strings.HasPrefix(payload, n.ownBroadcast) {
		return nil
	}
	m, err := readBroadcast([]byte(payload))
	if err != nil {
		return err
	}
	if m.uid == n.uid || m.packet.nsp != n.name {
		return nil
	}
	n.backend.received.Add(1)
	if !n.node.Wanted(m.opts.selector) {
		return nil
	}
	packet, _, err := msgpack.ReadPacketData(m.packet.data)
	if err != nil {
		return err
	}
	n.node.Receive(&cluster.Message{
		Type: cluster.Broadcast, Sender: m.uid, Packet: packet,
		Selector: m.opts.selector, Flags: m.opts.flags,
	})
	return nil
}

func (n *namespace) receiveRequest(payload string) error {
	if strings.HasPrefix(payload, n.ownRequest) {
		return nil
	}
	r, err := readRequest([]byte(payload))
	if err != nil {
		return err
	}
	if r.uid == n.uid {
		return nil
	}
	n.backend.received.Add(1)
	switch r.kind {
	case typeRemoteJoin, typeRemoteLeave, typeRemoteDisconnect:
		if r.opts == nil {
			return n.receiveLegacy(r)
		}
	}
	m, err := n.requestMessage(r)
	if err != nil || m == nil {
		return err
	}
	n.node.Receive(m)
	return nil
}

// requestMessage returns nil for what concerns another namespace.
func (n *namespace) requestMessage(r *request) (*cluster.Message, error) {
	m := &cluster.Message{Sender: r.uid, RequestID: r.requestID, Rooms: r.rooms, CloseConn: r.closeConn}
	if r.opts != nil {
		m.Selector, m.Flags = r.opts.selector, r.opts.flags
	}
	var err error
	switch r.kind {
	case typeSockets:
		m.Type, m.RequestID, m.Selector.Rooms = cluster.FetchSockets, idsPrefix+r.requestID, r.rooms
	case typeAllRooms:
		m.Type = cluster.ListRooms
	case typeRemoteJoin:
		m.Type, m.RequestID = cluster.AddSockets, ""
	case typeRemoteLeave:
		m.Type, m.RequestID = cluster.DelSockets, ""
	case typeRemoteDisconnect:
		m.Type, m.RequestID = cluster.DisconnectSockets, ""
	case typeRemoteFetch:
		m.Type = cluster.FetchSockets
	case typeServerSideEmit:
		m.Type = cluster.ServerSideEmit
		m.Packet, err = r.data.list()
	case typeBroadcast:
		return n.broadcastRequest(r, m)
	default:
		return nil, fmt.Errorf("%w: request of type %d", errFormat, r.kind)
	}
	return m, err
}

func (n *namespace) broadcastRequest(r *request, m *cluster.Message) (*cluster.Message, error) {
	packet, err := r.packet.packetFields()
	if err != nil {
		return nil, err
	}
	if packet.nsp != n.name {
		return nil, nil
	}
	m.Type = cluster.Broadcast
	if r.opts != nil {
		m.Timeout = r.opts.timeout
	}
	m.Packet, err = argument{packet.data, r.packet.msgpack}.list()
	return m, err
}

// receiveLegacy carries out a request that names one socket, and answers if
// the socket is here. A room of that name is no concern of it.
func (n *namespace) receiveLegacy(r *request) error {
	switch {
	case r.sid == "":
		return fmt.Errorf("%w: request without opts and sid", errFormat)
	case r.room == "" && r.kind != typeRemoteDisconnect:
		return fmt.Errorf("%w: request without opts and room", errFormat)
	}
	s, here := n.node.Lookup(r.sid)
	if !here {
		return nil
	}
	switch r.kind {
	case typeRemoteJoin:
		n.node.Add(s, r.room)
	case typeRemoteLeave:
		n.node.Del(s, r.room)
	default:
		n.host.Disconnect(s, r.closeConn)
	}
	if r.requestID == "" {
		return nil
	}
	answer := appendAnswerTail(appendAnswerHead([]byte{'{'}, r.requestID), n.uid)
	channel := n.answerChannel(&cluster.Message{To: r.uid})
	err := n.backend.publisher.publish(outgoing{channel: channel, payload: answer, request: n.request})
	if errors.Is(err, adapter.ErrClosed) {
		return nil
	}
	return err
}

func (n *namespace) receiveResponse(payload string) error {
	if !strings.Contains(payload, n.ids) {
		return nil
	}
	r, err := readRequest([]byte(payload))
	if err != nil {
		return err
	}
	id, ok := strings.CutPrefix(r.requestID, n.ids)
	if !ok {
		return nil
	}
	n.backend.received.Add(1)
	// Those of Node do not say who gives them.
	m := &cluster.Message{Sender: r.uid, To: n.uid, RequestID: id}
	switch {
	case r.kind == typeBroadcastClientCount && r.count >= 0:
		m.Type, m.Count = cluster.BroadcastCount, r.count
	case r.kind == typeBroadcastAck:
		m.Type, m.Count = cluster.BroadcastAnswer, r.number
		m.Packet, err = r.packet.single()
	case r.kind == typeServerSideEmit:
		m.Type = cluster.ServerSideEmitAnswer
		m.Packet, err = r.data.single()
	case r.sockets != nil:
		m.Type = cluster.FetchAnswer
		m.Sockets, err = readSockets(r.sockets)
	case r.hasRooms:
		m.Type, m.Rooms = cluster.ListRoomsAnswer, r.rooms
	default:
		return fmt.Errorf("%w: response of type %d", errFormat, r.kind)
	}
	if err != nil {
		return err
	}
	n.node.Receive(m)
	return nil
}
