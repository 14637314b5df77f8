//go:build unix

package redis_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// runServers starts a Redis Cluster of three servers, each with a third of the
// slots.
func runServers(t *testing.T) []string {
	t.Helper()
	var addrs []string
	for _, p := range runCluster(t) {
		addrs = append(addrs, p.addr())
	}
	return addrs
}

const slots = 16384

func runCluster(t *testing.T, args ...string) []*process {
	t.Helper()
	var servers []*process
	for i := range 3 {
		p := runMember(t, args...)
		p.do("cluster", "addslotsrange", slots*i/3, slots*(i+1)/3-1)
		// Without this all begin in the same epoch, and take time to agree.
		p.do("cluster", "set-config-epoch", i+1)
		p.meet(servers)
		servers = append(servers, p)
	}
	awaitCluster(t, servers)
	return servers
}

// runMember starts one more server of a Redis Cluster. Its port of the bus is
// chosen, as the default may be no port at all.
func runMember(t *testing.T, args ...string) *process {
	t.Helper()
	return runProcessAs(t, func(p *process) {
		p.busPort = freePort(t)
		p.args = append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(p.busPort)}, args...)
	})
}

func (p *process) meet(others []*process) {
	p.t.Helper()
	if len(others) > 0 {
		p.do("cluster", "meet", "127.0.0.1", others[0].port, others[0].busPort)
	}
}

// awaitCluster waits until all servers know each other.
func awaitCluster(t *testing.T, servers []*process) {
	t.Helper()
	for _, p := range servers {
		client := goredis.NewClient(&goredis.Options{Addr: p.addr()})
		defer client.Close()
		eventually(t, "the servers agree", func() bool {
			links, _ := client.ClusterLinks(context.Background()).Result()
			info, err := client.ClusterInfo(context.Background()).Result()
			return err == nil && len(links) >= 2*(len(servers)-1) && clusterIsUp(info)
		})
	}
}

// slotOwner is which of the servers that began with a third each has a channel.
func slotOwner(channel string) int {
	owner := 0
	for i := range 3 {
		if redis.SlotOf(channel) >= slots*i/3 {
			owner = i
		}
	}
	return owner
}

func clusterIsUp(info string) bool {
	return strings.HasPrefix(info, "cluster_state:ok")
}

// In a Redis Cluster, messages keep their order and nodes are counted, to
// whichever server they are connected.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	addrs := runServers(t)
	var nodes []*node
	for range 3 {
		client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs})
		t.Cleanup(func() { _ = client.Close() })
		nodes = append(nodes, start(t, redis.FromClient(client), nodeOptions{rooms: []string{"a", "b"}}).ready())
	}
	for _, n := range nodes {
		if count, err := n.adapter.ServerCount(t.Context()); count != 3 || err != nil {
			t.Errorf("%d nodes, %v", count, err)
		}
	}
	const messages = 300
	rooms := [][]string{nil, {"a"}, {"b"}, {"a", "b"}}
	for i := range messages {
		nodes[0].emit(`["n",`+strconv.Itoa(i)+`]`, rooms[i%len(rooms)]...)
	}
	last := `["n",` + strconv.Itoa(messages-1) + `]`
	for _, n := range nodes {
		checkOrder(t, n.wait(last), 0, messages)
	}
	sockets, err := nodes[1].adapter.FetchSockets(t.Context(), adapter.Selector{})
	if err != nil || len(sockets) != 3 {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	for _, n := range nodes {
		if err := n.backend.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
