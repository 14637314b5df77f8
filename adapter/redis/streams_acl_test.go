//go:build unix

package redis_test

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// A user that may do nothing else is enough, and nothing of it is too much.
func TestStreamsACL(t *testing.T) {
	t.Parallel()
	t.Run("plain", func(t *testing.T) { testStreamsACL(t, "streams") })
	t.Run("sharded", func(t *testing.T) { testStreamsACL(t, "streams sharded", redis.StreamSharded()) })
}

func testStreamsACL(t *testing.T, family string, opts ...redis.StreamOption) {
	r := runProcess(t)
	admin := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer admin.Close()
	unsubscribe := "unsubscribe"
	if len(opts) > 0 {
		unsubscribe = "sunsubscribe"
	}
	rights := rightsOf(t, family)
	grant(t, admin, "roomspan", rights)
	url := "redis://roomspan:secret@" + r.addr()
	a, b := startRecoverer(t, url, opts...), startRecoverer(t, url, opts...)
	c := newClient(t, a, "client")
	b.emit(adapter.Selector{}, adapter.Flags{}, "n", 1, 0)
	waitFor(t, c.socket, "n1 0")
	if sockets, err := b.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(sockets) != 1 {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	c.cut(a, 0)
	awaitStored(t, admin, c)
	b.emit(adapter.Selector{}, adapter.Flags{}, "n", 1, 1)
	if !c.back(b) {
		t.Error("not recovered")
	}
	// What comes into the stream later would hide that it was taken away.
	eventually(t, "both messages are in the stream", func() bool { return admin.XLen(t.Context(), "socket.io").Val() == 2 })
	// A broken connection, and a stream that goes backwards, need some more.
	if err := admin.Del(t.Context(), "socket.io").Err(); err != nil {
		t.Fatal(err)
	}
	killConnections(t, admin)
	eventually(t, "both have noticed", func() bool { return a.backend.Stats().Reconnects+b.backend.Stats().Reconnects >= 2 })
	a.ready()
	b.ready()
	// An entry that came before the reader looks would hide that it does.
	awaitCommand(t, admin, "xrevrange")
	b.emit(adapter.Selector{}, adapter.Flags{}, "n", 1, 2)
	waitFor(t, c.socket, "n1 2")
	for _, n := range []*recoverer{a, b} {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	awaitCommand(t, admin, unsubscribe)
	for _, n := range []*recoverer{a, b} {
		if err := n.backend.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	checkUnrefused(t, admin)
	stats, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range rights {
		if command, ok := strings.CutPrefix(right, "+"); ok && !strings.Contains(stats, "cmdstat_"+command+":") {
			t.Errorf("%s is not used", command)
		}
	}
}

// checkUnrefused fails if a server has refused anything.
func checkUnrefused(t *testing.T, admin *goredis.Client) {
	t.Helper()
	entries, err := admin.ACLLog(t.Context(), 10).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("refused: %s %s", e.Reason, e.Object)
	}
}

// awaitCommand waits until somebody has used a command.
func awaitCommand(t *testing.T, admin *goredis.Client, name string) {
	t.Helper()
	eventually(t, name+" is used", func() bool {
		stats, err := admin.Info(t.Context(), "commandstats").Result()
		return err == nil && strings.Contains(stats, "cmdstat_"+name+":")
	})
}
