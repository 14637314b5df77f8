package redis

import (
	"log/slog"
	"testing"
)

// BenchmarkPublish shows what a message costs whoever publishes it, encoding
// included, while the connection stands.
func BenchmarkPublish(b *testing.B) {
	backend := &Backend{config: newConfig(nil)}
	queue := newQueue(backend.config.backlogMessages, backend.config.backlogBytes)
	backend.link = newLink(slog.New(slog.DiscardHandler), &backend.feed, queue)
	backend.link.hears = true
	backend.link.up(0, 0)
	backend.publisher = newPublisher(nil, queue, backend.link, nil, backend.config)
	n := newNamespace(backend, benchHost{})
	var batch []outgoing
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Publish(benchMessage); err != nil {
			b.Fatal(err)
		}
		batch = backend.publisher.queue.take(batch[:0], 1, 1<<20)
	}
}
