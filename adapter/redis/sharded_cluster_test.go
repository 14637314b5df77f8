//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

func clusterURL(addrs []string) string { return "redis+cluster://" + strings.Join(addrs, ",") }

// TestClusterSuite holds that the mode Static passes the suite in a Redis
// Cluster too. The others cannot: they keep the order in each channel only.
func TestClusterSuite(t *testing.T) {
	t.Parallel()
	addrs := runServers(t)
	var clusters atomic.Int64
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		key := redis.WithKey(fmt.Sprintf("cluster%d", clusters.Add(1)))
		return func() adapter.Backend { return redis.New(clusterURL(addrs), key, redis.WithSharded(redis.Static)) }
	}, adaptertest.Abilities{})
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			a, b := pair(t, clusterURL(addrs), redis.WithSharded(mode), redis.WithTimes(0, 0))
			converse(t, a, b)
		})
	}
}

// TestClusterFailover holds that two nodes which send come back by themselves
// within seconds, each message at most once, in order, and none lost but what was
// under way, when the server that has their channel is killed and its replica
// takes over.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			servers := runCluster(t, "--cluster-node-timeout", "500", "--cluster-replica-validity-factor", "0")
			var addrs []string
			for _, p := range servers {
				addrs = append(addrs, p.addr())
			}
			channel := "socket.io" // by which plain Pub/Sub chooses a server
			if f.name == "sharded" {
				channel = "socket.io#/#"
			}
			master := servers[slotOwner(channel)]
			replica := runMember(t, "--cluster-node-timeout", "500", "--cluster-replica-validity-factor", "0")
			replica.meet(servers)
			awaitCluster(t, append(slices.Clone(servers), replica))
			replica.do("cluster", "replicate", master.do("cluster", "myid"))
			eventually(t, "there is a replica", func() bool {
				return strings.Contains(replica.do("info", "replication").(string), "master_link_status:up")
			})
			a, b := pair(t, clusterURL(addrs), f.opts...)
			a.ready()
			b.ready()
			l := startLedger(t, a, b)
			l.outage(func() {
				master.stop()
				eventually(t, "the replica has taken over", func() bool {
					return strings.Contains(replica.do("info", "replication").(string), "role:master") &&
						clusterIsUp(replica.do("cluster", "info").(string))
				})
			})
			l.finish()
			l.checkCounts()
			for _, n := range l.nodes {
				if stats := n.backend.Stats(); stats.Reconnects == 0 {
					t.Errorf("%s has not noticed: %+v", n.name, stats)
				}
			}
		})
	}
}

// TestClusterRights holds the rights that a Redis Cluster wants in addition.
func TestClusterRights(t *testing.T) {
	t.Parallel()
	addrs := runServers(t)
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			var clients []*goredis.Client
			for _, addr := range addrs {
				client := goredis.NewClient(&goredis.Options{Addr: addr})
				defer client.Close()
				grant(t, client, "roomspan", append(rightsOf(t, f.name), rightsOf(t, "cluster")...))
				clients = append(clients, client)
			}
			a, b := pair(t, strings.Replace(clusterURL(addrs), "://", "://roomspan:secret@", 1), f.opts...)
			converse(t, a, b)
			for _, client := range clients {
				if log := refusals(t, client); len(log) > 0 {
					t.Errorf("refused: %v", log)
				}
			}
		})
	}
}

// TestResharding holds that nothing is lost or doubled, and that messages to a
// room keep their order, while the slots of channels move.
func TestResharding(t *testing.T) {
	t.Parallel()
	addrs := runServers(t)
	room := nodeOptions{rooms: []string{"room"}}
	opts := []redis.Option{redis.WithSharded(redis.Dynamic), redis.WithTimes(0, 0)}
	a := start(t, redis.New(clusterURL(addrs), opts...), room).ready()
	b := start(t, redis.New(clusterURL(addrs), opts...), room).ready()
	a.emit(`["warm"]`)
	a.emit(`["warm too"]`, "room")
	b.wait(`["warm"]`, `["warm too"]`)

	stop := make(chan struct{})
	sent := make(chan int)
	go func() {
		i := 0
		for ; ; i++ {
			select {
			case <-stop:
				sent <- i
				return
			default:
			}
			a.emit(fmt.Sprintf(`["room",%d]`, i), "room")
			a.emit(fmt.Sprintf(`["all",%d]`, i))
			if i%20 == 0 {
				b.wait(fmt.Sprintf(`["all",%d]`, max(0, i-200)))
			}
		}
	}()
	const moves = 6
	for i := range moves {
		name := []string{"socket.io#/#room#", "socket.io#/#"}[i%2]
		moveSlot(t, addrs, redis.SlotOf(name))
		seen := len(b.host.events())
		eventually(t, "messages go on", func() bool { return len(b.host.events()) > seen+100 })
	}
	close(stop)
	last := <-sent - 1
	got := b.wait(fmt.Sprintf(`["all",%d]`, last), fmt.Sprintf(`["room",%d]`, last))
	for _, kind := range []string{"room", "all"} {
		next, lost := 0, 0
		for _, text := range got {
			if !strings.HasPrefix(text, `["`+kind+`",`) {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSuffix(text[len(kind)+4:], "]"))
			if err != nil || n < next {
				t.Fatalf("%s after %d", text, next-1)
			}
			lost += n - next
			next = n + 1
		}
		t.Logf("%d of %d messages to %s lost in %d moves", lost, last+1, kind, moves)
		if lost > 0 {
			t.Errorf("%d of %d messages to %s lost", lost, last+1, kind)
		}
	}
	for _, n := range []*node{a, b} {
		if stats := n.backend.Stats(); stats.Reconnects > 0 || stats.Dropped > 0 {
			t.Errorf("%+v\n%s", stats, n.log)
		}
	}
}

// moveSlot moves an empty slot from the server that has it to the next one, as
// redis-cli does.
func moveSlot(t *testing.T, addrs []string, slot int) {
	t.Helper()
	moveSlotWith(t, addrs, slot, func(*goredis.Client, string) {})
}

// moveSlotWith lets move take the keys along.
func moveSlotWith(t *testing.T, addrs []string, slot int, move func(from *goredis.Client, to string)) {
	t.Helper()
	ctx := context.Background()
	clients := make([]*goredis.Client, len(addrs))
	ids := make([]string, len(addrs))
	for i, addr := range addrs {
		clients[i] = goredis.NewClient(&goredis.Options{Addr: addr})
		defer clients[i].Close()
		id, err := clients[i].Do(ctx, "cluster", "myid").Text()
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = id
	}
	from := -1
	for i, client := range clients {
		shards, err := client.ClusterShards(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range shards {
			has := func(r goredis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End }
			if slices.ContainsFunc(shard.Slots, has) && shard.Nodes[0].ID == ids[i] {
				from = i
			}
		}
	}
	if from < 0 {
		t.Fatalf("nobody has slot %d", slot)
	}
	to := (from + 1) % len(addrs)
	do := func(client *goredis.Client, args ...any) {
		t.Helper()
		if err := client.Do(ctx, append([]any{"cluster", "setslot", slot}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do(clients[to], "importing", ids[from])
	do(clients[from], "migrating", ids[to])
	move(clients[from], addrs[to])
	do(clients[to], "node", ids[to])
	do(clients[from], "node", ids[to])
	do(clients[(from+2)%len(addrs)], "node", ids[to])
}
