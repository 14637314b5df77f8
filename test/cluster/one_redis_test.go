package cluster_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// TestOneRedis has a fleet of each family in the same Redis at the same time. In those of Node, two nodes of Roomspan are
// with one of Node and one of zishang520, and emitters come and go.
func TestOneRedis(t *testing.T) {
	t.Parallel()
	nodejs := peer.Need(t, "node")
	redis := peer.Redis(t)
	started := time.Now()
	sharded := startFour(t, redis, node(t, redis, "--family", "sharded", "--mode", "dynamic"), "-adapter", "sharded", "-mode", "dynamic")
	classic := startFour(t, redis, node(t, redis))
	// The channels of Streams have the names of those of the classic family.
	streams := startFour(t, redis, startStreamsPeer(t, redis, "--prefix", "streams").process, "-adapter", "streams", "-key", "streams")
	theirs, ours := python(t, redis), roomspan(t, redis, "-adapter", "python-old")
	time.Sleep(time.Until(started.Add(ownChannels)))

	run := func(name string, f four, nodes, emitter *column) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("nodes", func(t *testing.T) { f.run(t, nodes) })
			t.Run("emitter", func(t *testing.T) {
				emitted(t, emitter, f.nodes, append([]string{peer.Build(t, "./test/testemitter"), "-redis", redis.URL()}, f.flags...)...)
			})
			if emitter != emitters.classic {
				return
			}
			t.Run("@socket.io/redis-emitter", func(t *testing.T) {
				emitted(t, emitters.node, f.nodes, nodejs, script(t, "node", "emitter-redis.mjs"), "--redis", redis.URL())
			})
		})
	}
	run("classic", classic, inOne.classic, emitters.classic)
	run("sharded", sharded, inOne.sharded, emitters.sharded)
	run("streams", streams, inOne.streams, emitters.streams)
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		besidePython(t, withPython.old, ours, theirs, "old")
	})
}

// four is a fleet: two nodes of Roomspan, one of Node, one of zishang520.
type four struct {
	nodes []*peer.Process
	flags []string
}

// startFour starts the others beside one of Node.
func startFour(t *testing.T, redis *peer.RedisServer, node *peer.Process, flags ...string) four {
	t.Helper()
	return four{
		nodes: []*peer.Process{roomspan(t, redis, flags...), roomspan(t, redis, flags...), node, zishang(t, redis, flags...)},
		flags: flags,
	}
}

// run runs the scenarios of all nodes.
func (f four) run(t *testing.T, c *column) {
	t.Helper()
	nodes := make(map[string]string)
	for i, name := range []string{"Roomspan", "Roomspan 2", "Node", "zishang520"} {
		nodes[name] = f.nodes[i].URL()
	}
	urls, err := json.Marshal(nodes)
	if err != nil {
		t.Fatal(err)
	}
	c.record(t, peer.Checks(t, scriptLimit, "fleet.mjs", "--nodes", string(urls), "--slow", "zishang520"))
}
