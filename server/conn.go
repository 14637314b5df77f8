package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/parser"
	"github.com/roomspan/roomspan/server/internal/poison"
	"github.com/roomspan/roomspan/server/internal/wheel"
)

// conn is one client: an Engine.IO session and its sockets, one for each
// namespace that it joined. It is the session's Receiver.
//
// Locks: conn.mu comes before the locks of the session and of the wheel. No
// method of an adapter is called under it.
type conn struct {
	srv     *Server
	session *engineio.Session
	request request
	timer   wheel.Timer // for the first namespace, then for attachments

	mu      sync.Mutex
	space   *sync.Cond // signals room in the inbox; nil until someone waits
	first   *Socket    // the only socket of most clients
	others  []*Socket
	left    []*Namespace // namespaces whose socket was connected once
	queued  int          // events in the inboxes of all sockets, disconnections not yet handled, namespaces that are looked for
	bytes   int          // and their size
	asked   int          // acknowledgements that are waited for
	joined  bool
	lagging bool // attachments are missing
	closed  bool

	// Of the reading goroutine alone:
	kick    *Socket  // has events and perhaps no worker
	partial *partial // the packet whose attachments are coming
	awaited bool     // the timer is set for them
}

// partial is a packet whose attachments have not all come.
type partial struct {
	packet      parser.Packet
	event       *Event // which it will be; nil for an acknowledgement
	attachments [][]byte
	own         parsing // instead, with a parser of the program's own
}

var errAttachments = errors.New("server: text where an attachment was due, or the other way round")

// packets are the decoder's memory, borrowed while one packet is decoded.
var packets = sync.Pool{New: func() any { return &parser.Packet{Elements: make([]parser.Span, 0, 8)} }}

func (s *Server) accept(session *engineio.Session, r *http.Request) engineio.Receiver {
	c := &conn{srv: s, session: session, request: requestOf(r)}
	s.engine.Wheel().Set(&c.timer, c, s.cfg.connectTimeout)
	return c
}

// Expire implements wheel.Owner: the client has not joined a namespace, or not
// sent the attachments that it promised.
func (c *conn) Expire(*wheel.Timer) {
	c.mu.Lock()
	late := !c.joined || c.lagging
	lagging := c.lagging
	c.mu.Unlock()
	switch {
	case late && lagging:
		c.session.Close(string(ReasonParseError))
	case late:
		c.session.Close(string(ReasonForcedServerClose))
	}
}

// Message implements engineio.Receiver.
func (c *conn) Message(data []byte, binary bool) error {
	if c.srv.cfg.parser != nil {
		return c.parse(data, binary)
	}
	if c.partial != nil || binary {
		return c.attachment(data, binary)
	}
	p := packets.Get().(*parser.Packet)
	defer func() {
		poison.Memory(p.Elements)
		packets.Put(p)
	}()
	if err := p.Decode(data, parser.Limits{MaxAttachments: c.srv.cfg.maxAttachments}); err != nil {
		return err
	}
	if p.Attachments == 0 {
		return c.dispatch(p, nil, nil)
	}
	c.partial = &partial{packet: parser.Packet{
		Type: p.Type, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID, Attachments: p.Attachments,
	}}
	if p.Type == parser.Event {
		c.partial.event = newEvent(p)
	} else {
		c.partial.packet.Data = append([]byte(nil), p.Data...)
		c.partial.packet.Elements = append([]parser.Span(nil), p.Elements...)
	}
	return nil
}

// attachment takes a binary message, which belongs to the packet before it.
func (c *conn) attachment(data []byte, binary bool) error {
	part := c.partial
	if part == nil || !binary {
		return errAttachments
	}
	part.attachments = append(part.attachments, append([]byte{}, data...))
	if len(part.attachments) < part.packet.Attachments {
		return nil
	}
	c.partial = nil
	c.lag(false)
	return c.dispatch(&part.packet, part.event, part.attachments)
}

// lag notes that what has come together has not brought all attachments, or
// that they have come.
func (c *conn) lag(lagging bool) {
	if lagging == c.awaited {
		return
	}
	c.awaited = lagging
	c.mu.Lock()
	c.lagging = lagging
	joined := c.joined
	c.mu.Unlock()
	switch w := c.srv.engine.Wheel(); {
	case lagging:
		w.Set(&c.timer, c, c.srv.cfg.connectTimeout)
	case joined:
		w.Stop(&c.timer)
	}
}

// dispatch hands a packet to its socket. It runs on the reading goroutine, and
// must not keep the packet. ev is the event that has been made of it already, or
// nil.
func (c *conn) dispatch(p *parser.Packet, ev *Event, attachments [][]byte) error {
	if p.Type == parser.Connect {
		return c.connect(p)
	}
	if p.Type == parser.Event {
		if ev == nil {
			ev = newEvent(p)
		}
		ev.values.attachments = attachments
		return c.event(p.Namespace, ev)
	}
	c.mu.Lock()
	s, late := c.socketOfLocked(p.Namespace)
	c.mu.Unlock()
	switch {
	case late:
	case s == nil:
		return c.outOfPlace()
	case p.Type == parser.Ack:
		s.acknowledged(p, attachments)
	case p.Type == parser.Disconnect:
		s.end(ReasonClientDisconnect, false)
	default:
		return c.outOfPlace()
	}
	return nil
}

