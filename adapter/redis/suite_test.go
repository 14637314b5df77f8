package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

func TestSuiteEmbedded(t *testing.T) {
	adaptertest.Run(t, func(t *testing.T) func() adapter.Backend {
		r := runEmbedded(t)
		return func() adapter.Backend { return redis.New(r.url()) }
	}, adaptertest.Abilities{})
}

// Against a real Redis, the clusters of the suite share it under keys of their
// own.
func TestSuiteProcess(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		key := redis.WithKey(fmt.Sprintf("cluster[%d]", clusters.Add(1)))
		return func() adapter.Backend { return redis.New(r.url(), key, redis.WithSpecificResponseChannel()) }
	}, adaptertest.Abilities{})
}
