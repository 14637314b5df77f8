package redis

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

func benchStreamNamespace() *streamNamespace {
	return newStreamNamespace(&Backend{config: newConfig([]Option{WithStreams()})}, benchHost{})
}

func BenchmarkEncodeEntry(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := appendEntryData(make([]byte, 0, 256), benchMessage, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceiveEntry shows what entries cost that no socket of this node
// wants.
func BenchmarkReceiveEntry(b *testing.B) {
	data, err := appendEntryData(nil, benchMessage, false)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"own", "of another"} {
		b.Run(name, func(b *testing.B) {
			n := benchStreamNamespace()
			uid := n.uid
			if name != "own" {
				uid = "another"
			}
			e := goredis.XMessage{ID: "1700000000000-0", Values: map[string]any{"uid": uid, "nsp": "/", "type": "3", "data": string(data)}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.receiveEntry(newStreamItem(streamID{1700000000000, 0}, &e)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
