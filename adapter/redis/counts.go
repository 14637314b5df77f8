package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// counts sums what the servers of a Redis Cluster say.
type counts struct {
	mu    sync.Mutex
	total map[string]int64
}

// add returns a function that asks one server. It may be called concurrently.
func (c *counts) add(names []string) func(context.Context, *goredis.Client) error {
	return func(ctx context.Context, node *goredis.Client) error {
		numbers, err := node.PubSubNumSub(ctx, names...).Result()
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
