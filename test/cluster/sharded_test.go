package cluster_test

import (
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// ownChannels is from when after its start a node of Roomspan publishes to a room on the channel of the room.
const ownChannels = 6 * time.Second

// TestSharded has nodes of Roomspan, and of Node with createShardedAdapter, in one Redis, in every mode.
func TestSharded(t *testing.T) {
	peer.Need(t, "node")
	for _, mode := range []string{"static", "dynamic", "dynamic-private"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			redis := peer.Redis(t)
			started := time.Now()
			ours := roomspan(t, redis, "-adapter", "sharded", "-mode", mode)
			theirs := peer.Node(t, "peer-redis.mjs", "--redis", redis.URL(), "--family", "sharded", "--mode", mode)
			theirs.Listening()
			if mode != "static" {
				time.Sleep(time.Until(started.Add(ownChannels)))
			}
			t.Run("roomspan first", func(t *testing.T) { across(t, ours, theirs) })
			t.Run("node first", func(t *testing.T) { across(t, theirs, ours) })
			theirs.Stop()
			t.Run("roomspan alone", func(t *testing.T) {
				across(t, ours, roomspan(t, redis, "-adapter", "sharded", "-mode", mode))
			})
		})
	}
}
