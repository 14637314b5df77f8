package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// counts sums what the servers of a Redis Cluster say.
type counts struct {
	sharded bool // the channels are those of sharded Pub/Sub

	mu    sync.Mutex
	total map[string]int64
}

// add returns a function that asks one server. It may be called concurrently.
func (c *counts) add(names []string) func(context.Context, *goredis.Client) error {
	return func(ctx context.Context, node *goredis.Client) error {
		numbers, err := numSub(ctx, node, c.sharded, names)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.total == nil {
			c.total = make(map[string]int64, len(names))
		}
		for name, n := range numbers {
			c.total[name] += n
		}
		return nil
	}
}

// numSub asks one server for the number of subscribers of each channel.
func numSub(ctx context.Context, node goredis.UniversalClient, sharded bool, names []string) (map[string]int64, error) {
	if sharded {
		return node.PubSubShardNumSub(ctx, names...).Result()
	}
	return node.PubSubNumSub(ctx, names...).Result()
}

// censusLimit bounds how long a count that is lower than the last one is
// doubted: far longer than nodes take to follow a slot that moves.
const censusLimit = 500 * time.Millisecond

// census counts the nodes of one namespace. In a Redis Cluster a sharded
// channel has fewer subscribers than nodes for the moment in which its slot
// moves; a request that trusts such a count would not wait for the answers of
// all. So a lower count than the last is taken again, until it is as high or
// has lasted. The zero value is ready; it may be used concurrently.
type census struct {
	mu    sync.Mutex // not held over I/O
	nodes int64
}

// count returns how many nodes hear a request channel. It fails at once while
// Redis is away.
func (c *census) count(ctx context.Context, b *Backend, channel string) (int, error) {
	_, cluster := b.client.(*goredis.ClusterClient)
	limit := time.Now().Add(censusLimit)
	for {
		if _, err := b.link.reachable(); err != nil {
			return 0, err
		}
		counts, err := b.publisher.count(ctx, []string{channel})
		if err != nil {
			return 0, fmt.Errorf("redis: counting nodes: %w", err)
		}
		nodes := counts[channel]
		if !b.publisher.sharded || !cluster || c.settle(nodes, time.Now().After(limit)) {
			if b.emits {
				return int(nodes), nil
			}
			return max(1, int(nodes)), nil // this one may not be counted yet
		}
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return 0, fmt.Errorf("redis: counting nodes: %w", ctx.Err())
		}
	}
}

// settle reports whether a count is to be trusted, and remembers it then.
func (c *census) settle(nodes int64, late bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nodes < c.nodes && !late {
		return false
	}
	c.nodes = nodes
	return true
}

// count returns the number of subscribers of each channel. It may be called
// from any goroutine.
func (p *publisher) count(ctx context.Context, names []string) (map[string]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	cluster, ok := p.client.(*goredis.ClusterClient)
	if !ok {
		return numSub(ctx, p.client, p.sharded, names)
	}
	// Each server of a cluster counts its own subscribers, replicas included.
	sum := counts{sharded: p.sharded}
	if err := cluster.ForEachMaster(ctx, sum.add(names)); err != nil {
		return nil, err
	}
	// A replica that is away has no subscribers.
	_ = cluster.ForEachSlave(ctx, sum.add(names))
	return sum.total, nil
}
