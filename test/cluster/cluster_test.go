// Package cluster_test lets real Socket.IO clients meet several nodes that a real Redis connects.
package cluster_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/test/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(documented{m}, goleak.Cleanup(peer.Exit)) }

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

// node starts a node on Node's own socket.io; more are flags of peer-redis.mjs.
func node(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	p := peer.Node(t, "peer-redis.mjs", append([]string{"--redis", redis.URL()}, more...)...)
	p.Listening()
	return p
}

// across runs the scenarios of two nodes, for a column of docs/interop.md.
func across(t *testing.T, c *column, a, b *peer.Process, more ...string) {
	t.Helper()
	c.record(t, peer.Checks(t, scriptLimit, "cluster.mjs", append([]string{"--a", a.URL(), "--b", b.URL()}, more...)...))
}

func TestTwoNodes(t *testing.T) {
	peer.Need(t, "node")
	for family, c := range map[string]*column{
		"redis": alike.classic, "streams": alike.streams, "python": alike.python, "streams+python": alike.joined,
	} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			redis := peer.Redis(t)
			across(t, c, roomspan(t, redis, "-adapter", family), roomspan(t, redis, "-adapter", family))
		})
	}
}

// TestMixedFleet has a node of Roomspan and one of Node in the same Redis.
func TestMixedFleet(t *testing.T) {
	t.Parallel()
	peer.Need(t, "node")
	redis := peer.Redis(t)
	across(t, withNode.classic, roomspan(t, redis), node(t, redis))
}

// TestSpecificResponseChannels has them answer on channels of the node that asks, which no other test does.
func TestSpecificResponseChannels(t *testing.T) {
	t.Parallel()
	peer.Need(t, "node")
	redis := peer.Redis(t)
	used := channelsUsed(t, redis, "socket.io-response#/#*")
	across(t, withNode.specific, roomspan(t, redis, "-specific"), node(t, redis, "--specific", "yes"))
	// Answers to server-side events always go to all.
	if channels := used(); len(channels) != 3 {
		t.Errorf("answers came on %q; two nodes and all have a channel each", channels)
	}
}

// channelsUsed listens to a pattern, and returns on which of its channels something came.
func channelsUsed(t *testing.T, redis *peer.RedisServer, pattern string) func() []string {
	t.Helper()
	opts, err := goredis.ParseURL(redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	sub := client.PSubscribe(t.Context(), pattern)
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	const last = "the last message"
	return func() []string {
		// Redis passes on in order: what was published before comes before.
		if err := client.Publish(t.Context(), strings.TrimSuffix(pattern, "*"), last).Err(); err != nil {
			t.Fatal(err)
		}
		channels := make(map[string]bool)
		for {
			m, err := sub.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Payload == last {
				return slices.Sorted(maps.Keys(channels))
			}
			channels[m.Channel] = true
		}
	}
}

// TestRoomSubscriptions has nodes with that option beside one of Node, and one of Roomspan without it.
func TestRoomSubscriptions(t *testing.T) {
	t.Parallel()
	peer.Need(t, "node")
	redis := peer.Redis(t)
	started := time.Now()
	ours, theirs := roomspan(t, redis, "-adapter", "rooms"), node(t, redis)
	time.Sleep(time.Until(started.Add(ownChannels)))
	t.Run("node", func(t *testing.T) { across(t, withNode.rooms, ours, theirs) })
	theirs.Stop()
	pattern := roomspan(t, redis)
	t.Run("pattern", func(t *testing.T) { across(t, alike.mixed, ours, pattern) })
	pattern.Stop()
	t.Run("rooms alone", func(t *testing.T) { across(t, alike.rooms, ours, roomspan(t, redis, "-adapter", "rooms")) })
}

// TestScenariosOnNode shows that the scenarios ask for nothing but Socket.IO.
func TestScenariosOnNode(t *testing.T) {
	t.Parallel()
	redis := peer.Redis(t)
	across(t, nil, node(t, redis), node(t, redis))
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
