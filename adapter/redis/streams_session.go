package redis

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

const (
	// restorePage is how many entries RestoreSession asks for at once.
	restorePage = 1000
)

// PersistSession implements [adapter.Recoverer]. A session of which it is not
// certain what its client has had is not kept.
func (a *streamAdapter) PersistSession(s adapter.Session) {
	if a.bus.recovers() {
		a.bus.persist(&s)
	}
}

// RestoreSession implements [adapter.Recoverer]. A session is taken out also if
// it turns out that it cannot be restored. Events that were sent with
// Selector.Local are not among the missed, for no other node knows of them.
func (a *streamAdapter) RestoreSession(ctx context.Context, privateID, offset string, admit func(adapter.Session, []*adapter.Packet) bool) error {
	from, ok := parseStreamID(offset)
	if !a.bus.recovers() || privateID == "" || !ok {
		return adapter.ErrNoSession
	}
	return a.bus.restore(ctx, privateID, from, admit)
}

func (n *streamNamespace) persist(s *adapter.Session) {
	if _, here := n.node.Lookup(s.SocketID); here {
		n.line.keep(s.SocketID)
	}
	floor, unsure := n.line.state()
	if unsure {
		n.backend.streams.counters.sessionsNotKept.Add(1)
		return
	}
	payload, err := appendSession(nil, s, floor)
	if err != nil {
		return // the user's data cannot be carried, so nothing can
	}
	// The queue refuses only after Close.
	_ = n.backend.publisher.publish(outgoing{
		channel: n.sessionKey(s.PrivateID),
		payload: base64.StdEncoding.AppendEncode(nil, payload),
		session: &session{until: time.Now().Add(n.recovery.MaxDisconnection)},
	})
}

func (n *streamNamespace) sessionKey(privateID string) string {
	return n.backend.config.streams.sessionPrefix + privateID
}

// appendSession appends a session as Node keeps it, its own id among the rooms,
// with the offset that the client must have reached. Node ignores that.
func appendSession(dst []byte, s *adapter.Session, floor streamID) ([]byte, error) {
	size := uint32(4)
	if floor != (streamID{}) {
		size++
	}
	dst = appendPair(msgp.AppendMapHeader(dst, size), "sid", s.SocketID)
	dst = appendPair(dst, "pid", s.PrivateID)
	dst = appendStrings(msgp.AppendString(dst, "rooms"), append([]string{s.SocketID}, s.Rooms...))
	if floor != (streamID{}) {
		dst = appendPair(dst, "floor", floor.String())
	}
	return appendRawMsgpack(msgp.AppendString(dst, "data"), s.Data)
}

// readSession reads what appendSession, or Node, wrote.
func readSession(text string) (s adapter.Session, floor streamID, err error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return s, floor, errFormat
	}
	var rooms []string
	_, err = readMap(raw, func(key, b []byte) (rest []byte, err error) {
		switch string(key) {
		case "sid":
			s.SocketID, rest, err = readText(b)
		case "pid":
			s.PrivateID, rest, err = readText(b)
		case "rooms":
			rooms, rest, err = readTexts(b)
		case "data":
			var data []byte
			data, rest, err = msgpack.AppendJSON(nil, b)
			s.Data = json.RawMessage(data)
		case "floor":
			var text string
			text, rest, err = readText(b)
			floor, _ = parseStreamID(text)
		default:
			rest, err = msgpack.Skip(b)
		}
		return rest, err
	})
	if err == nil && (s.SocketID == "" || s.PrivateID == "") {
		err = errFormat
	}
	s.Rooms = slices.DeleteFunc(rooms, func(room string) bool { return room == s.SocketID })
	return s, floor, err
}

func (n *streamNamespace) lastHole() streamID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hole
}

// missed gathers what a session has missed.
type missed struct {
	n     *streamNamespace
	rooms []string // with the id of the socket
	from  streamID // the last that its client has had
	upTo  streamID // everything up to here has been looked at

	looked int // how many entries

	packets []*adapter.Packet
	ids     []streamID
	bytes   int
}

// restore takes out a session and replays it.
func (n *streamNamespace) restore(ctx context.Context, privateID string, from streamID, admit func(adapter.Session, []*adapter.Packet) bool) error {
	text, err := n.backend.client.GetDel(ctx, n.sessionKey(privateID)).Result()
	switch {
	case err == goredis.Nil:
		return adapter.ErrNoSession
	case err != nil:
		return fmt.Errorf("redis: session: %w", err)
	}
	err = n.replay(ctx, privateID, text, from, admit)
	if err == adapter.ErrNoSession {
		n.backend.streams.counters.sessionsNotRestored.Add(1)
	}
	return err
}

