package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// roomsPrefix marks requests of this node that fetch sockets in order to know
// the rooms.
const roomsPrefix = "rooms:"

// streamNamespace is the bus of one namespace in the Streams family. What is
// to reach all nodes goes into the stream, with a number that shows repetition;
// what is of no use later, requests and answers, goes by Pub/Sub.
//
// Lock order: streamReader.mu, mu, line.mu, out.
type streamNamespace struct {
	backend *Backend
	name    string
	uid     string
	stream  string
	public  string // the channel of requests, by which nodes are counted
	private string // the channel of answers to this node

	host adapter.Host
	node *cluster.Adapter
	line *line

	census census

	// recovery is what the host wants kept; zero if nothing.
	recovery adapter.Recovery

	// out is held while an entry gets its number and is queued. One that is
	// not queued has a number too: who misses the number knows of the event.
	out    sync.Mutex
	last   uint64
	queued uint64 // the last one that was queued

	// mu is held while a message is handled, so that Close waits for it, and
	// messages of stream and channels do not meet.
	mu      sync.Mutex
	closed  bool
	senders map[string]sender // those that number their entries
	handled uint64            // messages of senders, to tell which is the oldest

	// hole is the last entry before which its sender had dropped another one:
	// who has not got that far cannot get everything any more.
	hole streamID

	parked      []parked
	parkedBytes int
	parkTimer   *time.Timer // runs for the first of parked; nil before the first
}

// sender is what a namespace remembers of a node that numbers its entries.
type sender struct {
	seq  uint64 // of its last entry; 0 if none has come
	when uint64 // handled, when that came
	past uint64 // its entries up to this came before this node, as it seems
}

func newStreamNamespace(b *Backend, host adapter.Host) *streamNamespace {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	n := &streamNamespace{
		backend: b,
		host:    host,
		name:    host.Namespace(),
		uid:     adapter.NodeID(host, hex.EncodeToString(id[:])),
		stream:  b.config.streams.streamOf(host.Namespace()),
		public:  b.config.key + "#" + host.Namespace() + "#",
	}
	n.senders = map[string]sender{n.uid: {}}
	n.private = n.public + n.uid + "#"
	if h, ok := host.(adapter.RecoveryHost); ok && !b.emits {
		n.recovery = h.Recovery()
	}
	n.node = cluster.New(host, n, cluster.Config{NodeID: n.uid, Uncounted: b.emits})
	n.line = newLine(b.config.backlogMessages, b.config.streams.offsetWait, n.deliverHere, n.applyHere)
	n.line.withoutOffset = &b.streams.counters.withoutOffset
	return n
}

func (n *streamNamespace) deliverHere(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) {
	_ = n.node.Local.Broadcast(p, sel, flags) // fails only when closed
}

func (n *streamNamespace) applyHere(m *cluster.Message) {
	switch m.Type { // fails only when closed
	case cluster.AddSockets:
		_ = n.node.Local.AddSockets(m.Selector, m.Rooms)
	case cluster.DelSockets:
		_ = n.node.Local.DelSockets(m.Selector, m.Rooms)
	default:
		_ = n.node.Local.DisconnectSockets(m.Selector, m.CloseConn)
	}
}

func (n *streamNamespace) adapter() adapter.Adapter { return &streamAdapter{n.node, n} }

func (n *streamNamespace) recovers() bool { return n.recovery.MaxDisconnection > 0 }

func (n *streamNamespace) subscriptions() []subscription {
	sharded := n.backend.config.streams.sharded
	if n.backend.emits {
		// Nodes are counted by the channel of requests.
		return []subscription{{name: n.private, sharded: sharded, sole: true, user: n}}
	}
	return []subscription{{name: n.public, request: true, sharded: sharded, user: n}, {name: n.private, sharded: sharded, sole: true, user: n}}
}

// ephemeral reports whether a message goes by Pub/Sub. Node sends no
// server-side event through the stream, but reads it there; so none is lost.
func ephemeral(m *cluster.Message) bool {
	switch m.Type {
	case cluster.AddSockets, cluster.DelSockets, cluster.DisconnectSockets:
		return false
	case cluster.Broadcast, cluster.ServerSideEmit:
		return m.RequestID != ""
	default:
		return true
	}
}

// Publish implements [cluster.Bus].
func (n *streamNamespace) Publish(m *cluster.Message) error {
	if m.Selector.Local || clusterTypeOf(m.Type) == clusterNone {
		return nil
	}
	if !ephemeral(m) {
		_, err := n.add(m)
		return err
	}
	channel := n.public
	switch m.Type {
	case cluster.ListRooms:
		own := *m
		own.RequestID = roomsPrefix + m.RequestID
		m = &own
	case cluster.FetchAnswer, cluster.BroadcastCount, cluster.BroadcastAnswer, cluster.ServerSideEmitAnswer:
		channel = n.public + m.To + "#"
	}
	after := uint64(0)
	if channel == n.public {
		n.out.Lock()
		after = n.queued
		n.out.Unlock()
	}
	payload, err := appendEnvelope(nil, n.uid, n.name, after, m)
	if err != nil {
		return err
	}
	return n.backend.publisher.publish(outgoing{channel: channel, payload: payload, request: n.public})
}

