package redis

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

func benchSharded() *shardedNamespace {
	return newShardedNamespace(&Backend{config: newConfig([]Option{WithSharded(Static)})}, benchHost{})
}

func BenchmarkEncodeSharded(b *testing.B) {
	n := benchSharded()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := appendClusterMessage(make([]byte, 0, sizeOf(benchMessage)), n.envelope, benchMessage); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceiveSharded shows what messages cost that no socket of this node
// wants.
func BenchmarkReceiveSharded(b *testing.B) {
	n, other := benchSharded(), benchSharded()
	binary := *benchMessage
	binary.Packet = &adapter.Packet{Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 64)}}
	for _, bb := range []struct {
		name string
		from *shardedNamespace
		m    *cluster.Message
	}{{"own", n, benchMessage}, {"JSON", other, benchMessage}, {"msgpack", other, &binary}} {
		payload, err := appendClusterMessage(nil, bb.from.envelope, bb.m)
		if err != nil {
			b.Fatal(err)
		}
		m := &goredis.Message{Channel: n.main, Payload: string(payload)}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := n.receive(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
