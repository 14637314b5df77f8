package outbound_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

const threshold = 100

func compressor(level int) (*outbound.Compressor, *outbound.CompressionCounters) {
	counters := new(outbound.CompressionCounters)
	return outbound.NewCompressor(level, threshold, counters), counters
}

// inflated reads what frames with compressed ones among them say; those have a
// "z" before them.
func inflated(t *testing.T, b []byte) (got []string) {
	t.Helper()
	r := bytes.NewReader(b)
	for r.Len() > 0 {
		h, err := gobwas.ReadHeader(r)
		if err != nil || h.Masked || !h.Fin || h.Rsv2() || h.Rsv3() || h.Length > int64(r.Len()) {
			t.Fatalf("header %+v: %v", h, err)
		}
		p := make([]byte, h.Length)
		_, _ = r.Read(p)
		mark := ""
		if h.Rsv1() {
			mark = "z"
			p, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
			if err != nil {
				t.Fatal(err)
			}
		}
		got = append(got, fmt.Sprint(mark, h.OpCode, ":", string(p)))
	}
	return got
}

// noise returns n bytes that cannot be made fewer.
func noise(n int) []byte {
	rng := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return b
}

func TestDeflated(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name string
		m    *outbound.Message
		want string
		runs uint64
	}{
		{"short", message(strings.Repeat("x", threshold-2)), "1:4" + strings.Repeat("x", threshold-2), 0},
		{"as long as must be", message(strings.Repeat("x", threshold-1)), "z1:4" + strings.Repeat("x", threshold-1), 1},
		{"long", message(long), "z1:4" + long, 1},
		{"no smaller", message(string(noise(5000))), "1:4" + string(noise(5000)), 0},
		{"attachments", message("x", []byte(long), noise(300), []byte("short")), "1:4x|z2:" + long + "|2:" + string(noise(300)) + "|2:short", 1},
		{"text and attachment", message(long, []byte(long)), "z1:4" + long + "|z2:" + long, 2},
		{"many short ones", message("x", []byte("short"), []byte(long[:threshold-1])), "1:4x|2:short|2:" + long[:threshold-1], 0},
		{"binary", outbound.Binary(outbound.Flags{}, []byte(long), []byte("short")), "z2:" + long + "|2:short", 1},
		{"version 3", message("x", []byte(long)).Version3(false), "1:4x|z2:\x04" + long, 1},
		{"version 3 without binary", message("x", make([]byte, 3000)).Version3(true), "1:4x|z1:b4" + strings.Repeat("AAAA", 1000), 1},
		{"version 3 without attachments", message(long).Version3(false), "z1:4" + long, 1},
		{"a packet of the protocol", outbound.Packet("0" + long), "1:0" + long, 0},
		{"a control frame", outbound.Frame([]byte("\x89\x7d" + long[:125])), "9:" + long[:125], 0},
		{"not to be compressed", outbound.Finish(append(outbound.Start(0), long...), nil, outbound.Flags{NoCompress: true}), "1:4" + long, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, counters := compressor(1)
			for range 3 {
				if got := strings.Join(inflated(t, tt.m.Deflated(c)), "|"); got != tt.want {
					t.Errorf("%.80q", got)
				}
			}
			if n := counters.Compressions.Load(); n != tt.runs {
				t.Errorf("%d compressions, want %d", n, tt.runs)
			}
			if before, after := counters.BytesBefore.Load(), counters.BytesAfter.Load(); after > before || (before > 0) != (tt.runs > 0) {
				t.Errorf("%d bytes have become %d", before, after)
			}
			if &tt.m.Deflated(nil)[0] != &tt.m.Frames()[0] {
				t.Error("without a Compressor it is another form")
			}
		})
	}
}

func TestEveryLevelCanBeRead(t *testing.T) {
	text := strings.Repeat(`{"user":"somebody","text":"hello, world"},`, 2000)
	for level := 1; level <= 9; level++ {
		c, counters := compressor(level)
		if got := inflated(t, message(text).Deflated(c)); len(got) != 1 || got[0] != "z1:4"+text {
			t.Errorf("level %d: %.80q", level, got)
		}
		if before, after := counters.BytesBefore.Load(), counters.BytesAfter.Load(); before != uint64(len(text)+1) || after == 0 || after > before/20 {
			t.Errorf("level %d: %d bytes have become %d", level, before, after)
		}
	}
}

// All who want the compressed form of a message at the same time get the same
// bytes, of one compression.
func TestOneCompressionForAll(t *testing.T) {
	c, counters := compressor(1)
	var wg sync.WaitGroup
	for range 50 {
		m := message(strings.Repeat("x", 10_000))
		first := make(chan []byte, 16)
		for range cap(first) {
			wg.Go(func() { first <- m.Deflated(c) })
		}
		wg.Wait()
		close(first)
		want := m.Deflated(c)
		for got := range first {
			if &got[0] != &want[0] {
				t.Fatal("two forms of one message")
			}
		}
	}
	if n := counters.Compressions.Load(); n != 50 {
		t.Errorf("%d compressions of 50 messages", n)
	}
}

func TestPayloadFormats(t *testing.T) {
	c, counters := compressor(1)
	long := []byte(strings.Repeat("payload ", 20_000))
	read := func(r io.Reader, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	zipped := c.Gzip(long)
	zr, err := gzip.NewReader(bytes.NewReader(zipped))
	if got := read(zr, err); got != string(long) {
		t.Errorf("gzip: %.80q", got)
	}
	if n := binary.LittleEndian.Uint32(zipped[len(zipped)-4:]); n != uint32(len(long)) {
		t.Errorf("gzip: length %d", n)
	}
	r, err := zlib.NewReader(bytes.NewReader(c.Zlib(long)))
	if got := read(r, err); got != string(long) {
		t.Errorf("zlib: %.80q", got)
	}
	if n := counters.Compressions.Load(); n != 2 {
		t.Errorf("%d compressions", n)
	}
	for name, p := range map[string][]byte{"short": long[:threshold-1], "no smaller": noise(1000)} {
		if c.Gzip(p) != nil || c.Zlib(p) != nil {
			t.Errorf("%s: compressed", name)
		}
	}
	if same := bytes.Repeat([]byte("x"), threshold); c.Gzip(same) == nil || c.Gzip(same[1:]) != nil {
		t.Error("the threshold is another")
	}
}

func BenchmarkDeflated(b *testing.B) {
	c, _ := compressor(1)
	text := strings.Repeat(`{"user":"somebody","text":"hello, world"},`, 50)
	b.Run("first receiver", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			message(text).Deflated(c)
		}
	})
	b.Run("further receiver", func(b *testing.B) {
		b.ReportAllocs()
		m := message(text)
		for b.Loop() {
			m.Deflated(c)
		}
	})
}
