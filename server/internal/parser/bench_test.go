package parser_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/parser"
)

// texts are what the benchmarks and the tests of allocations decode.
var texts = []struct{ name, text string }{
	{"small", `42["message","hello world",{"a":1}]`},
	{"ack", `4312["ok"]`},
	{"namespace", `42/admin,7["message","hello world",{"a":1}]`},
	{"binary", `452-["image",{"_placeholder":true,"num":0},{"data":{"_placeholder":true,"num":1}}]`},
	{"number", `42[1,"x"]`},
	{"long", `42["message","` + strings.Repeat("hello world ", 400) + `"]`},
	{"objects", `42["message",[` + strings.Repeat(`{"id":12345,"name":"Ada","tags":["a","b"],"ok":true},`, 100) + `null]]`},
	{"cyrillic", `42["message","` + strings.Repeat("привет мир ", 400) + `"]`},
}

func init() {
	for i := range texts {
		texts[i].text = strings.TrimPrefix(texts[i].text, "4") // the type of the Engine.IO packet
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, tt := range texts {
		b.Run(tt.name, func(b *testing.B) {
			text := []byte(tt.text)
			var room [4]parser.Span
			p := parser.Packet{Elements: room[:0]}
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := p.Decode(text, parser.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJSONValid is what the standard library needs for the proof alone.
func BenchmarkJSONValid(b *testing.B) {
	for _, tt := range texts {
		b.Run(tt.name, func(b *testing.B) {
			text := []byte(tt.text[strings.IndexByte(tt.text, '['):])
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !json.Valid(text) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

func BenchmarkAppendText(b *testing.B) {
	p := parser.Packet{Type: parser.Event, Namespace: "/admin", ID: 7, HasID: true, Data: []byte(`["message","hello world",{"a":1}]`)}
	dst := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		dst = parser.AppendText(dst[:0], &p)
	}
}
