package redis

// SubscriptionMode says which channels a node of the sharded family listens
// to, and publishes on. It must be the same on all nodes.
type SubscriptionMode string

// The modes of @socket.io/redis-adapter.
const (
	// Static is two channels for each namespace: every node hears every
	// broadcast. It keeps the order of all messages of a sender, also in a
	// Redis Cluster, and a node misses nothing of a room that it has just
	// got its first member of.
	Static SubscriptionMode = "static"

	// Dynamic is one more channel for each room that has a member on this
	// node: a node hears only broadcasts to its rooms, and those to several
	// rooms, to all, or to one socket.
	Dynamic SubscriptionMode = "dynamic"

	// DynamicPrivate is one more channel for each socket, too.
	DynamicPrivate SubscriptionMode = "dynamic-private"
)

// WithSharded chooses the family of sharded Pub/Sub, SSUBSCRIBE and SPUBLISH of
// Redis 7 and later: that of createShardedAdapter of @socket.io/redis-adapter,
// with its option subscriptionMode, which is [Dynamic] if mode is empty. Without
// WithSharded the family is that of createAdapter. Nodes of the two do not hear
// each other.
//
// In a Redis Cluster each channel is on one server, so that the load spreads;
// messages of one sender keep their order in each channel: to one room, or to
// all. While any server of the Cluster is away, everything waits in the
// backlog.
//
// A node hears of a room from when Redis has confirmed the subscription: a
// round trip after the first socket of the node joined it; likewise of a socket
// that has a channel. What other nodes send to that room alone within this time
// does not reach the node. Node leaves it at that. Here Socket.Join, and the
// answer to a client that connects, wait for the confirmation
// ([adapter.Settler]), as does what this node publishes: nobody can learn of the
// member too early. What is sent to a room within five seconds after this node
// made sockets of other nodes join or leave it takes the channel that all hear,
// and so does everything within five seconds after an outage. What is left is a
// node of Node that makes sockets of this one join a room, and sends to it
// within the round trip. Mode [Static] has no gap.
//
// In mode [Dynamic] Node publishes what is for one socket on the channel of all
// if the id has 20 characters, and loses it otherwise. Here such messages
// arrive: this node listens to the ids of its sockets if they have another
// length. To sockets of Node with such ids only [Static] and [DynamicPrivate]
// reach.
func WithSharded(mode SubscriptionMode) Option {
	if mode == "" {
		mode = Dynamic
	}
	return func(c *config) { c.sharded = mode }
}
