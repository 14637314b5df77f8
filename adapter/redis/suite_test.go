//go:build unix

package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// The suite needs a real Redis: miniredis does not keep the order between what
// comes through a pattern and what comes through a channel. Its clusters share
// the Redis, under keys of their own.
func TestSuite(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for name, opts := range map[string][]redis.Option{
		"shared responses":   nil,
		"specific responses": {redis.WithSpecificResponseChannel()},
		"rooms":              {redis.WithRoomSubscriptions()},
		"rooms, calm":        {redis.WithRoomSubscriptions(), redis.WithTimes(time.Hour, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
				opts := append([]redis.Option{redis.WithKey(fmt.Sprintf("cluster[%d]", clusters.Add(1)))}, opts...)
				return func() adapter.Backend { return redis.New(r.url(), opts...) }
			}, adaptertest.Abilities{})
		})
	}
}

func TestSuiteStreams(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for name, more := range map[string][]redis.StreamOption{
		"one stream":   nil,
		"four streams": {redis.StreamCount(4), redis.StreamReadCount(7)},
		"sharded":      {redis.StreamSharded()},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
				key := fmt.Sprintf("streams[%d]", clusters.Add(1))
				streams := redis.WithStreams(append([]redis.StreamOption{redis.StreamName(key)}, more...)...)
				return func() adapter.Backend { return redis.New(r.url(), redis.WithKey(key), streams) }
			}, adaptertest.Abilities{})
		})
	}
}

func TestSuiteStreamsRecovery(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for nodes := 1; nodes <= 3; nodes++ {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			adaptertest.RunRecovery(t, func(*testing.T) func() adapter.Backend {
				key := fmt.Sprintf("recovery[%d]", clusters.Add(1))
				streams := redis.WithStreams(redis.StreamName(key), redis.SessionKeyPrefix(key))
				return func() adapter.Backend { return redis.New(r.url(), redis.WithKey(key), streams) }
			}, nodes)
		})
	}
}
