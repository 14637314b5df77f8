// Package cluster_test lets real Socket.IO clients meet several nodes that a real Redis connects.
package cluster_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/test/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(peer.Exit)) }

const (
	// scriptLimit bounds the run of a script, in which each check has a bound of its own.
	scriptLimit = 5 * time.Minute
	// resumeLimit is how long delivery across nodes may take to come back after an outage. A few seconds are promised;
	// the rest is for a loaded machine.
	resumeLimit = 15 * time.Second
	// localLimit is how long events and broadcasts on one node may take while Redis is away: far more than they do,
	// and less than the time-outs that waiting for Redis would take.
	localLimit = 2 * time.Second
)

// roomspan starts a node; more are flags of testserver.
func roomspan(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	args := append([]string{"-addr", "127.0.0.1:0", "-redis", redis.URL()}, more...)
	return peer.Start(t, peer.Build(t, "./test/testserver"), args...)
}

// node starts a node on Node's own socket.io.
func node(t *testing.T, redis *peer.RedisServer) *peer.Process {
	t.Helper()
	p := peer.Node(t, "peer-redis.mjs", "--redis", redis.URL())
	p.Listening()
	return p
}

// across runs the scenarios of two nodes.
func across(t *testing.T, a, b *peer.Process) {
	t.Helper()
	peer.Checks(t, scriptLimit, "cluster.mjs", "--a", a.URL(), "--b", b.URL())
}

func TestTwoNodes(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	across(t, roomspan(t, redis), roomspan(t, redis))
}

// TestMixedFleet has a node of Roomspan and one of Node in the same Redis.
func TestMixedFleet(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	ours, theirs := roomspan(t, redis), node(t, redis)
	t.Run("roomspan first", func(t *testing.T) { across(t, ours, theirs) })
	t.Run("node first", func(t *testing.T) { across(t, theirs, ours) })
}

// TestRoomSubscriptions has nodes with that option beside one of Node, and one of Roomspan without it.
func TestRoomSubscriptions(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	started := time.Now()
	ours, theirs := roomspan(t, redis, "-adapter", "rooms"), node(t, redis)
	time.Sleep(time.Until(started.Add(ownChannels)))
	t.Run("rooms first", func(t *testing.T) { across(t, ours, theirs) })
	t.Run("node first", func(t *testing.T) { across(t, theirs, ours) })
	theirs.Stop()
	pattern := roomspan(t, redis)
	t.Run("rooms before pattern", func(t *testing.T) { across(t, ours, pattern) })
	t.Run("pattern before rooms", func(t *testing.T) { across(t, pattern, ours) })
	pattern.Stop()
	t.Run("rooms alone", func(t *testing.T) { across(t, ours, roomspan(t, redis, "-adapter", "rooms")) })
}

// TestScenariosOnNode shows that the scenarios ask for nothing but Socket.IO.
func TestScenariosOnNode(t *testing.T) {
	redis := peer.Redis(t)
	across(t, node(t, redis), node(t, redis))
}

// clients are those of outage.mjs, on two nodes.
type clients struct {
	t       *testing.T
	process *peer.Process
}

func connect(t *testing.T, a, b *peer.Process) clients {
	t.Helper()
	c := clients{t, peer.Node(t, "outage.mjs", "--a", a.URL(), "--b", b.URL())}
	ctx, cancel := context.WithTimeout(t.Context(), scriptLimit)
	defer cancel()
	if line, err := c.process.ReadLine(ctx); err != nil || line != "connected" {
		t.Fatalf("outage.mjs: %q, %v", line, err)
	}
	return c
}

// order lets the clients do what the order says, which must succeed and measure no more than limit.
func (c clients) order(order, when string, limit time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), scriptLimit)
	defer cancel()
	if err := c.process.WriteLine(order); err != nil {
		c.t.Fatal(err)
	}
	check, err := c.process.ReadCheck(ctx)
	if err != nil || !check.OK {
		c.t.Fatalf("%s %s: %v %s", order, when, err, check.Error)
	}
	took := time.Duration(check.MS) * time.Millisecond
	c.t.Logf("%s %s: %v", order, when, took)
	if took > limit {
		c.t.Errorf("%s %s took %v, more than %v", order, when, took, limit)
	}
}

func TestRedisGoesAndComesBack(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	c := connect(t, roomspan(t, redis), roomspan(t, redis))
	c.order("across", "at first", resumeLimit)
	for _, outage := range []struct {
		name string
		end  func()
	}{
		{"stopped", redis.Stop},
		{"killed", redis.Kill},
	} {
		outage.end()
		for range 5 {
			c.order("local", "while Redis is "+outage.name, localLimit)
		}
		redis.Start()
		c.order("across", "after Redis was "+outage.name, resumeLimit)
		c.order("local", "after Redis was "+outage.name, localLimit)
	}
}

func TestRedisComesLater(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	redis.Stop()
	c := connect(t, roomspan(t, redis, "-wait-ready=false"), roomspan(t, redis, "-wait-ready=false"))
	c.order("local", "before Redis is there", localLimit)
	redis.Start()
	c.order("across", "once Redis is there", resumeLimit)
}
