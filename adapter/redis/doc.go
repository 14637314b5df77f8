// Package redis connects the nodes of a cluster through Redis Pub/Sub. It
// speaks the protocol of @socket.io/redis-adapter 8, so that nodes of
// Roomspan, nodes of Socket.IO on Node and @socket.io/redis-emitter share one
// cluster.
//
//	io, err := server.New(server.WithAdapter(redis.New("redis://localhost:6379")))
//
// Messages are delivered at most once, and in order for each sender and
// namespace. While Redis is away nobody is blocked: what is published waits in
// a bounded backlog, beyond which the oldest is dropped and counted, and the
// backlog is sent when Redis is back and this node hears the others again. What
// was under way when the connection broke may have arrived or not; it is
// counted as dropped and never sent twice.
//
// The protocol carries one value in the acknowledgement of a client or of a
// server-side event: of several, the first reaches other nodes.
//
// Changes of the connection are logged once each. The client, go-redis, prints
// some errors of its own to standard error, which its SetLogger turns off.
//
// Whoever can publish on the Redis can speak for every node: the protocol
// authenticates nothing.
package redis
