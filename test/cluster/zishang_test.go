package cluster_test

import (
	"testing"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// zishang starts a node on zishang520's socket.io, with an adapter of this module.
func zishang(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	return peer.Start(t, peer.BuildForeign(t, "./test/zishangserver"), append([]string{"-redis", redis.URL()}, more...)...)
}

// TestZishang has nodes of zishang520 with nodes of Roomspan and of Node in one Redis, in every family.
func TestZishang(t *testing.T) {
	peer.Need(t, "node")
	for _, tt := range []struct {
		family string
		ours   []string
		theirs []string // nil: no node of Node
	}{
		{"redis", nil, []string{"peer-redis.mjs"}},
		{"sharded", []string{"-adapter", "sharded", "-mode", "static"}, []string{"peer-redis.mjs", "--family", "sharded", "--mode", "static"}},
		{"streams", []string{"-adapter", "streams"}, nil},
	} {
		t.Run(tt.family, func(t *testing.T) {
			redis := peer.Redis(t)
			foreign := zishang(t, redis, "-adapter", tt.family)
			ours := roomspan(t, redis, tt.ours...)
			t.Run("roomspan", func(t *testing.T) { acrossReordering(t, ours, foreign) })
			ours.Stop()
			if tt.theirs == nil {
				return
			}
			theirs := peer.Node(t, tt.theirs[0], append([]string{"--redis", redis.URL()}, tt.theirs[1:]...)...)
			theirs.Listening()
			t.Run("node", func(t *testing.T) { acrossReordering(t, theirs, foreign) })
		})
	}
}

// acrossReordering is across for a second node that handles what its clients send in no order.
func acrossReordering(t *testing.T, a, b *peer.Process) {
	t.Helper()
	peer.Checks(t, scriptLimit, "cluster.mjs", "--a", a.URL(), "--b", b.URL(), "--reorders", "b")
}
