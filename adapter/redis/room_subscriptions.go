package redis

import goredis "github.com/redis/go-redis/v9"

// WithRoomSubscriptions lets the node subscribe to the channels of its own
// rooms and sockets, and not to the pattern that matches those of all. Then it
// hears of rooms only what it needs, for a subscription at the first socket of
// a room here, and for each socket. It is off by default, as Node has nothing
// like it in this family; nodes with and without it, and those of Node,
// understand each other. docs/redis.md has measurements, and says when to take
// it.
//
// What other nodes send to a room or a socket arrives from when Redis has
// confirmed the subscription, a round trip after the first Join: Socket.Join
// waits for that ([adapter.Settler]), as does the answer to a client that
// connects, and as does what this node publishes. So whoever learns of the
// member reaches it. A node of Roomspan that makes sockets of another one join
// reaches the room through the channel of all for five seconds.
//
// What is left is a node of Node, or its emitter, that makes sockets of this
// node join a room which had no member here, and sends to that room within the
// round trip: that message does not come. Without the option it does.
func WithRoomSubscriptions() Option {
	return func(c *config) { c.rooms = true }
}

// apart implements [roomBus]: Node publishes on the channel of a socket, too.
func (n *namespace) apart(string) bool { return true }

// roomSubscription implements [roomBus].
func (n *namespace) roomSubscription(room string) subscription {
	return subscription{name: n.rooms([]string{room}), room: true, user: n}
}

// broadcastChannel returns the channel of a broadcast: that of all where a node
// may not hear the one of the room yet. Receivers look at the rooms in the
// message.
func (n *namespace) broadcastChannel(rooms []string) string {
	if len(rooms) == 1 && (n.fresh.has(rooms[0]) || n.backend.config.rooms && !n.backend.calm()) {
		rooms = nil
	}
	return n.rooms(rooms)
}

// receiveRoom hands a broadcast to all namespaces that it may be for, as the
// patterns of them would do: the one of the room "x" in "/" is on the channel of
// "/#x", too.
func (b *Backend) receiveRoom(m *goredis.Message) {
	for i := len(b.config.key) + 1; i < len(m.Channel); i++ {
		if m.Channel[i] != '#' {
			continue
		}
		b.mu.Lock()
		n := b.namespaces[m.Channel[:i+1]]
		b.mu.Unlock()
		if n == nil {
			continue
		}
		if err := n.receive(m); err != nil {
			b.complain(m.Channel, err)
		}
	}
}
