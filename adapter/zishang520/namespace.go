package zishang520

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/zishang520/engine.io/v2/events"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"
	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// namespace is the adapter of one namespace, as the server sees it: it puts
// the questions of the server to the adapter of the cluster. The other
// direction is host.
type namespace struct {
	events.EventEmitter
	cluster *Cluster
	nsp     socket.Namespace
	name    string
	proto   socket.Adapter // who overrides it
	inner   adapter.Adapter
	rooms   rooms
	queue   queue

	mu      sync.Mutex // a leaf
	members map[socket.SocketId]*member

	// counted is what ServerCount said last. A broadcast with acknowledgement
	// asks, and the server asks again at once: both must hear the same.
	countMu   sync.Mutex
	counted   int64
	countedAt time.Time
}

var _ socket.Adapter = (*namespace)(nil)

func newNamespace(c *Cluster, nsp socket.Namespace) *namespace {
	n := &namespace{
		EventEmitter: events.New(),
		cluster:      c,
		nsp:          nsp,
		name:         nsp.Name(),
		rooms:        newRooms(),
		queue:        queue{cluster: c},
		members:      make(map[socket.SocketId]*member),
		counted:      1,
	}
	n.proto = n
	inner, err := c.backend.Open(host{n})
	if err != nil {
		c.log.Error("zishang520: the namespace is not in the cluster", "namespace", n.name, "error", err)
		inner = adapter.NewLocal(host{n})
	}
	n.inner = inner
	return n
}

func (n *namespace) Prototype(a socket.Adapter) { n.proto = a }
func (n *namespace) Proto() socket.Adapter      { return n.proto }
func (n *namespace) Rooms() *types.Map[socket.Room, *types.Set[socket.SocketId]] {
	return n.rooms.sockets
}
func (n *namespace) Sids() *types.Map[socket.SocketId, *types.Set[socket.Room]] { return n.rooms.rooms }
func (n *namespace) Nsp() socket.Namespace                                      { return n.nsp }

// Construct does nothing: the constructor has done it.
func (n *namespace) Construct(socket.Namespace) {}

// Init does nothing: the namespace is in the cluster from the start.
func (n *namespace) Init() {}

// Close takes the namespace out of the cluster.
func (n *namespace) Close() {
	n.cluster.forget(n)
	_ = n.inner.Close()
}

// AddAll puts a socket into rooms. Where the bus is to be told of rooms, it
// returns when other nodes reach them here.
func (n *namespace) AddAll(id socket.SocketId, set *types.Set[socket.Room]) {
	own := false
	var names []string
	for _, r := range set.Keys() {
		if socket.SocketId(r) == id {
			own = true
		} else {
			names = append(names, string(r))
		}
	}
	m := n.member(id)
	if own && n.rooms.join(socket.Room(id), id) {
		n.tell(adapter.RoomCreated, socket.Room(id), id)
		n.tell(adapter.RoomJoined, socket.Room(id), id)
	}
	if !n.inner.Add(m, names...) {
		return
	}
	if s, ok := n.inner.(adapter.Settler); ok {
		if own {
			names = append(names, string(id))
		}
		s.Settle(names...)
	}
}

// member returns what stands for a socket in the index, and makes it.
func (n *namespace) member(id socket.SocketId) *member {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[id]
	if m == nil {
		m = &member{namespace: n, id: id}
		n.members[id] = m
	}
	return m
}

// Del takes a socket out of a room, but not out of that of its id.
func (n *namespace) Del(id socket.SocketId, room socket.Room) {
	n.mu.Lock()
	m := n.members[id]
	n.mu.Unlock()
	if m != nil {
		n.inner.Del(m, string(room))
	}
}

// DelAll takes a socket out of all rooms, for good.
func (n *namespace) DelAll(id socket.SocketId) {
	n.mu.Lock()
	m := n.members[id]
	delete(n.members, id)
	n.mu.Unlock()
	if m == nil {
		return
	}
	n.inner.DelAll(m)
	if n.rooms.leave(socket.Room(id), id) {
		n.tell(adapter.RoomLeft, socket.Room(id), id)
		n.tell(adapter.RoomDeleted, socket.Room(id), id)
	}
	m.gone()
}

