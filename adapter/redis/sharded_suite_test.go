//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

var modes = []redis.SubscriptionMode{redis.Static, redis.Dynamic, redis.DynamicPrivate}

func TestShardedSuite(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
				key := redis.WithKey(fmt.Sprintf("sharded%d", clusters.Add(1)))
				return func() adapter.Backend { return redis.New(r.url(), key, redis.WithSharded(mode)) }
			}, adaptertest.Abilities{})
		})
	}
}

// TestJoinedFamilies holds that nodes which are in fleets of two families hear
// each message once.
func TestJoinedFamilies(t *testing.T) {
	for name, opts := range map[string][]redis.Option{
		"sharded":         {redis.WithSharded(redis.Dynamic), redis.WithTimes(0, 0)},
		"streams":         {redis.WithStreams(), redis.WithKey("streams")},
		"streams sharded": {redis.WithStreams(redis.StreamSharded())},
	} {
		t.Run(name, func(t *testing.T) { testJoinedFamilies(t, opts) })
	}
}

func testJoinedFamilies(t *testing.T, opts []redis.Option) {
	r := runProcess(t)
	var nodes []*joined
	for range 2 {
		nodes = append(nodes, join(t, redis.New(r.url()), redis.New(r.url(), opts...)))
	}
	const messages = 100
	for i := range messages {
		rooms := [][]string{nil, {"room"}}[i%2]
		if err := nodes[0].adapter.Broadcast(&adapter.Packet{Args: fmt.Appendf(nil, `["n",%d]`, i)}, adapter.Selector{Rooms: rooms}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		eventually(t, "all messages come", func() bool { return len(n.host.events()) >= messages })
	}
	if sockets, err := nodes[1].adapter.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(sockets) != 2 {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	for _, n := range nodes {
		checkOrder(t, n.host.events(), 0, messages)
	}
}

// joined is a node in several fleets, with a socket in "room".
type joined struct {
	adapter adapter.Adapter
	host    *host
}

func join(t *testing.T, backends ...adapter.Backend) *joined {
	t.Helper()
	backend := adapter.Join(backends...)
	if err := backend.Start(server{&logBuffer{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = backend.Close(ctx)
	})
	n := &joined{host: &host{namespace: "/"}}
	a, err := backend.Open(n.host)
	if err != nil {
		t.Fatal(err)
	}
	n.adapter = a
	a.Add(&socket{id: fmt.Sprintf("socket %p", n)}, "room")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := backend.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestShardedSettled holds that, once Settle has returned, nothing of a room or
// a socket with a channel of its own is missed.
func TestShardedSettled(t *testing.T) {
	r := runProcess(t)
	n := start(t, redis.New(r.url(), redis.WithSharded(redis.DynamicPrivate)), nodeOptions{}).ready()
	p := newShardPeer(t, r)
	const rooms = 200
	for i := range rooms {
		room, member := fmt.Sprint("room", i), &socket{id: fmt.Sprint("socket", i)}
		n.adapter.Add(member, room)
		if i%2 == 0 {
			room = member.id
		}
		settle(t, n, room)
		p.say("socket.io#/#"+room+"#", fmt.Sprintf(`{"type":3,"data":{"packet":{"type":2,"data":["n",%d]},"opts":{"rooms":["%s"],"except":[],"flags":{}}},"uid":"peer","nsp":"/"}`, i, room))
	}
	checkOrder(t, n.wait(fmt.Sprintf(`["n",%d]`, rooms-1)), 0, rooms)
}
