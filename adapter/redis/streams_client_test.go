//go:build unix

package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// keeper is a host whose clients may recover.
type keeper struct{ *adaptertest.Host }

func (keeper) Recovery() adapter.Recovery { return adapter.Recovery{MaxDisconnection: time.Minute} }

// recoverer is a node with recovery.
type recoverer struct {
	t testing.TB
	adapter.Recoverer
	backend *redis.Backend
	log     *logBuffer
}

func startRecoverer(t testing.TB, url string, opts ...redis.StreamOption) *recoverer {
	t.Helper()
	return startRecovererWith(t, redis.New(url, redis.WithStreams(opts...)))
}

func startRecovererWith(t testing.TB, backend *redis.Backend) *recoverer {
	t.Helper()
	n := &recoverer{t: t, backend: backend, log: &logBuffer{}}
	if err := n.backend.Start(server{n.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = n.backend.Close(ctx)
	})
	host := keeper{adaptertest.NewHost("/")}
	a, err := n.backend.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	host.Use(a)
	n.Recoverer = a.(adapter.Recoverer)
	return n.ready()
}

func (n *recoverer) ready() *recoverer {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.backend.Ready(ctx); err != nil {
		n.t.Fatalf("%v\n%s", err, n.log)
	}
	return n
}

func (n *recoverer) connect(id string, rooms ...string) *adaptertest.Socket {
	n.t.Helper()
	s := adaptertest.NewSocket(id)
	if !n.Add(s, rooms...) {
		n.t.Fatal("Add = false")
	}
	return s
}

func (n *recoverer) emit(sel adapter.Selector, flags adapter.Flags, args ...any) {
	n.t.Helper()
	begin := time.Now()
	if err := n.Broadcast(eventOf(args...), sel, flags); err != nil {
		n.t.Error(err)
	}
	if took := time.Since(begin); took > neverBlocks {
		n.t.Errorf("an emit took %v", took)
	}
}

func eventOf(args ...any) *adapter.Packet {
	b, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	return &adapter.Packet{Args: b}
}

// texts returns what a socket was sent, with offsets apart.
func texts(s *adaptertest.Socket) (events, offsets []string) {
	for _, d := range s.Received() {
		event, offset := apart(d.Packet)
		events, offsets = append(events, event), append(offsets, offset)
	}
	return events, offsets
}

// apart returns the arguments and the offset, if there is one.
func apart(p *adapter.Packet) (event, offset string) {
	var args []any
	if err := json.Unmarshal(p.Args, &args); err != nil {
		return err.Error(), ""
	}
	if last, ok := args[len(args)-1].(string); ok && strings.Count(last, "-") == 1 && last > "1" && last < "2" {
		args, offset = args[:len(args)-1], last
	}
	return fmt.Sprint(args...), offset
}

func waitFor(t testing.TB, s *adaptertest.Socket, last string) (events, offsets []string) {
	t.Helper()
	eventually(t, s.ID()+" receives "+last, func() bool {
		events, offsets = texts(s)
		return slices.Contains(events, last)
	})
	return events, offsets
}

// client is one that loses its connection and comes back, on any node.
type client struct {
	t       testing.TB
	id      string
	socket  *adaptertest.Socket
	missed  []*adapter.Packet // what it got when it came back, before socket
	ledger  []string
	offset  string
	lost    int // how often it was not recovered
	session adapter.Session
}

// cut ends the connection, on which the last events got lost.
func (c *client) cut(n *recoverer, lose int) {
	n.PersistSession(c.session)
	n.DelAll(c.socket)
	packets := c.missed
	for _, d := range c.socket.Received() {
		packets = append(packets, d.Packet)
	}
	for _, p := range packets[:max(0, len(packets)-lose)] {
		event, offset := apart(p)
		c.ledger = append(c.ledger, event)
		if offset != "" {
			c.offset = offset
		}
	}
}

// back recovers the session on a node, or begins another one.
func (c *client) back(n *recoverer) (recovered bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	c.socket, c.missed = adaptertest.NewSocket(c.id), nil
	err := n.RestoreSession(ctx, c.session.PrivateID, c.offset, func(s adapter.Session, packets []*adapter.Packet) bool {
		if s.SocketID != c.id || !slices.Equal(s.Rooms, c.session.Rooms) || string(s.Data) != string(c.session.Data) {
			c.t.Errorf("session is %+v", s)
		}
		c.missed = packets
		return n.Add(c.socket, s.Rooms...)
	})
	if err == nil {
		return true
	}
	c.lost++
	c.session.PrivateID += "'" // as a server gives to every new session
	c.ledger = append(c.ledger, "gap")
	n.Add(c.socket, c.session.Rooms...)
	return false
}

// check fails unless the numbers of each sender are in order and whole, but
// for gaps.
func (c *client) check() {
	c.t.Helper()
	next := make(map[string]int)
	for _, event := range c.ledger {
		if event == "gap" {
			clear(next)
			continue
		}
		var sender, number int
		if _, err := fmt.Sscanf(event, "n%d %d", &sender, &number); err != nil {
			c.t.Fatalf("%s received %q", c.id, event)
		}
		key := fmt.Sprint(sender)
		if want, ok := next[key]; ok && number != want {
			c.t.Fatalf("%s received %d of sender %d, want %d", c.id, number, sender, want)
		}
		next[key] = number + 1
	}
}

func newClient(t testing.TB, n *recoverer, id string) *client {
	c := &client{t: t, id: id, session: adapter.Session{
		PrivateID: "private " + id, SocketID: id, Rooms: []string{"room"}, Data: json.RawMessage(`{"user":1}`),
	}}
	c.socket = n.connect(id, "room")
	return c
}

// awaitStored waits until Redis has the session of a client.
func awaitStored(t testing.TB, redis *goredis.Client, c *client) {
	t.Helper()
	eventually(t, "the session is stored", func() bool {
		return redis.Exists(context.Background(), "sio:session:"+c.session.PrivateID).Val() == 1
	})
}
