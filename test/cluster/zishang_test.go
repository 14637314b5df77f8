package cluster_test

import (
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// zishang starts a node on zishang520's socket.io, with an adapter of this module.
func zishang(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	return peer.Start(t, peer.BuildForeign(t, "./test/zishangserver"), append([]string{"-redis", redis.URL()}, more...)...)
}

// TestZishang has nodes of zishang520 with nodes of Roomspan and of Node in one Redis, in every family. Its ids of sockets
// have 24 characters, which Node's sharded adapter takes for names of rooms unless it is told to be static.
func TestZishang(t *testing.T) {
	peer.Need(t, "node")
	for _, tt := range []struct {
		name         string
		ours         []string
		theirs       []string // of peer-redis.mjs; nil: peer-streams.mjs
		wait         time.Duration
		byUs, byNode *column
	}{
		{"redis", nil, []string{"--family", "redis"}, 0, withZishang.classic, nodeWithZishang.classic},
		{
			"sharded static", []string{"-adapter", "sharded", "-mode", "static"},
			[]string{"--family", "sharded", "--mode", "static"}, 0, withZishang.static, nodeWithZishang.static,
		}, {
			"sharded dynamic", []string{"-adapter", "sharded", "-mode", "dynamic"},
			[]string{"--family", "sharded", "--mode", "dynamic"}, ownChannels, withZishang.dynamic, nodeWithZishang.dynamic,
		},
		{"streams", []string{"-adapter", "streams"}, nil, 0, withZishang.streams, nodeWithZishang.streams},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := peer.Redis(t)
			started := time.Now()
			foreign, ours := zishang(t, redis, tt.ours...), roomspan(t, redis, tt.ours...)
			time.Sleep(time.Until(started.Add(tt.wait)))
			t.Run("roomspan", func(t *testing.T) { acrossReordering(t, tt.byUs, ours, foreign) })
			ours.Stop()
			var theirs *peer.Process
			if tt.theirs == nil {
				theirs = startStreamsPeer(t, redis).process
			} else {
				theirs = node(t, redis, tt.theirs...)
			}
			t.Run("node", func(t *testing.T) { acrossReordering(t, tt.byNode, theirs, foreign) })
		})
	}
}

// acrossReordering is across for a second node that handles what its clients send in no order.
func acrossReordering(t *testing.T, c *column, a, b *peer.Process) {
	t.Helper()
	across(t, c, a, b, "--reorders", "b")
}
