package args_test

import (
	"testing"

	"github.com/roomspan/roomspan/server/internal/args"
)

type message struct {
	Room string   `json:"room"`
	Text string   `json:"text"`
	Tags []string `json:"tags"`
	Seq  int      `json:"seq"`
}

type upload struct {
	Name string         `json:"name"`
	Data []byte         `json:"data"`
	Meta map[string]any `json:"meta"`
}

var (
	aMessage = message{"lobby", "hello, how are you?", []string{"a", "b"}, 42}
	aMap     = map[string]any{"room": "lobby", "text": "hello, how are you?", "tags": []any{"a", "b"}, "seq": 42.0}
	aFile    = make([]byte, 64<<10)
	anUpload = upload{"file", aFile, map[string]any{"type": "image"}}
)

var encodings = []struct {
	name   string
	args   []any
	allocs float64 // the bound that is held
}{
	{"string", []any{"str"}, 2},
	{"numbers", []any{1, 2.5, true, nil}, 2},
	{"bytes", []any{aFile}, 3},
	{"map", []any{aMap}, 2},
	{"struct", []any{aMessage}, 2},
	{"struct pointer", []any{&aMessage}, 2},
	{"struct with bytes", []any{&anUpload}, 3},
}

var decodings = []struct {
	name        string
	raw         string
	attachments [][]byte
	dst         func() any
	allocs      float64
}{
	{"string", `"hello, how are you?"`, nil, func() any { return new(string) }, 1},
	{"int", `42`, nil, func() any { return new(int) }, 0},
	{"any string", `"hello, how are you?"`, nil, func() any { return new(any) }, 2},
	{"bytes", `{"_placeholder":true,"num":0}`, [][]byte{aFile}, func() any { return new([]byte) }, 1},
	{"any bytes", `{"_placeholder":true,"num":0}`, [][]byte{aFile}, func() any { return new(any) }, 2},
	{"struct", `{"room":"lobby","text":"hello, how are you?","tags":["a","b"],"seq":42}`, nil, func() any { return new(message) }, 12},
	{"struct with bytes", `{"name":"file","data":{"_placeholder":true,"num":0},"meta":{"type":"image"}}`, [][]byte{aFile}, func() any { return new(upload) }, 30},
}

func TestAllocations(t *testing.T) {
	for _, tc := range encodings {
		got := testing.AllocsPerRun(200, func() { _, _ = args.Codec{}.EncodeEvent("event", tc.args) })
		// The race detector empties pools at random.
		if got > tc.allocs && !raceEnabled {
			t.Errorf("encode %s: %v allocations, want %v", tc.name, got, tc.allocs)
		}
	}
	for _, tc := range decodings {
		raw, dst := []byte(tc.raw), tc.dst()
		got := testing.AllocsPerRun(200, func() {
			if p, ok := dst.(*any); ok {
				*p = nil
			}
			_ = args.Codec{}.Decode(raw, tc.attachments, dst)
		})
		if got > tc.allocs && !raceEnabled {
			t.Errorf("decode %s: %v allocations, want %v", tc.name, got, tc.allocs)
		}
	}
}

func BenchmarkEncodeEvent(b *testing.B) {
	for _, tc := range encodings {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = args.Codec{}.EncodeEvent("event", tc.args)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, tc := range decodings {
		b.Run(tc.name, func(b *testing.B) {
			raw, dst := []byte(tc.raw), tc.dst()
			b.ReportAllocs()
			for b.Loop() {
				if p, ok := dst.(*any); ok {
					*p = nil
				}
				_ = args.Codec{}.Decode(raw, tc.attachments, dst)
			}
		})
	}
}
