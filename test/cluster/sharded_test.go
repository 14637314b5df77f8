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
			theirs := node(t, redis, "--family", "sharded", "--mode", mode)
			if mode != "static" {
				time.Sleep(time.Until(started.Add(ownChannels)))
			}
			t.Run("node", func(t *testing.T) { across(t, withNode.sharded(mode), ours, theirs) })
			theirs.Stop()
			t.Run("roomspan alone", func(t *testing.T) {
				across(t, alike.sharded(mode), ours, roomspan(t, redis, "-adapter", "sharded", "-mode", mode))
			})
		})
	}
}
