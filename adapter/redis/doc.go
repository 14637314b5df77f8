// Package redis connects the nodes of a cluster through Redis, in one of the
// families that Socket.IO has on Node: nodes of one family, with the same names,
// are one cluster, be they of Roomspan or of Node.
//
//	io, err := server.New(server.WithAdapter(redis.New("redis://localhost:6379")))
//
// # Pub/Sub
//
// The default is the protocol of @socket.io/redis-adapter 8, which
// @socket.io/redis-emitter speaks too.
//
// Messages are delivered at most once, and in order for each sender and
// namespace. While Redis is away nobody is blocked: what is published waits in
// a backlog that is bounded by number, bytes and age, beyond which the oldest is
// dropped and counted, and the backlog is sent when Redis is back and this node
// hears the others again; with [WithFailFast] it is an error instead. What
// was under way when the connection broke may have arrived or not; it is
// counted as dropped and never sent twice.
//
// # Streams
//
// [WithStreams] chooses the protocol of @socket.io/redis-streams-adapter 0.3,
// and with it of @socket.io/redis-streams-emitter. Redis keeps the newest
// messages (StreamMaxLen), so that a node that was cut off reads on where it
// was: within that length, and that of the backlog, nothing is lost when
// connections break, or when Redis hangs, or restarts with what it had. What was
// under way when a connection broke is looked for in the stream, and sent again
// if it is not there; should it appear there later after all, nodes of Roomspan
// notice that it repeats itself, and nodes of Node do not. A Redis that comes
// back empty has lost what it had not brought yet. What a node missed because
// the stream was trimmed before it came to it is counted in Stats.Lost, with
// Redis 7 or later.
//
// Clients recover their state on any node ([adapter.Recoverer]), also on nodes
// of Node, and those of Node on ours; see [WithStreams] for what is promised.
// Unlike Node, Roomspan does not replay volatile events.
//
// Requests and their answers go by Pub/Sub, as with Node, and are lost while
// Redis is away; a request follows what its node has put into the stream before.
// The acknowledged commands of older versions (0.2 and before), which go through
// the stream, are carried out, but such nodes do not hear the answers.
//
// # Sharded Pub/Sub
//
// [WithSharded] chooses the protocol of createShardedAdapter of
// @socket.io/redis-adapter 8, over the sharded Pub/Sub of Redis 7. What is said
// of Pub/Sub holds for it too.
//
// # All of them
//
// What [New] says of URLs holds for all: one server, Sentinels, a Redis Cluster,
// over TLS or a Unix socket. The rights that a user of Redis needs are in
// docs/redis.md.
//
// The protocols carry one value in the acknowledgement of a client or of a
// server-side event: of several, the first reaches other nodes.
//
// Changes of the connection are logged once each, and told by
// [Backend.OnStatus]. The client, go-redis, prints
// some errors of its own to standard error, which its SetLogger turns off.
//
// Whoever can publish on the Redis can speak for every node: the protocols
// authenticate nothing.
package redis