// replay reads the stream from the offset on to where its reader is, and lets
// the socket in while the reader stands still.
func (n *streamNamespace) replay(ctx context.Context, privateID, text string, from streamID, admit func(adapter.Session, []*adapter.Packet) bool) error {
	reader := n.backend.streams.readers[n.stream]
	client := n.backend.client
	session, floor, err := readSession(text)
	if err != nil || session.PrivateID != privateID || from.compare(floor) < 0 {
		return adapter.ErrNoSession
	}
	m := &missed{n: n, rooms: append([]string{session.SocketID}, session.Rooms...), from: from, upTo: from}
	for page := 0; ; page++ {
		more, err := m.read(ctx, client)
		if err != nil {
			return err
		}
		if page == 0 {
			// The client comes from a node that had read further, it may be:
			// here it would get again what it has had.
			if err := reader.reach(ctx, from); err != nil {
				return err
			}
		}
		if more {
			continue
		}
		taken := true
		done, err := reader.admit(m, func(packets []*adapter.Packet) { taken = admit(session, packets) })
		if err == nil && !taken {
			return n.putBack(ctx, privateID, text)
		}
		if done || err != nil {
			return err
		}
	}
}

// putBack keeps a session again that was not made use of. Who asks for it next
// finds it.
func (n *streamNamespace) putBack(ctx context.Context, privateID, text string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := n.backend.client.Set(ctx, n.sessionKey(privateID), text, n.recovery.MaxDisconnection).Err()
	if err != nil {
		return fmt.Errorf("redis: session: %w", err)
	}
	return nil
}

// read looks at one page more, and reports whether there may be another. Each
// begins with the last entry of the one before: as long as that is there,
// nothing after it was trimmed.
func (m *missed) read(ctx context.Context, client goredis.UniversalClient) (more bool, err error) {
	entries, err := client.XRangeN(ctx, m.n.stream, m.upTo.String(), "+", restorePage).Result()
	if err != nil {
		return false, fmt.Errorf("redis: missed packets: %w", err)
	}
	if len(entries) == 0 || entries[0].ID != m.upTo.String() {
		return false, adapter.ErrNoSession
	}
	// It ends, also if entries come faster than they are read.
	if m.looked += len(entries) - 1; m.looked > m.n.backend.config.streams.restoreLimit {
		return false, adapter.ErrNoSession
	}
	for _, e := range entries[1:] {
		id, ok := parseStreamID(e.ID)
		if !ok {
			return false, adapter.ErrNoSession
		}
		m.upTo = id
		m.take(newStreamItem(id, &e))
		if keeps := m.n.recovery; keeps.MaxPackets > 0 && len(m.packets) > keeps.MaxPackets || keeps.MaxBytes > 0 && m.bytes > keeps.MaxBytes {
			return false, adapter.ErrNoSession
		}
	}
	return len(entries) == restorePage, nil
}

// take adds an entry that is for the session. What nobody can read was not
// delivered to anyone.
func (m *missed) take(e *streamItem) {
	if e.nsp != m.n.name || e.kind != "3" {
		return
	}
	raw, err := e.message()
	if err != nil || raw.data.opts == nil || !matches(raw.data.opts.selector, m.rooms) {
		return
	}
	in, err := raw.message()
	if err != nil || !recoverable(in) || in.Type != cluster.Broadcast {
		return
	}
	p := appendOffset(in.Packet, e.text)
	m.packets, m.ids = append(m.packets, p), append(m.ids, e.id)
	m.bytes += len(p.Args)
	for _, a := range p.Attachments {
		m.bytes += len(a)
	}
}

// admit lets a socket in between two entries: with what it missed up to the
// last one, so that it gets the next one like everybody else. It reports false
// if the reader is further than m.
func (r *streamReader) admit(m *missed, admit func([]*adapter.Packet)) (done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case m.from.compare(r.pos) > 0: // it went backwards meanwhile
		return false, adapter.ErrNoSession
	case m.upTo.compare(r.pos) < 0:
		return false, nil
	}
	if m.from.compare(r.hole) < 0 {
		return false, adapter.ErrNoSession
	}
	// Own events that were delivered already, and are yet to be found in the
	// stream, would not reach it; others are not there any more.
	if _, unsure := m.n.line.state(); unsure || m.from.compare(m.n.lastHole()) < 0 {
		return false, adapter.ErrNoSession
	}
	packets := make([]*adapter.Packet, 0, len(m.packets))
	for i, p := range m.packets {
		if m.ids[i].compare(r.pos) <= 0 && !r.repeated.has(m.ids[i]) {
			packets = append(packets, p)
		}
	}
	admit(packets)
	return true, nil
}
