package ws_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/ws"
)

// deflate compresses a message as a client does.
func deflate(s string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, s)
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// deflated returns a masked frame with RSV1.
func deflated(fin bool, op gobwas.OpCode, payload string) string {
	f := gobwas.NewFrame(op, fin, []byte(payload))
	f.Header.Rsv = gobwas.Rsv(true, false, false)
	return string(gobwas.MustCompileFrame(gobwas.MaskFrameWith(f, [4]byte{1, 2, 3, 4})))
}

// incompressible returns n bytes of which flate can make no fewer.
func incompressible(n int) string {
	rng := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return string(b)
}

// The examples with "Hello" are those of RFC 7692, section 7.2.3.
func TestDeflatedMessages(t *testing.T) {
	long, random := strings.Repeat("lång ", 16_000), incompressible(90_000)
	half := deflate(long)[:40]
	for _, tt := range []struct{ name, raw, want string }{
		{"one block", deflated(true, gobwas.OpText, "\xf2\x48\xcd\xc9\xc9\x07\x00"), "t:Hello"},
		{"a block that is not compressed", deflated(true, gobwas.OpText, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "t:Hello"},
		{"a last block", deflated(true, gobwas.OpText, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "t:Hello"},
		{"two blocks", deflated(true, gobwas.OpText, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "t:Hello"},
		{"two frames", deflated(false, gobwas.OpText, "\xf2\x48\xcd") + frame(true, gobwas.OpContinuation, "\xc9\xc9\x07\x00"), "t:Hello"},
		{"empty", deflated(true, gobwas.OpText, "\x00"), "t:"},
		{"not compressed", frame(true, gobwas.OpBinary, "plain"), "b:plain"},
		{"long", deflated(true, gobwas.OpText, deflate(long)), "t:" + long},
		{"random", deflated(true, gobwas.OpBinary, deflate(random)), "b:" + random},
		{"a ping between", deflated(false, gobwas.OpText, half) + frame(true, gobwas.OpPing, "p") +
			frame(true, gobwas.OpContinuation, strings.TrimPrefix(deflate(long), half)), "ping:p t:" + long},
		{"as long as may be", deflated(true, gobwas.OpText, deflate(strings.Repeat("m", options.MaxMessage))),
			"t:" + strings.Repeat("m", options.MaxMessage)},
	} {
		for name, p := range pairs {
			t.Run(tt.name+" by "+name, func(t *testing.T) {
				raw := text("before") + tt.raw + text("behind")
				for _, chunks := range [][]string{{raw}, {raw[:5], raw[5:]}, {raw[:20], raw[20:]}, {raw[:len(raw)-13], raw[len(raw)-13:]}} {
					c, err := serveBy(t, ws.NewDeflateConn, p, "", chunks)
					if got := strings.Join(c.got, " "); !errors.Is(err, io.EOF) || got != "t:before "+tt.want+" t:behind" {
						t.Errorf("got %.100q, %v", got, err)
					}
				}
			})
		}
	}
}

func TestDeflatedViolations(t *testing.T) {
	twice := strings.Repeat("context ", 20)
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, twice)
	_ = w.Flush()
	b.Reset()
	_, _ = io.WriteString(w, twice) // refers to what the server has forgotten
	_ = w.Flush()
	for _, tt := range []struct {
		name, raw string
		code      int
	}{
		{"second reserved bit", "\xa1\x80\x01\x02\x03\x04", 1002},
		{"first and third reserved bit", "\xd1\x80\x01\x02\x03\x04", 1002},
		{"compressed ping", deflated(true, gobwas.OpPing, ""), 1002},
		{"compressed close", deflated(true, gobwas.OpClose, ""), 1002},
		{"compressed continuation", deflated(false, gobwas.OpText, "") + deflated(true, gobwas.OpContinuation, ""), 1002},
		{"compressed continuation of what is not", frame(false, gobwas.OpText, "") + deflated(true, gobwas.OpContinuation, ""), 1002},
		{"reserved block type", deflated(true, gobwas.OpText, "\x07"), 1007},
		{"no deflate data", deflated(true, gobwas.OpText, "hello, world"), 1007},
		{"without a byte", deflated(true, gobwas.OpBinary, ""), 1007},
		{"cut short", deflated(true, gobwas.OpText, deflate(incompressible(1000))[:500]), 1007},
		{"with reference to the message before", deflated(true, gobwas.OpText, b.String()[:b.Len()-4]), 1007},
		{"text that is no UTF-8", deflated(true, gobwas.OpText, deflate("a\xff")), 1007},
		{"one byte too long", deflated(true, gobwas.OpText, deflate(strings.Repeat("m", options.MaxMessage+1))), 1009},
		{"too long before it is decompressed", deflated(true, gobwas.OpText, incompressible(options.MaxMessage+1)), 1009},
		{"bomb", deflated(true, gobwas.OpText, deflate(strings.Repeat("\x00", 50<<20))), 1009},
		{"bomb in fragments", deflated(false, gobwas.OpText, deflate(strings.Repeat("\x00", 50<<20))) + frame(true, gobwas.OpContinuation, ""), 1009},
	} {
		for name, p := range pairs {
			t.Run(tt.name+" by "+name, func(t *testing.T) {
				c, err := serveBy(t, ws.NewDeflateConn, p, "", []string{text("before") + tt.raw})
				var ce *ws.CloseError
				if !errors.As(err, &ce) || ce.Code != tt.code || ce.Remote {
					t.Errorf("error %v, want code %d", err, tt.code)
				}
				if fmt.Sprint(c.got) != "[t:before]" {
					t.Errorf("got %.100q", c.got)
				}
			})
		}
	}
}

// What decompresses to 50 MB is given up at the longest message, and no more
// than a few times that is allocated on the way.
func TestBombAllocatesNoMoreThanTheLimit(t *testing.T) {
	raw := []byte(deflated(true, gobwas.OpBinary, deflate(strings.Repeat("\x00", 50<<20))))
	serve := func() error {
		return ws.NewDeflateConn(&feed{raw: raw, size: len(raw)}, nil, options).Serve(new(collector))
	}
	_ = serve() // fills the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := serve()
	runtime.ReadMemStats(&after)
	var ce *ws.CloseError
	if !errors.As(err, &ce) || ce.Code != 1009 {
		t.Errorf("error %v", err)
	}
	if n := int(after.TotalAlloc - before.TotalAlloc); n > 8*options.MaxMessage {
		t.Errorf("%d bytes allocated with a limit of %d", n, options.MaxMessage)
	}
}

func FuzzDeflatedReader(f *testing.F) {
	f.Add([]byte(deflated(true, gobwas.OpText, deflate(strings.Repeat("hello ", 1000)))), uint16(7))
	f.Add([]byte(deflated(false, gobwas.OpText, "\xf2\x48\xcd")+frame(true, gobwas.OpContinuation, "\xc9\xc9\x07\x00")), uint16(1))
	f.Add([]byte(deflated(true, gobwas.OpText, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")+text("x")), uint16(3))
	f.Add([]byte(deflated(true, gobwas.OpBinary, deflate(incompressible(5000)))), uint16(1000))
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		read := func(size int) string {
			c := new(collector)
			err := ws.NewDeflateConn(&feed{raw: bytes.Clone(raw), size: size}, nil, options).Serve(c)
			if err == nil {
				t.Fatal("Serve ended without an error")
			}
			for _, m := range c.got {
				if len(m) > options.MaxMessage+len("ping:") {
					t.Fatalf("a message of %d bytes", len(m))
				}
			}
			return fmt.Sprint(c.got, err)
		}
		whole, chunked := read(len(raw)+1), read(int(size)+1)
		if whole != chunked {
			t.Fatalf("at once: %.300q\nin chunks: %.300q", whole, chunked)
		}
	})
}

// FuzzInflate makes the payload of the frame the input, and holds the result
// against the flate of the standard library.
func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "\x07", deflate(strings.Repeat("a", 200_000))} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > 50_000 {
			t.Skip()
		}
		frame := deflated(true, gobwas.OpBinary, string(payload))
		c := new(collector)
		err := ws.NewDeflateConn(&feed{raw: []byte(frame), size: 1 << 20}, nil, options).Serve(c)
		r := flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
		want, werr := io.ReadAll(io.LimitReader(r, int64(options.MaxMessage)+1))
		var ce *ws.CloseError
		switch {
		case len(want) > options.MaxMessage:
			if !errors.As(err, &ce) || ce.Code != 1009 && ce.Code != 1007 {
				t.Fatalf("too long: %v", err)
			}
		case werr != nil:
			if !errors.As(err, &ce) || ce.Code != 1007 {
				t.Fatalf("%v, want %v", err, werr)
			}
		case len(c.got) != 1 || c.got[0] != "b:"+string(want):
			t.Fatalf("got %.100q, want %.100q, %v", c.got, want, err)
		}
	})
}

func BenchmarkServeDeflated(b *testing.B) {
	raw := []byte(deflated(true, gobwas.OpText, deflate(strings.Repeat(`{"message":"hello world"},`, 100))))
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	_ = ws.NewDeflateConn(&endless{raw: raw, n: b.N}, nil, options).Serve(discard{})
}
