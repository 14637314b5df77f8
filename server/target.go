package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/roomspan/roomspan/adapter"
)

// A Target is a set of sockets of a namespace, on all nodes, and how they are
// emitted to. It is an immutable value: To, Except, Local, Volatile and
// Compress return another one. It may be kept, shared and used concurrently.
// On the target of one socket To and Except mean the other sockets, as in
// Socket.IO.
//
// Calls that change or ask other nodes take effect on this node at once and
// never wait for the network, unless they take a context.
type Target struct {
	ns    *Namespace
	sel   adapter.Selector
	flags adapter.Flags
	only  *Socket // this socket alone, without the adapter
}

// To returns the target of the sockets in at least one of the rooms, those of
// earlier calls included. A socket is in the room that is named by its id.
// Without any room the target stays what it was, as on Node: a list of rooms
// that may be empty must be looked at first.
func (t Target) To(rooms ...string) Target {
	t = t.others()
	t.sel.Rooms = append(slices.Clip(t.sel.Rooms), rooms...)
	return t
}

// Except returns the target without the sockets in any of the rooms.
func (t Target) Except(rooms ...string) Target {
	t = t.others()
	t.sel.Except = append(slices.Clip(t.sel.Except), rooms...)
	return t
}

// others makes the target of one socket that of everyone else: what To and
// Except mean on a socket.
func (t Target) others() Target {
	if t.only != nil {
		t.sel.Except = []string{t.only.id}
		t.only = nil
	}
	return t
}

// Local returns the target of those sockets that are connected to this node.
func (t Target) Local() Target {
	t.sel.Local = true
	return t
}

// Volatile returns the target with packets that are dropped for clients that
// cannot take them at once: they do not read fast enough, or are between two
// polls.
func (t Target) Volatile() Target {
	t.flags.Volatile = true
	return t
}

// Compress returns the target with packets that the transport may compress if
// it is configured to, which is the default, or may not.
func (t Target) Compress(compress bool) Target {
	t.flags.NoCompress = !compress
	return t
}

// Emit sends an event to the target. It queues and does not wait; packets of
// one goroutine arrive in their order. []byte at any depth of the arguments
// travels as a binary attachment; the bytes must not be changed afterwards.
// Errors: an argument that cannot be encoded, [ErrReservedEvent], a closed
// server; for one socket also [ErrDisconnected] and [ErrVolatileDropped]. That
// nobody is in the target, or that the cluster cannot be reached now, is no
// error; if the adapter was told to fail fast, the latter is one that wraps
// [adapter.ErrUnreachable], and the sockets of this node receive the event.
func (t Target) Emit(event string, args ...any) error {
	if t.only != nil && t.only.single(t.flags) {
		return t.only.emitSingle(t.flags, event, args)
	}
	p, err := t.ns.encodeEvent(event, args)
	if err != nil {
		return err
	}
	if t.only == nil {
		return t.ns.adapter.Broadcast(p, t.sel, t.flags)
	}
	if t.only.private != nil && !t.flags.Volatile {
		return t.only.emitKept(p, t.flags)
	}
	m, err := t.ns.message(p, t.flags, nil)
	if err != nil {
		return err
	}
	return t.only.send(m, p)
}

// EmitWithAck sends an event and returns the acknowledgements of all clients
// of the target, in no order. If ctx has no deadline it waits as long as
// [WithAckTimeout] says. When the time is up it returns the answers that came
// and a *[MissingAnswersError]. [CallAll] is the typed form.
func (t Target) EmitWithAck(ctx context.Context, event string, args ...any) ([]*Answer, error) {
	if t.only != nil {
		a, err := t.only.emitWithAck(ctx, t.flags, event, args)
		if err != nil {
			return nil, err
		}
		return []*Answer{a}, nil
	}
	p, err := t.ns.encodeEvent(event, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := t.deadline(ctx)
	defer cancel()
	packets, err := t.ns.adapter.BroadcastWithAck(ctx, p, t.sel, t.flags)
	return t.ns.answersOf(packets, err)
}

// answersOf reads what an adapter brought, with the error of its call.
func (ns *Namespace) answersOf(packets []*adapter.Packet, err error) ([]*Answer, error) {
	answers := make([]*Answer, 0, len(packets))
	var bad error
	for _, p := range packets {
		a, aerr := ns.answerOf(p)
		if aerr != nil {
			bad = aerr // a foreign node let it through
			continue
		}
		answers = append(answers, a)
	}
	return answers, missing(err, len(packets), len(answers), bad)
}

// missing returns the error of a call whose answers were received by the
// adapter, but of which some are of no use.
func missing(err error, received, useful int, bad error) error {
	if bad == nil {
		return err
	}
	m := &MissingAnswersError{Expected: received, Received: useful, Cause: bad}
	var before *MissingAnswersError
	if errors.As(err, &before) {
		m.Expected = before.Expected
		m.Cause = errors.Join(before.Cause, bad)
	}
	return m
}

func (t Target) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, t.ns.srv.cfg.ackTimeout)
}

// selector is the selection in the adapter's terms.
func (t Target) selector() adapter.Selector {
	if t.only != nil {
		return adapter.Selector{Rooms: []string{t.only.id}, Local: true}
	}
	return t.sel
}

// A RemoteSocket describes a socket of any node at the moment of a Fetch.
type RemoteSocket struct {
	ID        string
	Rooms     []string
	Handshake json.RawMessage // JSON, in the form that Socket.IO on Node gives it
	Data      json.RawMessage // JSON of what SetData attached, "{}" for nothing
}

// Fetch returns a description of all sockets of the target, on all nodes. If
// ctx has no deadline it waits as long as [WithAckTimeout] says. When the time
// is up it returns those that are known and a *[MissingAnswersError] that
// counts nodes.
func (t Target) Fetch(ctx context.Context) ([]RemoteSocket, error) {
	ctx, cancel := t.deadline(ctx)
	defer cancel()
	infos, err := t.ns.adapter.FetchSockets(ctx, t.selector())
	sockets := make([]RemoteSocket, len(infos))
	for i, info := range infos {
		sockets[i] = RemoteSocket{ID: info.ID, Rooms: info.Rooms, Handshake: info.Handshake, Data: info.Data}
	}
	return sockets, err
}

// Join makes the sockets of the target join rooms. For those of this node it
// takes as long as [Socket.Join].
func (t Target) Join(rooms ...string) error {
	err := t.ns.adapter.AddSockets(t.selector(), rooms)
	t.ns.settle(rooms)
	return err
}

// Leave makes the sockets of the target leave rooms.
func (t Target) Leave(rooms ...string) error {
	return t.ns.adapter.DelSockets(t.selector(), rooms)
}

// Disconnect disconnects the sockets of the target; with closeConn also the
// connections under them. See [Socket.Disconnect].
func (t Target) Disconnect(closeConn bool) error {
	return t.ns.adapter.DisconnectSockets(t.selector(), closeConn)
}
