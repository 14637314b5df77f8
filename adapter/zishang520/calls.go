package zishang520

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"
	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// headStart is how much earlier than the server a broadcast with
// acknowledgement gives up, so that what came by then is still handed over.
const headStart = 50 * time.Millisecond

// BroadcastWithAck sends a packet to the sockets of the options, and hands over
// their acknowledgements when all have come, or shortly before the time of the
// options has passed.
//
// The server takes the call for complete when count has been called once for
// each node, and ack once for each client that these counted together.
func (n *namespace) BroadcastWithAck(packet *parser.Packet, opts *socket.BroadcastOptions, count func(uint64), ack socket.Ack) {
	p, err := encode(packet.Data)
	if err != nil {
		n.report("broadcast with acknowledgement", err)
		return
	}
	n.countMu.Lock()
	nodes := n.count()
	n.countMu.Unlock()
	timeout, single := callTimeout, false
	if opts != nil && opts.Flags != nil {
		single = opts.Flags.ExpectSingleResponse
		if opts.Flags.Timeout != nil {
			timeout = *opts.Flags.Timeout
		}
	}
	timeout -= min(headStart, timeout/4)
	n.cluster.work.Go(func() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		answers, err := n.inner.BroadcastWithAck(ctx, p, selector(opts), flags(opts))
		// The server has not yet noted how many nodes it waits for when this
		// is called.
		time.Sleep(time.Millisecond - time.Since(began))
		n.cluster.guard(func() { n.hand(answers, err, nodes, single, count, ack) })
	})
}

// hand gives answers to the server. What is missing keeps it waiting for its own
// time-out.
func (n *namespace) hand(answers []*adapter.Packet, err error, nodes int64, single bool, count func(uint64), ack socket.Ack) {
	missing := uint64(0)
	if err != nil {
		n.cluster.log.Debug("zishang520: acknowledgements are missing", "namespace", n.name, "error", err)
		missing = 1
	}
	count(uint64(len(answers)) + missing)
	for _, a := range answers {
		args, err := decode(a)
		switch {
		case err != nil:
			args = []any{nil}
		case single:
			args = []any{args} // of which the server takes the arguments itself
		case len(args) == 0:
			args = []any{nil}
		default:
			args = args[:1]
		}
		ack(args, nil)
	}
	for range nodes - 1 {
		count(0)
	}
}

// FetchSockets finds the sockets of the options on all nodes. The function is
// called when all nodes have answered, or after five seconds with what had come
// and an *[adapter.MissingAnswersError].
func (n *namespace) FetchSockets(opts *socket.BroadcastOptions) func(func([]socket.SocketDetails, error)) {
	return func(callback func([]socket.SocketDetails, error)) {
		n.cluster.work.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
			defer cancel()
			infos, err := n.inner.FetchSockets(ctx, selector(opts))
			all := make([]socket.SocketDetails, len(infos))
			for i, info := range infos {
				if s, ok := n.nsp.Sockets().Load(socket.SocketId(info.ID)); ok {
					all[i] = s
				} else {
					all[i] = remoteOf(info)
				}
			}
			n.cluster.guard(func() { callback(all, err) })
		})
	}
}

// remote describes a socket of another node.
type remote struct {
	id        socket.SocketId
	handshake *socket.Handshake
	rooms     *types.Set[socket.Room]
	data      any
}

func (r *remote) Id() socket.SocketId            { return r.id }
func (r *remote) Handshake() *socket.Handshake   { return r.handshake }
func (r *remote) Rooms() *types.Set[socket.Room] { return r.rooms }
func (r *remote) Data() any                      { return r.data }

// remoteOf leaves empty what a foreign node says in another form.
func remoteOf(info adapter.SocketInfo) *remote {
	r := &remote{id: socket.SocketId(info.ID), handshake: new(socket.Handshake), rooms: types.NewSet[socket.Room]()}
	for _, room := range info.Rooms {
		r.rooms.Add(socket.Room(room))
	}
	_ = json.Unmarshal(info.Data, &r.data)
	var h struct {
		Headers, Query  map[string]lines
		Time, Address   string
		Xdomain, Secure bool
		Issued          int64
		Url             string
		Auth            any
	}
	if json.Unmarshal(info.Handshake, &h) == nil {
		*r.handshake = socket.Handshake{
			Headers: plain(h.Headers), Time: h.Time, Address: h.Address, Xdomain: h.Xdomain, Secure: h.Secure,
			Issued: h.Issued, Url: h.Url, Query: plain(h.Query), Auth: h.Auth,
		}
	}
	return r
}

// lines are the values of a header or parameter, which Node writes as one text
// and zishang520 as a list.
type lines []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *lines) UnmarshalJSON(b []byte) error {
	if strings.HasPrefix(string(b), "[") {
		return json.Unmarshal(b, (*[]string)(l))
	}
	*l = make(lines, 1)
	return json.Unmarshal(b, &(*l)[0])
}

func plain(m map[string]lines) map[string][]string {
	all := make(map[string][]string, len(m))
	for k, v := range m {
		all[k] = v
	}
	return all
}

var errEmpty = errors.New("zishang520: an event without a name")

// ServerSideEmit sends an event to the listeners of all other nodes. If its last
// argument is an Ack, that gets a list of the arguments of each node's answer,
// and an *[adapter.MissingAnswersError] if not all came within five seconds.
func (n *namespace) ServerSideEmit(args []any) error {
	if len(args) == 0 {
		return errEmpty
	}
	ack, asks := args[len(args)-1].(socket.Ack)
	if asks {
		args = args[:len(args)-1]
	}
	p, err := encode(args)
	if err != nil {
		return err
	}
	if !asks {
		return n.inner.ServerSideEmit(p)
	}
	n.cluster.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		answers, err := n.inner.ServerSideEmitWithAck(ctx, p)
		all := make([]any, 0, len(answers))
		for _, a := range answers {
			values, derr := decode(a)
			err = errors.Join(err, derr)
			all = append(all, values)
		}
		n.cluster.guard(func() { ack(all, err) })
	})
	return nil
}