// add queues an entry and returns its number, also with an error if it was
// dropped: 0 if it is a volatile one, which is for those who can take it now.
func (n *streamNamespace) add(m *cluster.Message) (seq uint64, err error) {
	if m.Flags.Volatile && !n.backend.link.isUp() {
		n.backend.publisher.dropped.Add(1)
		return 0, nil
	}
	size := 128
	if m.Packet != nil {
		size += len(m.Packet.Args)
	}
	plain := n.backend.config.streams.plaintext
	data, err := appendEntryData(make([]byte, 0, size), m, plain)
	if err != nil {
		return 0, err
	}
	entry := &streamEntry{uid: n.uid, nsp: n.name, kind: clusterTypeOf(m.Type)}
	n.out.Lock()
	defer n.out.Unlock()
	entry.seq = n.last + 1
	err = n.backend.publisher.publish(outgoing{channel: n.stream, payload: data, entry: entry})
	if errors.Is(err, adapter.ErrClosed) {
		return 0, err
	}
	n.last++
	if err == nil {
		n.queued = n.last
	}
	return n.last, err
}

// ServerCount implements [cluster.Counter]. It fails at once while Redis is
// away.
func (n *streamNamespace) ServerCount(ctx context.Context) (int, error) {
	return n.census.count(ctx, n.backend, n.public)
}

// Reachable implements [cluster.Reacher]: requests are not kept for an outage.
func (n *streamNamespace) Reachable() (<-chan struct{}, error) { return n.backend.link.reachable() }

// Close implements [cluster.Bus].
func (n *streamNamespace) Close() error {
	n.backend.forget(n)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.parked = nil
	if n.parkTimer != nil {
		n.parkTimer.Stop()
	}
	return nil
}

// receive handles a message of one of the channels.
func (n *streamNamespace) receive(in *goredis.Message) error {
	m, err := readEnvelope([]byte(in.Payload))
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || m.uid == n.uid || m.nsp != n.name {
		return nil
	}
	n.backend.received.Add(1)
	if id, ok := strings.CutPrefix(m.data.requestID, roomsPrefix); ok && m.kind == clusterFetchSocketsAnswer {
		m.data.requestID = id
		return n.receiveRooms(m)
	}
	if n.park(m, len(in.Payload)) {
		return nil
	}
	return n.pass(m, "")
}

// receiveEntry handles an entry of the stream. The reader calls it in the
// order of the stream. It reports true for one that repeats another.
func (n *streamNamespace) receiveEntry(e *streamItem) (repeated bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return false, nil
	case n.repeats(e):
		return true, nil
	case e.uid == n.uid:
		n.line.found(e.seq, e.id)
		return false, nil
	}
	n.backend.received.Add(1)
	defer n.unpark(e.uid)
	if n.unwanted(e) {
		return false, nil
	}
	m, err := e.message()
	if err != nil {
		return false, err
	}
	return false, n.pass(m, e.text)
}

// repeats reports whether an entry was there before: its sender did not learn
// that Redis had stored it. mu is held.
func (n *streamNamespace) repeats(e *streamItem) bool {
	if e.seq == 0 {
		return false
	}
	s := n.senders[e.uid]
	if e.seq <= s.seq {
		return true
	}
	if e.seq > s.seq+1 && (s.seq > 0 || e.uid == n.uid) {
		n.hole = e.id
		if e.uid != n.uid {
			n.backend.streams.counters.missed.Add(e.seq - s.seq - 1)
		}
	}
	n.remember(e.uid, sender{seq: e.seq})
	return false
}

// remember notes what is known of a sender, and forgets another one if there
// are too many. mu is held.
func (n *streamNamespace) remember(uid string, s sender) {
	if _, known := n.senders[uid]; !known && len(n.senders) >= n.backend.config.streams.memory {
		n.backend.streams.counters.sendersForgotten.Add(1)
		oldest := ""
		for uid, s := range n.senders {
			if oldest == "" || s.when < n.senders[oldest].when {
				oldest = uid
			}
		}
		delete(n.senders, oldest)
	}
	n.handled++
	s.when = n.handled
	n.senders[uid] = s
}

// pass hands a message to the adapter. offset is the id of its entry, if it
// came in one.
func (n *streamNamespace) pass(in *clusterMessage, offset string) error {
	m, err := in.message()
	if err != nil || m == nil {
		return err
	}
	if n.recovers() && offset != "" && recoverable(m) {
		m.Packet = appendOffset(m.Packet, offset)
	}
	n.node.Receive(m)
	return nil
}

// recoverable reports whether clients that were away get an event later.
func recoverable(m *cluster.Message) bool {
	return m.Type == cluster.Broadcast && m.RequestID == "" && !m.Flags.Volatile
}

// receiveRooms makes the rooms of a node out of its sockets.
func (n *streamNamespace) receiveRooms(in *clusterMessage) error {
	m, err := in.message()
	if err != nil {
		return err
	}
	ids := make(map[string]struct{}, len(m.Sockets))
	for _, s := range m.Sockets {
		ids[s.ID] = struct{}{}
	}
	seen := make(map[string]struct{})
	for _, s := range m.Sockets {
		for _, room := range s.Rooms {
			if _, ok := ids[room]; !ok {
				seen[room] = struct{}{}
			}
		}
	}
	answer := &cluster.Message{Type: cluster.ListRoomsAnswer, Sender: m.Sender, To: n.uid, RequestID: m.RequestID}
	for room := range seen {
		answer.Rooms = append(answer.Rooms, room)
	}
	n.node.Receive(answer)
	return nil
}

// streamNamespace returns an open namespace of the Streams family, or nil.
func (b *Backend) streamNamespace(name string) *streamNamespace {
	if name == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, _ := b.namespaces[b.config.key+"#"+name+"#"].(*streamNamespace)
	return n
}

// flushLines lets no client wait for what a stream brings.
func (b *Backend) flushLines(stream string) {
	b.mu.Lock()
	var open []*streamNamespace
	for name, member := range b.namespaces {
		if n, ok := member.(*streamNamespace); ok && n.public == name && n.stream == stream {
			open = append(open, n)
		}
	}
	b.mu.Unlock()
	for _, n := range open {
		n.line.flush()
	}
}
