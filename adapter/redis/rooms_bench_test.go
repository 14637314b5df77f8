//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// The benchmarks of this file compare nodes that hear the pattern with nodes
// that subscribe to their rooms. Each has a redis-server of its own, and they
// take turns: an iteration is one turn of each, and what is reported is the
// median of the processor time, in µs, that Redis and all nodes together took
// for one message. docs/redis.md has a run of
//
//	go test ./adapter/redis -run xxx -bench Rooms -benchtime 9x

// ways are the two that are compared.
var ways = []struct {
	name string
	opts []redis.Option
}{
	{"pattern", nil},
	{"rooms", []redis.Option{redis.WithRoomSubscriptions(), redis.WithTimes(0, 0)}},
}

// fleet is some nodes and their Redis.
type fleet struct {
	name  string
	redis *process
	info  *goredis.Client
	nodes []*benchNode
	last  int // number of sockets made
}

type benchNode struct {
	backend *redis.Backend
	adapter adapter.Adapter
	host    *countingHost
}

// countingHost tells what is delivered on a node, markers apart.
type countingHost struct {
	adapter.Host
	markers atomic.Int64
	came    chan struct{} // has a token when an event has come
}

func (h *countingHost) Namespace() string { return "/" }

func (h *countingHost) Deliver(p *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
		if len(p.Args) < 10 {
			h.markers.Add(1)
		} else {
			select {
			case h.came <- struct{}{}:
			default:
			}
		}
		return
	}
}

type quietNode struct{}

func (quietNode) NodeID() string       { return "node" }
func (quietNode) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fleets starts one for each way, with a socket on each node.
func fleets(b *testing.B, nodes int) []*fleet {
	b.Helper()
	var all []*fleet
	for _, way := range ways {
		f := &fleet{name: way.name, redis: runProcess(b)}
		f.info = goredis.NewClient(&goredis.Options{Addr: f.redis.addr()})
		b.Cleanup(func() { _ = f.info.Close() })
		for range nodes {
			n := &benchNode{backend: redis.New(f.redis.url(), way.opts...), host: &countingHost{came: make(chan struct{}, 1)}}
			if err := n.backend.Start(quietNode{}); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = n.backend.Close(context.Background()) })
			a, err := n.backend.Open(n.host)
			if err != nil {
				b.Fatal(err)
			}
			n.adapter = a
			f.nodes = append(f.nodes, n)
		}
		for i, n := range f.nodes {
			f.join(n, fmt.Sprintf("member-of-node-%05d", i))
			if err := n.backend.Ready(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		all = append(all, f)
	}
	return all
}

// join lets a socket join rooms as the server does.
func (f *fleet) join(n *benchNode, id string, rooms ...string) *socket {
	s := &socket{id: id}
	n.adapter.Add(s, rooms...)
	if a, ok := n.adapter.(adapter.Settler); ok {
		a.Settle(append(rooms, id)...)
	}
	return s
}

func (f *fleet) emit(b *testing.B, args string, rooms ...string) {
	b.Helper()
	if err := f.nodes[0].adapter.Broadcast(&adapter.Packet{Args: []byte(args)}, adapter.Selector{Rooms: rooms}, adapter.Flags{}); err != nil {
		b.Fatal(err)
	}
}

// finish returns when all nodes have handled what was sent before.
func (f *fleet) finish(b *testing.B) {
	b.Helper()
	before := make([]int64, len(f.nodes))
	for i, n := range f.nodes {
		before[i] = n.host.markers.Load()
	}
	f.emit(b, `["m"]`)
	for i, n := range f.nodes {
		awaitCount(b, &n.host.markers, before[i]+1)
	}
}

func awaitCount(b *testing.B, count *atomic.Int64, want int64) {
	b.Helper()
	for begin := time.Now(); count.Load() < want; time.Sleep(50 * time.Microsecond) {
		if time.Since(begin) > patience {
			b.Fatalf("%d of %d messages came", count.Load(), want)
		}
	}
}

// cost is processor time in µs.
type cost struct{ redis, nodes float64 }

var cpuField = regexp.MustCompile(`used_cpu_(?:sys|user):([0-9.]+)`)

