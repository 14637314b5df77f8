package redis

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// benchHost is asked for nothing but its name: nobody is connected.
type benchHost struct{ adapter.Host }

func (benchHost) Namespace() string { return "/" }

func benchNamespace() *namespace {
	return newNamespace(&Backend{config: newConfig(nil)}, benchHost{})
}

var benchMessage = &cluster.Message{
	Type:     cluster.Broadcast,
	Packet:   packet(`["chat message","hello, this is a message of some 64 bytes, more or less"]`),
	Selector: adapter.Selector{Rooms: []string{"room1"}},
}

func BenchmarkEncodeBroadcast(b *testing.B) {
	n := benchNamespace()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := n.encode(make([]byte, 0, 256), benchMessage); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive shows what messages cost that no socket of this node wants.
func BenchmarkReceive(b *testing.B) {
	n, other := benchNamespace(), benchNamespace()
	room, fromOther, err := other.encode(nil, benchMessage)
	if err != nil {
		b.Fatal(err)
	}
	_, fromHere, err := n.encode(nil, benchMessage)
	if err != nil {
		b.Fatal(err)
	}
	for name, m := range map[string]*goredis.Message{
		"room of nobody": {Pattern: n.pattern, Channel: room, Payload: string(fromOther)},
		"own":            {Pattern: n.pattern, Channel: n.broadcast, Payload: string(fromHere)},
		"namespace":      {Pattern: n.pattern, Channel: n.broadcast, Payload: string(fromOther)},
		"answer to another": {Channel: n.response, Payload: `{"requestId":"` + other.ids +
			`1","sockets":[{"id":"a","handshake":{},"rooms":["a"],"data":{}}]}`},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := n.receive(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