// outOfPlace ends the connection as Node does when a client sends events to a
// namespace that it has not joined, or joins one twice.
func (c *conn) outOfPlace() error {
	c.srv.counters.engine.ProtocolErrors.Add(1)
	c.session.Close(string(ReasonForcedServerClose))
	return nil
}

// connect begins to join the client to a namespace.
func (c *conn) connect(p *parser.Packet) error {
	auth := []byte("{}")
	if p.Data != nil {
		auth = append([]byte(nil), p.Data...)
	}
	if c.v3() {
		auth = auth3(p.Query)
	}
	c.BatchEnd()
	c.mu.Lock()
	if c.fullLocked() {
		c.waitLocked()
	}
	c.mu.Unlock()
	ns, perhaps := c.srv.acquire(p.Namespace)
	switch {
	case ns != nil:
		return c.join(ns, auth)
	case perhaps:
		c.resolve(strings.Clone(p.Namespace), auth)
	default:
		c.refuseNamespace(p.Namespace)
	}
	return nil
}

func (c *conn) refuseNamespace(name string) {
	c.send(parser.AppendConnectError(outbound.Start(64), name, "Invalid namespace", nil))
}

// resolve asks the parents for a namespace, on a goroutine of its own since
// that is code of the user. It counts like an event until that has ended.
func (c *conn) resolve(name string, auth []byte) {
	c.mu.Lock()
	c.queued++
	c.mu.Unlock()
	c.srv.workers.add()
	go func() {
		defer c.srv.workers.done()
		defer func() {
			c.mu.Lock()
			c.queued--
			c.signalLocked()
			c.mu.Unlock()
		}()
		ns := c.srv.resolve(name, c.request.handshake(auth))
		if ns == nil {
			c.refuseNamespace(name)
			return
		}
		_ = c.join(ns, auth)
	}()
}

// join makes the socket of a client in a namespace that has been acquired.
func (c *conn) join(ns *Namespace, auth []byte) error {
	s := newSocket(c, ns, auth)
	c.mu.Lock()
	if c.closed || c.socketLocked(ns.name) != nil {
		closed := c.closed
		c.mu.Unlock()
		c.srv.release(ns)
		if closed {
			return nil
		}
		return c.outOfPlace()
	}
	if c.first == nil {
		c.first = s
	} else {
		c.others = append(c.others, s)
	}
	s.inbox.push(&task{run: s.connect})
	c.workLocked(s)
	c.mu.Unlock()
	return nil
}

// socketOfLocked returns the socket that a packet is for. With late the packet
// is to be ignored: the server has disconnected the socket, and the client did
// not know yet when it sent. Node closes the connection then, and with it the
// other namespaces.
func (c *conn) socketOfLocked(namespace string) (s *Socket, late bool) {
	s = c.socketLocked(namespace)
	if s == nil {
		return nil, slices.ContainsFunc(c.left, func(ns *Namespace) bool { return ns.name == namespace })
	}
	if s.state == stateConnecting {
		return nil, false
	}
	return s, false
}

func (c *conn) socketLocked(namespace string) *Socket {
	if c.first != nil && c.first.ns.name == namespace {
		return c.first
	}
	for _, s := range c.others {
		if s.ns.name == namespace {
			return s
		}
	}
	return nil
}

func (c *conn) socketsLocked() []*Socket {
	var all []*Socket
	if c.first != nil {
		all = append(all, c.first)
	}
	return append(all, c.others...)
}

// removeLocked takes a socket out of the list. An outcome of its middleware
// that the client does not know of is no excuse for a late packet.
func (c *conn) removeLocked(s *Socket, connected bool) {
	if connected && !slices.Contains(c.left, s.ns) {
		c.left = append(c.left, s.ns)
	}
	if c.first == s {
		c.first = nil
	}
	for i, o := range c.others {
		if o == s {
			c.others = append(c.others[:i:i], c.others[i+1:]...)
			return
		}
	}
}

// Upgraded implements engineio.Receiver.
func (c *conn) Upgraded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.socketsLocked() {
		if s.ns.awaitsUpgrade() {
			s.inbox.push(&task{run: s.upgraded})
			c.workLocked(s)
		}
	}
}

// BatchEnd implements engineio.Receiver.
func (c *conn) BatchEnd() {
	if part := c.partial; part != nil && (part.own.decoder == nil || part.own.lagging) {
		c.lag(true)
	}
	if s := c.kick; s != nil {
		c.kick = nil
		c.mu.Lock()
		c.workLocked(s)
		c.mu.Unlock()
	}
}

// Closed implements engineio.Receiver. It may be called in the middle of a
// broadcast, while the index of rooms is locked: the sockets are taken out of
// it by a goroutine of their own.
func (c *conn) Closed(reason string) {
	c.srv.engine.Wheel().Stop(&c.timer)
	c.mu.Lock()
	c.closed = true
	all := c.socketsLocked()
	c.signalLocked()
	c.mu.Unlock()
	if len(all) == 0 {
		return
	}
	c.srv.workers.add()
	go func() {
		defer c.srv.workers.done()
		for _, s := range all {
			s.end(Reason(reason), false)
		}
	}()
}
