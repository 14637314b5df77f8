package main

import (
	"fmt"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/pysocketio"
	"github.com/roomspan/roomspan/adapter/redis"
)

// backend returns that of the family that the flags name.
func (f flags) backend() (adapter.Backend, error) {
	switch f.adapter {
	case "redis":
		return redis.New(f.redis), nil
	case "rooms":
		return redis.New(f.redis, redis.WithRoomSubscriptions()), nil
	case "sharded":
		return redis.New(f.redis, redis.WithSharded(redis.SubscriptionMode(f.mode))), nil
	case "streams":
		return redis.New(f.redis, redis.WithStreams()), nil
	case "python":
		return pysocketio.New(f.redis), nil
	case "python-one":
		return pysocketio.New(f.redis, pysocketio.WithOneArgument()), nil
	case "python-old":
		return pysocketio.New(f.redis, pysocketio.WithPickle()), nil
	case "redis+python-old":
		return adapter.Join(redis.New(f.redis), pysocketio.New(f.redis, pysocketio.WithPickle())), nil
	default:
		return nil, fmt.Errorf("-adapter %q: there is no such family", f.adapter)
	}
}
