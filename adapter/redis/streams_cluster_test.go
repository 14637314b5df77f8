//go:build unix

package redis_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// In a Redis Cluster the streams lie on several servers, and a user needs some
// rights more.
func TestStreamsInRedisCluster(t *testing.T) {
	t.Parallel()
	addrs := runServers(t)
	t.Run("plain", func(t *testing.T) { testStreamsInRedisCluster(t, addrs, "streams") })
	t.Run("sharded", func(t *testing.T) { testStreamsInRedisCluster(t, addrs, "streams sharded", redis.StreamSharded()) })
}

func testStreamsInRedisCluster(t *testing.T, addrs []string, family string, opts ...redis.StreamOption) {
	rights := append(rightsOf(t, family), "~socket.io-*")
	rights = append(append(rights, rightsOf(t, "cluster")...), rightsOf(t, "streams cluster")...)
	var admins []*goredis.Client
	for _, addr := range addrs {
		admin := goredis.NewClient(&goredis.Options{Addr: addr})
		defer admin.Close()
		grant(t, admin, "roomspan", rights)
		admins = append(admins, admin)
	}
	var nodes []*node
	for range 2 {
		client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, Username: "roomspan", Password: "secret"})
		t.Cleanup(func() { _ = client.Close() })
		backend := redis.FromClient(client, redis.WithStreams(append(opts, redis.StreamCount(4))...))
		nodes = append(nodes, start(t, backend, nodeOptions{namespace: "/notifications"}).ready())
	}
	numbered(nodes[0], 0, 300)
	for _, n := range nodes {
		checkOrder(t, n.wait(`["n",299]`), 0, 300)
	}
	if count, err := nodes[1].adapter.ServerCount(t.Context()); err != nil || count != 2 {
		t.Errorf("%d nodes, %v", count, err)
	}
	if sockets, err := nodes[1].adapter.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(sockets) != 2 {
		t.Errorf("%d sockets, %v", len(sockets), err)
	}
	for _, n := range nodes {
		if err := n.backend.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, admin := range admins {
		checkUnrefused(t, admin)
	}
}
