// Package family has the flags by which the programs of the tests choose their cluster.
package family

import (
	"cmp"
	"flag"
	"fmt"
	"strings"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/pysocketio"
	"github.com/roomspan/roomspan/adapter/redis"
)

// Flags say which cluster a program is in.
type Flags struct {
	URL, Name, Mode, Key string
	Specific             bool
}

// Define makes them flags of the command line.
func (f *Flags) Define() {
	flag.StringVar(&f.URL, "redis", "", "URL of the Redis that joins the nodes; none: in-memory")
	flag.StringVar(&f.Name, "adapter", "redis",
		"family of the cluster, with -redis: redis, rooms, sharded, streams, python, python-one, python-old; several with + between them")
	flag.StringVar(&f.Mode, "mode", "dynamic", "subscription mode of the family sharded")
	flag.StringVar(&f.Key, "key", "", "what the names of channels and streams begin with, but for python; none: the default")
	flag.BoolVar(&f.Specific, "specific", false, "answer on the channel of the node that asks, in the families redis and rooms")
}

// Backend returns the back-end that the flags name.
func (f *Flags) Backend() (adapter.Backend, error) {
	var all []adapter.Backend
	for name := range strings.SplitSeq(f.Name, "+") {
		b, err := f.one(name)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return adapter.Join(all...), nil
}

func (f *Flags) one(name string) (adapter.Backend, error) {
	var opts []redis.Option
	if f.Key != "" {
		opts = append(opts, redis.WithKey(f.Key))
	}
	if f.Specific {
		opts = append(opts, redis.WithSpecificResponseChannel())
	}
	switch name {
	case "redis":
	case "rooms":
		opts = append(opts, redis.WithRoomSubscriptions())
	case "sharded":
		opts = append(opts, redis.WithSharded(redis.SubscriptionMode(f.Mode)))
	case "streams":
		opts = append(opts, redis.WithStreams(redis.StreamName(cmp.Or(f.Key, "socket.io"))))
	case "python":
		return pysocketio.New(f.URL), nil
	case "python-one":
		return pysocketio.New(f.URL, pysocketio.WithOneArgument()), nil
	case "python-old":
		return pysocketio.New(f.URL, pysocketio.WithPickle()), nil
	default:
		return nil, fmt.Errorf("-adapter %q: there is no such family", name)
	}
	return redis.New(f.URL, opts...), nil
}