func (f *fleet) spent(b *testing.B) cost {
	b.Helper()
	info, err := f.info.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	var c cost
	for _, m := range cpuField.FindAllStringSubmatch(info, -1) {
		seconds, _ := strconv.ParseFloat(m[1], 64)
		c.redis += seconds * 1e6
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	c.nodes = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e3
	return c
}

// compare lets the fleets take turns, and reports the medians of what one of
// the operations of a turn costs.
func compare(b *testing.B, all []*fleet, operations int, turn func(*fleet)) {
	costs := make(map[string][]cost)
	for b.Loop() {
		for _, f := range all {
			runtime.GC() // so that a turn pays for its own garbage alone
			before := f.spent(b)
			turn(f)
			after := f.spent(b)
			costs[f.name] = append(costs[f.name], cost{
				(after.redis - before.redis) / float64(operations),
				(after.nodes - before.nodes) / float64(operations),
			})
		}
	}
	for _, f := range all {
		b.ReportMetric(median(costs[f.name], func(c cost) float64 { return c.redis }), f.name+"-redis-µs")
		b.ReportMetric(median(costs[f.name], func(c cost) float64 { return c.nodes }), f.name+"-nodes-µs")
	}
	b.ReportMetric(0, "ns/op")
}

func median[T any](values []T, of func(T) float64) float64 {
	numbers := make([]float64, len(values))
	for i, v := range values {
		numbers[i] = of(v)
	}
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}

const benchEvent = `["chat message","hello, this is a message of some 64 bytes, more or less"]`

// BenchmarkRoomsMessages: to all, to a room whose members are all on one other
// node, and to one socket there; in a burst, which Redis takes in pipelines, and
// one at a time, when it was delivered.
func BenchmarkRoomsMessages(b *testing.B) {
	const messages = 3000
	targets := []struct {
		name  string
		rooms []string
	}{{"all", nil}, {"room", []string{"room"}}, {"socket", []string{"member-of-node-00001"}}}
	for _, nodes := range []int{2, 4, 8} {
		for _, to := range targets {
			for _, pace := range []string{"burst", "single"} {
				b.Run(fmt.Sprintf("to=%s/nodes=%d/%s", to.name, nodes, pace), func(b *testing.B) {
					all := fleets(b, nodes)
					for _, f := range all {
						f.join(f.nodes[1], "guest", "room")
						f.finish(b)
					}
					compare(b, all, messages, func(f *fleet) {
						came := f.nodes[1].host.came
						select {
						case <-came: // of a burst
						default:
						}
						for range messages {
							f.emit(b, benchEvent, to.rooms...)
							if pace == "single" {
								<-came
							}
						}
						f.finish(b)
					})
				})
			}
		}
	}
}

// BenchmarkRoomsChurn: six sockets connect on the nodes in turn, join a room of
// theirs, and leave. The cost is that of one socket.
func BenchmarkRoomsChurn(b *testing.B) {
	const rooms, members = 300, 6
	for _, nodes := range []int{2, 4, 8} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			compare(b, fleets(b, nodes), rooms*members, func(f *fleet) {
				for range rooms {
					f.last++
					var here [members]*socket
					for i := range here {
						here[i] = f.join(f.nodes[i%nodes], fmt.Sprintf("socket-%06d-%06d", f.last, i), fmt.Sprint("room", f.last))
					}
					for i, s := range here {
						f.nodes[i%nodes].adapter.DelAll(s)
					}
				}
				f.finish(b)
			})
		})
	}
}

// BenchmarkRoomsMany: what 10,000 rooms take at Redis, and how long a node that
// has them needs to hear the last again when its connection was cut, which
// begins with a pause of 50 to 100 ms.
func BenchmarkRoomsMany(b *testing.B) {
	const rooms = 10_000
	all := fleets(b, 2)
	again, memory := make(map[string][]float64), make(map[string]float64)
	var names []string
	for i := range rooms {
		names = append(names, fmt.Sprintf("room-%06d", i))
	}
	for _, f := range all {
		before := f.memory(b)
		f.join(f.nodes[1], "guest", names...)
		f.finish(b)
		memory[f.name] = f.memory(b) - before
	}
	for b.Loop() {
		for _, f := range all {
			n, reconnects := f.nodes[1], f.nodes[1].backend.Stats().Reconnects
			if err := f.info.Do(b.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
				b.Fatal(err)
			}
			begin := time.Now()
			for n.backend.Stats().Reconnects == reconnects {
				time.Sleep(100 * time.Microsecond)
			}
			again[f.name] = append(again[f.name], float64(time.Since(begin).Microseconds())/1e3)
			for _, n := range f.nodes {
				if err := n.backend.Ready(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for _, f := range all {
		b.ReportMetric(memory[f.name]/rooms, f.name+"-redis-B/room")
		b.ReportMetric(median(again[f.name], func(ms float64) float64 { return ms }), f.name+"-again-ms")
	}
	b.ReportMetric(0, "ns/op")
}

var memoryField = regexp.MustCompile(`used_memory:([0-9]+)`)

// memory returns what Redis uses, in bytes.
func (f *fleet) memory(b *testing.B) float64 {
	b.Helper()
	info, err := f.info.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	bytes, _ := strconv.ParseFloat(memoryField.FindStringSubmatch(info)[1], 64)
	return bytes
}