// Broadcast sends a packet to the sockets of the options, on all nodes.
func (n *namespace) Broadcast(packet *parser.Packet, opts *socket.BroadcastOptions) {
	p, err := encode(packet.Data)
	if err == nil {
		err = n.inner.Broadcast(p, selector(opts), flags(opts))
	}
	n.report("broadcast", err)
}

// AddSockets makes the sockets of the options join rooms, on all nodes.
func (n *namespace) AddSockets(opts *socket.BroadcastOptions, rooms []socket.Room) {
	n.report("join", n.inner.AddSockets(selector(opts), names(rooms)))
}

// DelSockets makes them leave rooms.
func (n *namespace) DelSockets(opts *socket.BroadcastOptions, rooms []socket.Room) {
	n.report("leave", n.inner.DelSockets(selector(opts), names(rooms)))
}

// DisconnectSockets disconnects them.
func (n *namespace) DisconnectSockets(opts *socket.BroadcastOptions, closeConn bool) {
	n.report("disconnect", n.inner.DisconnectSockets(selector(opts), closeConn))
}

// report logs why something was not done, or done on this node alone. An outage
// is logged by the back-end, when it begins and ends.
func (n *namespace) report(what string, err error) {
	if err != nil && !isOutage(err) {
		n.cluster.log.Error("zishang520: not sent to other nodes", "what", what, "namespace", n.name, "error", err)
	}
}

// isOutage reports whether an error says no more than that other nodes cannot be
// reached. One that joins those of several fleets may say more.
func isOutage(err error) bool {
	if err == adapter.ErrUnreachable {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return isOutage(e.Unwrap())
	case interface{ Unwrap() []error }:
		causes := e.Unwrap()
		if slices.Contains(causes, adapter.ErrUnreachable) {
			return true // and the others are the reason
		}
		return !slices.ContainsFunc(causes, func(err error) bool { return !isOutage(err) })
	}
	return false
}

// Sockets returns the ids of the sockets of this node in at least one of the
// rooms, of all if there are none.
func (n *namespace) Sockets(in *types.Set[socket.Room]) *types.Set[socket.SocketId] {
	return n.rooms.members(in)
}

// SocketRooms returns the rooms of a socket of this node, nil if there is none.
func (n *namespace) SocketRooms(id socket.SocketId) *types.Set[socket.Room] {
	set, _ := n.rooms.rooms.Load(id)
	return set
}

// ServerCount returns the number of nodes, or what it was when it cannot be
// found out.
func (n *namespace) ServerCount() int64 {
	n.countMu.Lock()
	defer n.countMu.Unlock()
	if time.Since(n.countedAt) < 100*time.Millisecond {
		return n.counted
	}
	return n.count()
}

// count asks how many nodes there are. countMu is held: who asks at the same
// time waits for the same answer.
func (n *namespace) count() int64 {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if count, err := n.inner.ServerCount(ctx); err == nil {
		n.counted = int64(count)
	}
	n.countedAt = time.Now()
	return n.counted
}

// PersistSession keeps nothing.
func (n *namespace) PersistSession(*socket.SessionToPersist) {}

// RestoreSession finds nothing.
func (n *namespace) RestoreSession(socket.PrivateSessionId, string) (*socket.Session, error) {
	return nil, nil
}

// selector says the sockets of the options in the words of the cluster.
func selector(opts *socket.BroadcastOptions) adapter.Selector {
	if opts == nil {
		return adapter.Selector{}
	}
	sel := adapter.Selector{Local: opts.Flags != nil && opts.Flags.Local}
	if opts.Rooms != nil {
		sel.Rooms = names(opts.Rooms.Keys())
	}
	if opts.Except != nil {
		sel.Except = names(opts.Except.Keys())
	}
	return sel
}

func flags(opts *socket.BroadcastOptions) adapter.Flags {
	if opts == nil || opts.Flags == nil {
		return adapter.Flags{NoCompress: true}
	}
	return adapter.Flags{Volatile: opts.Flags.Volatile, NoCompress: !opts.Flags.Compress}
}

func names(rooms []socket.Room) []string {
	all := make([]string, len(rooms))
	for i, r := range rooms {
		all[i] = string(r)
	}
	return all
}
