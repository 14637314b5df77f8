package redis

import (
	"context"
	"sync"

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
