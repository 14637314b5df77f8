//go:build unix

package redis_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// runServers starts a Redis Cluster of three servers.
func runServers(t *testing.T) []string {
	t.Helper()
	const slots = 16384
	var addrs []string
	for i := range 3 {
		p := runProcess(t, "--cluster-enabled", "yes")
		addrs = append(addrs, p.addr())
		client := goredis.NewClient(&goredis.Options{Addr: p.addr()})
		defer client.Close()
		if err := client.ClusterAddSlotsRange(t.Context(), slots*i/3, slots*(i+1)/3-1).Err(); err != nil {
			t.Fatal(err)
		}
		// Without this all begin in the same epoch, and take time to agree.
		if err := client.Do(t.Context(), "cluster", "set-config-epoch", strconv.Itoa(i+1)).Err(); err != nil {
			t.Fatal(err)
		}
		host, port, err := net.SplitHostPort(addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ClusterMeet(t.Context(), host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, addr := range addrs {
		client := goredis.NewClient(&goredis.Options{Addr: addr})
		defer client.Close()
		eventually(t, "the servers agree", func() bool {
			links, _ := client.ClusterLinks(context.Background()).Result()
			info, err := client.ClusterInfo(context.Background()).Result()
			return err == nil && len(links) >= 4 && clusterIsUp(info)
		})
	}
	return addrs
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
