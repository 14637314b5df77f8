//go:build unix

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// What has waited for too long is dropped when Redis is back, and nothing else.
func TestBacklogAge(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			const age = 200 * time.Millisecond
			opts := append([]redis.Option{redis.WithBacklogAge(age)}, f.opts...)
			a := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			b := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			numbered(a, 0, 10)
			b.wait(`["n",9]`)
			r.stop()
			eventually(t, "the loss is noticed", func() bool { return !a.backend.Status().Connected && !b.backend.Status().Connected })
			numbered(a, 10, 110)
			time.Sleep(age)
			r.restart()
			a.ready()
			b.ready()
			numbered(a, 110, 210)
			got := b.wait(`["n",209]`)
			checkOrder(t, got[:10], 0, 10)
			checkOrder(t, got[10:], 110, 210)
			eventually(t, "all are counted", func() bool { return a.backend.Stats().Published == 110 })
			if stats := a.backend.Stats(); stats.Dropped != 100 {
				t.Errorf("%+v", stats)
			}
			eventually(t, "the log says so", func() bool { return a.log.count("expired=100") == 1 })
		})
	}
}

// With WithFailFast an outage is an error, after the effect on this node.
func TestFailFast(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			opts := append([]redis.Option{redis.WithFailFast()}, f.opts...)
			a := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			b := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			numbered(a, 0, 10)
			b.wait(`["n",9]`)
			r.stop()
			eventually(t, "the loss is noticed", func() bool { return !a.backend.Status().Connected && !b.backend.Status().Connected })
			p := &adapter.Packet{Args: []byte(`["n",10]`)}
			all := adapter.Selector{}
			for what, err := range map[string]error{
				"Broadcast":         a.adapter.Broadcast(p, all, adapter.Flags{}),
				"AddSockets":        a.adapter.AddSockets(all, []string{"new"}),
				"ServerSideEmit":    a.adapter.ServerSideEmit(p),
				"DisconnectSockets": a.adapter.DisconnectSockets(all, false),
			} {
				if !errors.Is(err, adapter.ErrUnreachable) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if err := a.adapter.Broadcast(p, all, adapter.Flags{Volatile: true}); err != nil {
				t.Errorf("volatile: %v", err)
			}
			if err := a.adapter.Broadcast(p, adapter.Selector{Local: true}, adapter.Flags{}); err != nil {
				t.Errorf("local: %v", err)
			}
			checkHere(t, a)
			if stats := a.backend.Stats(); stats.Dropped != 5 {
				t.Errorf("%+v", stats)
			}
			_, err := a.adapter.FetchSockets(t.Context(), all)
			if missing := (*adapter.MissingAnswersError)(nil); !errors.As(err, &missing) || !errors.Is(err, adapter.ErrUnreachable) {
				t.Errorf("FetchSockets: %v", err)
			}
			r.restart()
			a.ready()
			b.ready()
			numbered(a, 11, 20)
			got := b.wait(`["n",19]`)
			checkOrder(t, got[:10], 0, 10)
			checkOrder(t, got[10:], 11, 20)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if sockets, err := a.adapter.FetchSockets(ctx, all); err != nil || len(sockets) != 2 {
				t.Errorf("%d sockets, %v", len(sockets), err)
			}
		})
	}
}

// checkHere fails unless all had its effect on this node.
func checkHere(t *testing.T, n *node) {
	t.Helper()
	if got := n.host.events(); len(got) != 13 {
		t.Errorf("%d events here, want 13", len(got))
	}
	n.host.mu.Lock()
	defer n.host.mu.Unlock()
	if n.host.disconnected != 1 {
		t.Errorf("disconnected %d times", n.host.disconnected)
	}
	rooms, err := n.adapter.FetchSockets(context.Background(), adapter.Selector{Rooms: []string{"new"}, Local: true})
	if len(rooms) != 1 || err != nil {
		t.Errorf("%d sockets in the new room, %v", len(rooms), err)
	}
}

// A client that was away while events failed fast is not recovered: it would
// miss what others have had.
func TestFailFastIsNoRecovery(t *testing.T) {
	t.Parallel()
	r := runProcess(t, "--appendonly", "yes", "--dir", t.TempDir())
	store := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer store.Close()
	n := startRecovererWith(t, redis.New(r.url(), redis.WithFailFast(), redis.WithStreams(patient)))
	other := startRecoverer(t, r.url(), patient)
	stays, elsewhere := n.connect("stays"), other.connect("elsewhere")
	var clients []*client
	for i := range 3 {
		clients = append(clients, newClient(t, n, fmt.Sprint("client", i)))
	}
	n.emit(adapter.Selector{}, adapter.Flags{}, "before")
	for _, c := range clients {
		waitFor(t, c.socket, "before")
		c.cut(n, 0)
		awaitStored(t, store, c)
	}
	if !clients[0].back(n) {
		t.Error("not recovered before the outage")
	}
	clients[0].cut(n, 0)
	awaitStored(t, store, clients[0])
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !n.backend.Status().Connected && !other.backend.Status().Connected })
	if err := n.Broadcast(eventOf("missed"), adapter.Selector{}, adapter.Flags{}); !errors.Is(err, adapter.ErrUnreachable) {
		t.Errorf("Broadcast: %v", err)
	}
	if events, offsets := waitFor(t, stays, "missed"); offsets[slices.Index(events, "missed")] != "" {
		t.Error("what is not in the stream has an offset")
	}
	r.restart()
	n.ready()
	other.ready()
	if clients[0].back(n) {
		t.Error("recovered on the node whose clients had the event")
	}
	n.emit(adapter.Selector{}, adapter.Flags{}, "after")
	waitFor(t, stays, "after")
	waitFor(t, elsewhere, "after")
	if clients[1].back(n) {
		t.Error("recovered on the node, after the gap")
	}
	if clients[2].back(other) {
		t.Error("recovered on the other node, after the gap")
	}
}

// Redis refuses what it has no memory for, and what waits for it grows old.
func TestBacklogAgeWhileFull(t *testing.T) {
	t.Parallel()
	r := runProcess(t)
	const age = 500 * time.Millisecond
	a := start(t, redis.New(r.url(), redis.WithStreams(), redis.WithBacklogAge(age)), nodeOptions{}).ready()
	b := start(t, redis.New(r.url(), redis.WithStreams()), nodeOptions{}).ready()
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	numbered(a, 0, 10)
	b.wait(`["n",9]`)
	if err := client.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	numbered(a, 10, 100)
	eventually(t, "what is old is dropped", func() bool { return a.backend.Stats().Dropped == 90 })
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	// Nothing is left that could be refused, so that nothing waits.
	numbered(a, 100, 110)
	got := b.wait(`["n",109]`)
	checkOrder(t, got[10:], 100, 110)
	eventually(t, "all are counted", func() bool { return a.backend.Stats().Published == 20 })
	if stats := a.backend.Stats(); stats.Dropped != 90 {
		t.Errorf("%+v", stats)
	}
	eventually(t, "the end is logged", func() bool { return a.log.count("entries taken again") == 1 })
}

func TestBacklogOptions(t *testing.T) {
	for what, opt := range map[string]redis.Option{
		"WithBacklogAge": redis.WithBacklogAge(-time.Second),
		"WithBacklog":    redis.WithBacklog(0, 1),
	} {
		err := redis.New("redis://localhost", opt).Start(server{&logBuffer{}})
		if !errors.Is(err, redis.ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
