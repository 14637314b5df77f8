package server

import (
	"encoding/json"
	"net/url"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// WithEIO3 lets clients of Socket.IO 2 in, which speak Engine.IO 3, beside those
// of later versions, and polling by JSONP: Node's allowEIO3. Default: they are
// refused with code 5.
//
// As on Node, such a client is in the main namespace without asking, its
// sockets have the id of the session (after the name of another namespace and
// "#"), whatever [WithIDs] says, its auth is the query of the namespace, and
// the error of a refusal is the text or data of the [ConnectError] alone. So the
// id of a socket is the secret of its session here: do not tell it to others.
// And JSONP knows no origins: what [WithOrigins] refuses gets in by it. It
// cannot be combined with [WithParser].
func WithEIO3() Option { return func(c *config) { c.eio3 = true } }

func (c *conn) v3() bool { return c.session.Version() == 3 }

// Opened implements engineio.Receiver: a client of version 3 joins the main
// namespace by that. Packets of a client that does not wait for the answer may
// be handled meanwhile, on the reading goroutine.
func (c *conn) Opened() {
	if !c.v3() {
		return
	}
	if ns, _ := c.srv.acquire("/"); ns != nil {
		_ = c.join(ns, []byte("{}"))
	}
}

// id3 returns the id that a client of version 3 gives its socket by itself.
func (c *conn) id3(ns *Namespace) string {
	if ns.name == "/" {
		return c.session.ID()
	}
	return ns.name + "#" + c.session.ID()
}

// auth3 returns the auth of a client of version 3: the query of the namespace,
// where the last value of a name counts, as on Node.
func auth3(query string) []byte {
	values, _ := url.ParseQuery(query) // what cannot be read is left out
	auth := make(map[string]string, len(values))
	for k, v := range values {
		auth[k] = v[len(v)-1]
	}
	text, err := json.Marshal(auth)
	if err != nil {
		return []byte("{}")
	}
	return text
}

// connected3 answers the connect of a client of version 3.
func (s *Socket) connected3() {
	s.conn.send(parser.AppendText(outbound.Start(16+len(s.ns.name)), &parser.Packet{Type: parser.Connect, Namespace: s.ns.name}))
}

// refused3 refuses it: with the data if they are true in JavaScript, else with
// the message.
func (s *Socket) refused3(message string, data []byte) {
	switch string(data) {
	case "", "null", "false", "0", "-0", `""`:
		data, _ = json.Marshal(message)
	}
	s.conn.send(parser.AppendText(outbound.Start(32+len(data)), &parser.Packet{
		Type: parser.ConnectError, Namespace: s.ns.name, Data: data,
	}))
}
