package server

// WithCompression sets what is compressed on its way to clients: the answers to
// polls, with gzip or deflate for those that accept it (Node's httpCompression),
// and messages on WebSocket, with permessage-deflate for those that offer it
// (RFC 7692, Node's perMessageDeflate). Default: polling but not WebSocket, as on
// Node. [Target.Compress] exempts single events; what is short goes out as it is,
// see [WithCompressionLevel], and so does what would be no smaller.
//
// Messages are compressed without reference to earlier ones
// (server_no_context_takeover, client_no_context_takeover): this makes them a
// little longer, but a broadcast is compressed once for all its receivers, where
// Node does it for each, and a connection that rests needs no more memory than
// without. Clients that insist on a smaller window of the server
// (server_max_window_bits below 15) are served without compression; browsers do
// not ask for that. Clients on WebSocket may compress what they send, and a
// message that decompresses to more than [WithMaxPayload] closes the connection
// with code 1009; polling clients may not.
//
// On encrypted connections the length of a compressed message tells something of
// its content: do not put what an attacker chose beside what he must not know.
func WithCompression(polling, webSocket bool) Option {
	return func(c *config) { c.compression.Polling, c.compression.WebSocket = polling, webSocket }
}

// WithCompressionLevel sets how hard is tried where something is compressed, from
// 1, the fastest, to 9, the smallest, and from how many bytes on a packet, or the
// answer to a poll, is compressed at all. As many compressions as there are
// processors run at a time, with about 1 MB of memory each. Default: level 1,
// 1024 bytes; at least 1 each. Level 9 makes typical JSON 3 to 14 percent smaller
// than level 1, in 3 to 30 times the time.
func WithCompressionLevel(level, threshold int) Option {
	return func(c *config) { c.compression.Level, c.compression.Threshold = level, threshold }
}
