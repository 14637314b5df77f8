package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// shardedNamespace is the bus of one namespace in the sharded family.
type shardedNamespace struct {
	backend *Backend
	envelope
	mode  SubscriptionMode
	main  string // <key>#<nsp>#, heard by all nodes
	own   string // <key>#<nsp>#<uid>#, for answers to this node
	fresh freshRooms

	// ownJSON and ownMsgpack are how messages of this node end, which come
	// back to it.
	ownJSON, ownMsgpack string

	node   *shardedAdapter
	census census

	// mu is held while a message is handled, so that Close waits for it.
	mu     sync.Mutex
	closed bool
}

func newShardedNamespace(b *Backend, host adapter.Host) *shardedNamespace {
	uid := make([]byte, 8)
	_, _ = rand.Read(uid) // never fails
	n := &shardedNamespace{
		backend:  b,
		envelope: envelope{adapter.NodeID(host, hex.EncodeToString(uid)), host.Namespace()},
		mode:     b.config.sharded,
		main:     b.config.key + "#" + host.Namespace() + "#",
		fresh:    freshRooms{time: b.config.fresh},
	}
	n.own = n.channel(n.uid)
	n.ownJSON, n.ownMsgpack = n.tailJSON(), n.tailMsgpack()
	if n.mode != Static {
		host = newRoomWatcher(host, b, n)
	}
	node := cluster.New(host, n, cluster.Config{NodeID: n.uid, Uncounted: b.emits})
	n.node = &shardedAdapter{&roomAdapter{Adapter: node, backend: b, bus: n}}
	return n
}

func (n *shardedNamespace) adapter() adapter.Adapter { return n.node }

func (n *shardedNamespace) subscriptions() []subscription {
	if n.backend.emits {
		return []subscription{{name: n.own, sharded: true, sole: true, peers: n.main, user: n}}
	}
	return []subscription{
		{name: n.main, sharded: true, request: true, user: n},
		{name: n.own, sharded: true, sole: true, user: n},
	}
}

// channel returns the channel of a room, or of the answers to a node.
func (n *shardedNamespace) channel(name string) string { return n.main + name + "#" }

// Publish implements [cluster.Bus].
func (n *shardedNamespace) Publish(m *cluster.Message) error {
	if clusterTypeOf(m.Type) == clusterNone || m.Type == cluster.ListRooms || m.Selector.Local {
		return nil
	}
	if m.Flags.Volatile && !n.backend.link.isUp() {
		n.backend.publisher.dropped.Add(1)
		return nil // it is for those who can take it now
	}
	channel := n.channelOf(m)
	if channel == "" {
		return nil // an answer to nobody
	}
	payload, err := appendClusterMessage(make([]byte, 0, sizeOf(m)), n.envelope, m)
	if err != nil {
		return err
	}
	return n.backend.publisher.publish(outgoing{channel: channel, payload: payload, request: n.main})
}

// sizeOf estimates how long a message becomes.
func sizeOf(m *cluster.Message) int {
	size := 160
	if m.Packet != nil {
		size += len(m.Packet.Args)
		for _, a := range m.Packet.Attachments {
			size += len(a) + 8
		}
	}
	return size
}

func (n *shardedNamespace) channelOf(m *cluster.Message) string {
	switch m.Type {
	case cluster.BroadcastCount, cluster.BroadcastAnswer, cluster.FetchAnswer, cluster.ServerSideEmitAnswer:
		if m.To == "" {
			return ""
		}
		return n.channel(m.To)
	case cluster.AddSockets, cluster.DelSockets:
		n.fresh.add(m.Rooms)
	case cluster.Broadcast:
		if rooms := m.Selector.Rooms; m.RequestID == "" && len(rooms) == 1 && n.apart(rooms[0]) && n.backend.calm() && !n.fresh.has(rooms[0]) {
			return n.channel(rooms[0])
		}
	}
	return n.main
}

// ServerCount implements [cluster.Counter]. It fails at once while Redis is
// away.
func (n *shardedNamespace) ServerCount(ctx context.Context) (int, error) {
	return n.census.count(ctx, n.backend, n.main)
}

// Reachable implements [cluster.Reacher].
func (n *shardedNamespace) Reachable() (<-chan struct{}, error) { return n.backend.link.reachable() }

// Close implements [cluster.Bus].
func (n *shardedNamespace) Close() error {
	n.backend.forget(n)
	if l, ok := n.backend.sub.(*channelListener); ok {
		l.removeAll(n) // the channels of rooms
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return nil
}

// receive handles a message of one of the channels. What it is, its type says:
// a room may have the name of the channel of a node.
func (n *shardedNamespace) receive(m *goredis.Message) error {
	if strings.HasSuffix(m.Payload, n.ownJSON) || strings.HasSuffix(m.Payload, n.ownMsgpack) {
		return nil
	}
	in, err := readClusterMessage([]byte(m.Payload))
	if err != nil {
		return err
	}
	if in.nsp != n.nsp {
		// "/" with the room "x" and "/#x" share a channel.
		if n = n.backend.shardedNamed(in.nsp); n == nil || !strings.HasPrefix(m.Channel, n.main) {
			return nil
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || in.uid == n.uid {
		return nil
	}
	return n.handle(in)
}

// handle is called with n.mu.
func (n *shardedNamespace) handle(in *clusterMessage) error {
	if in.kind == clusterBroadcast && in.data.requestID == "" && in.data.opts != nil && !n.node.Wanted(in.data.opts.selector) {
		n.backend.received.Add(1)
		return nil
	}
	out, err := in.message()
	if err != nil || out == nil {
		return err
	}
	n.backend.received.Add(1)
	out.To = n.uid // answers come on a channel of this node's own
	n.node.Receive(out)
	return nil
}

// shardedBus returns the namespace with whose name a channel begins. b.mu is
// held.
func (b *Backend) shardedBus(channel string) bus {
	for i := len(b.config.key) + 1; i < len(channel); i++ {
		if channel[i] == '#' {
			if n := b.namespaces[channel[:i+1]]; n != nil {
				return n
			}
		}
	}
	return nil
}

func (b *Backend) shardedNamed(nsp string) *shardedNamespace {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, _ := b.namespaces[b.config.key+"#"+nsp+"#"].(*shardedNamespace)
	return n
}
