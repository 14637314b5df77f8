package pysocketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// namespace is the adapter of one namespace: that of the nodes of Roomspan,
// and what goes to Python nodes beside it.
type namespace struct {
	*cluster.Adapter
	backend *Backend
	host    adapter.Host
	name    string
	hostID  string
	asks    asks

	// mu is held while a message is handled, so that Close waits for it.
	mu     sync.Mutex
	closed atomic.Bool // set under mu
}

func newNamespace(b *Backend, host adapter.Host) *namespace {
	n := &namespace{
		backend: b,
		host:    host,
		name:    host.Namespace(),
		hostID:  adapter.NodeID(host, b.id),
		asks:    asks{stop: make(chan struct{})},
	}
	n.Adapter = cluster.New(host, bus{n}, cluster.Config{NodeID: n.hostID, Uncounted: b.emits})
	return n
}

// AddSockets implements [adapter.Adapter].
func (n *namespace) AddSockets(sel adapter.Selector, rooms []string) error {
	return errors.Join(n.Adapter.AddSockets(sel, rooms), n.tellRooms(methodEnterRoom, sel, rooms))
}

// DelSockets implements [adapter.Adapter].
func (n *namespace) DelSockets(sel adapter.Selector, rooms []string) error {
	err := n.Adapter.DelSockets(sel, rooms)
	if err != nil || sel.Local {
		return err
	}
	if len(sel.Except) == 0 {
		// Whoever is in a room is among those who leave it.
		for _, room := range rooms {
			if len(sel.Rooms) == 0 || slices.Contains(sel.Rooms, room) {
				err = errors.Join(err, n.tell(methodCloseRoom, "", room))
			}
		}
	}
	return errors.Join(err, n.tellRooms(methodLeaveRoom, sel, rooms))
}

// DisconnectSockets implements [adapter.Adapter].
func (n *namespace) DisconnectSockets(sel adapter.Selector, closeConn bool) error {
	elsewhere := n.elsewhere(sel)
	err := n.Adapter.DisconnectSockets(sel, closeConn)
	for _, sid := range elsewhere {
		err = errors.Join(err, n.tell(methodDisconnect, sid, ""))
	}
	return err
}

// ServerCount implements [adapter.Adapter]. Python nodes count.
func (n *namespace) ServerCount(ctx context.Context) (int, error) {
	if _, err := n.Local.ServerCount(ctx); err != nil {
		return 0, err
	}
	c := &n.backend.config
	counts, err := n.backend.conn.Listeners(ctx, c.channel)
	return n.backend.atLeastSelf(counts[c.channel]), err
}

// elsewhere returns the selected sockets that Python nodes may have, as far as
// they are named: Python does as it is told with one socket, never with a room.
func (n *namespace) elsewhere(sel adapter.Selector) []string {
	if sel.Local || !expressible(sel) {
		return nil
	}
	var ids []string
	for _, name := range sel.Rooms {
		if _, here := n.Lookup(name); !here && adapter.LooksLikeID(name) && !slices.Contains(sel.Except, name) {
			ids = append(ids, name)
		}
	}
	return ids
}

func (n *namespace) tellRooms(method string, sel adapter.Selector, rooms []string) error {
	var errs []error
	for _, sid := range n.elsewhere(sel) {
		for _, room := range rooms {
			errs = append(errs, n.tell(method, sid, room))
		}
	}
	return errors.Join(errs...)
}

// tell publishes a message for Python nodes about a socket, a room, or both.
func (n *namespace) tell(method, sid, room string) error {
	if n.closed.Load() {
		return nil
	}
	return n.backend.conn.Publish(n.backend.config.channel, appendMethod(nil, method, sid, room, n.name, n.hostID))
}

// handle calls do for a message, unless the namespace is closed.
func (n *namespace) handle(do func() error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() {
		return nil
	}
	return do()
}

// receivePython handles a message of a Python node, or an event of a node of
// Roomspan in the form of Python.
func (n *namespace) receivePython(m *message) error {
	if m.Method == methodCallback {
		id, p, err := m.answer()
		if err == nil {
			n.asks.answered(id, p)
		}
		return err
	}
	roomspan := strings.HasPrefix(m.HostID, hostPrefix)
	switch {
	case m.Method == methodEmit && roomspan:
		if m.Callback != nil {
			return nil // comes on the own channel too
		}
		return n.receiveEmit(m, "")
	case m.Method == methodEmit:
		ref, err := m.request()
		if err != nil {
			return err
		}
		return n.receiveEmit(m, ref)
	case roomspan:
		return nil // comes on the own channel too
	}
	return n.receiveMethod(m)
}

func (n *namespace) receiveEmit(m *message, requestID string) error {
	sel, err := m.selector()
	if err != nil || !n.Wanted(sel) {
		return err
	}
	p, err := m.packet()
	if err != nil {
		return err
	}
	out := &cluster.Message{
		Type: cluster.Broadcast, Sender: m.HostID, Packet: p, Selector: sel,
		RequestID: requestID, Timeout: n.backend.config.ackTimeout,
	}
	if m.Roomspan != nil {
		out.Flags = adapter.Flags{Volatile: m.Roomspan.Volatile, NoCompress: m.Roomspan.NoCompress}
	}
	n.Receive(out)
	return nil
}

// receiveMethod carries out what a Python node asks for one socket or one room.
func (n *namespace) receiveMethod(m *message) error {
	if m.Method == methodCloseRoom {
		room, ok := m.Room.one()
		if !ok {
			return fmt.Errorf("%w: close_room without room", errFormat)
		}
		return n.Local.DelSockets(adapter.Selector{Rooms: []string{room}}, []string{room})
	}
	switch m.Method {
	case methodDisconnect, methodEnterRoom, methodLeaveRoom:
	default:
		return fmt.Errorf("%w: method %.20q", errFormat, m.Method)
	}
	sid, room, err := m.socketAndRoom()
	if err != nil {
		return err
	}
	s, ok := n.Lookup(sid)
	if !ok {
		return nil
	}
	switch m.Method {
	case methodDisconnect:
		n.host.Disconnect(s, false)
	case methodEnterRoom:
		n.Add(s, room)
	case methodLeaveRoom:
		n.Del(s, room)
	}
	return nil
}

// callbackRef is how a Python node finds its callback: the room, the namespace
// and a number, which go back as they came.
type callbackRef [3]json.RawMessage

// refPrefix marks, inside this node, requests of Python nodes.
const refPrefix = "\x00python:"

// request returns the id of a request for an event whose sender wants the
// answers of clients, or "".
func (m *message) request() (string, error) {
	if len(m.Callback) != 3 || m.HostID == "" {
		return "", nil // as Python does; and nobody could be answered
	}
	text, err := json.Marshal(m.Callback)
	return refPrefix + string(text), err
}

func (n *namespace) close() {
	n.backend.forget(n)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed.Swap(true) {
		close(n.asks.stop)
	}
}
