package outbound_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

// A broadcast to old clients: what a message costs for the first of them and
// for each further one.
func BenchmarkVersion3(b *testing.B) {
	attachment := bytes.Repeat([]byte("binary"), 1000)
	text := strings.Repeat(`{"user":"somebody","text":"hello, world"},`, 20)
	c, _ := compressor(1)
	var payload []byte
	for _, bb := range []struct {
		name string
		do   func(*outbound.Message)
	}{
		{"websocket", func(m *outbound.Message) { m.Version3(false).Frames() }},
		{"websocket in base64", func(m *outbound.Message) { m.Version3(true).Frames() }},
		{"websocket with compression", func(m *outbound.Message) { m.Version3(false).Deflated(c) }},
		{"polling", func(m *outbound.Message) {
			payload, _ = outbound.AppendPayload3(payload[:0], []*outbound.Message{m}, false)
		}},
		{"polling in base64", func(m *outbound.Message) {
			payload, _ = outbound.AppendPayload3(payload[:0], []*outbound.Message{m}, true)
		}},
	} {
		b.Run(bb.name+"/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bb.do(message(text, attachment))
			}
		})
		b.Run(bb.name+"/further", func(b *testing.B) {
			b.ReportAllocs()
			m := message(text, attachment)
			for b.Loop() {
				bb.do(m)
			}
		})
	}
	b.Run("polling of text/further", func(b *testing.B) {
		b.ReportAllocs()
		m := message(text)
		for b.Loop() {
			payload, _ = outbound.AppendPayload3(payload[:0], []*outbound.Message{m}, false)
		}
	})
}
