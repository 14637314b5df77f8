package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// space is a namespace of a node that has no clients.
type space struct{ counter }

func (*space) Namespace() string { return "/" }

// bus is a node of a cluster, without a server on it.
type bus struct {
	adapter.Backend
	id    string
	space adapter.Adapter
}

func (b *bus) NodeID() string       { return b.id }
func (b *bus) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startNodes starts n nodes in this process, which hear each other.
func startNodes(n int, url string, opts ...redis.Option) ([]*bus, error) {
	nodes := make([]*bus, n)
	for i := range nodes {
		b := &bus{Backend: redis.New(url, opts...), id: fmt.Sprintf("node%d", i)}
		nodes[i] = b
		if err := b.Start(b); err != nil {
			return nil, err
		}
		var err error
		if b.space, err = b.Open(new(space)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, b := range nodes {
		if err := b.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func stopNodes(nodes []*bus) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, b := range nodes {
		_ = b.Close(ctx)
	}
}

// measureNodes measures what a node costs the others, and what it costs to be
// one.
func measureNodes() ([]growth, error) {
	server, url, err := startRedis()
	if err != nil {
		return nil, err
	}
	defer server.stop()
	heard := growth{name: "a broadcast, for each node that hears it and has no receiver", of: "nodes", unit: "ns of CPU"}
	idle := growth{name: "an idle node, Pub/Sub", of: "nodes", unit: "µs of CPU per second"}
	streams := growth{name: "an idle node, Streams", of: "nodes", unit: "µs of CPU per second"}
	for _, n := range []int{2, 4, 8, 16, 32} {
		nodes, err := startNodes(n, url)
		if err != nil {
			return nil, err
		}
		cost, err := heardBy(nodes)
		if err == nil {
			heard.points = append(heard.points, point{float64(n), cost})
			idle.points = append(idle.points, point{float64(n), idleCost(n)})
		}
		stopNodes(nodes)
		if err != nil {
			return nil, err
		}
		if nodes, err = startNodes(n, url, redis.WithStreams(redis.StreamName("growth"))); err != nil {
			return nil, err
		}
		streams.points = append(streams.points, point{float64(n), idleCost(n)})
		stopNodes(nodes)
	}
	return []growth{heard, idle, streams}, nil
}

// heardBy lets the first node publish, and returns the time of all nodes for one
// one message, in nanoseconds for each of them. What the publisher needs is
func heardBy(nodes []*bus) (float64, error) {
	const messages = 5000
	packet := &adapter.Packet{Args: []byte(`["msg","0123456789abcdef0123456789abcdef0123456789abcdef0123456789"]`)}
	began := used()
	for i := range messages {
		if err := nodes[0].space.Broadcast(packet, adapter.Selector{}, adapter.Flags{}); err != nil {
			return 0, err
		}
		if i%500 == 499 { // less than the backlog waits
			if err := allHeard(nodes, uint64(i+1)); err != nil {
				return 0, err
			}
		}
	}
	return float64((used() - began).Nanoseconds()) / messages / float64(len(nodes)-1), nil
}

func allHeard(nodes []*bus, n uint64) error {
	deadline := time.Now().Add(time.Minute)
	for _, b := range nodes[1:] {
		for b.Stats().Received < n {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s has heard %d messages of %d", b.id, b.Stats().Received, n)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// idleCost returns the microseconds of CPU that a node of this process needs in
// a second in which nothing happens.
func idleCost(n int) float64 {
	const seconds = 5
	time.Sleep(time.Second)
	began := used()
	time.Sleep(seconds * time.Second)
	return float64((used() - began).Microseconds()) / seconds / float64(n)
}
