package ws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/server/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var options = &ws.Options{MaxMessage: 100_000, MaxFragments: 8, WriteTimeout: 5 * time.Second}

// collector notes what Serve hands over.
type collector struct {
	got     []string
	batches int
}

func (c *collector) Message(binary bool, data []byte) error {
	kind := "t:"
	if binary {
		kind = "b:"
	}
	c.got = append(c.got, kind+string(data))
	clear(data) // the handler may write to it
	return nil
}

func (c *collector) Ping(payload []byte) error {
	c.got = append(c.got, "ping:"+string(payload))
	return nil
}

func (c *collector) BatchEnd() bool { c.batches++; return false }

// frame returns a masked frame of a client.
func frame(fin bool, op gobwas.OpCode, payload string) string {
	f := gobwas.NewFrame(op, fin, []byte(payload))
	return string(gobwas.MustCompileFrame(gobwas.MaskFrameWith(f, [4]byte{1, 2, 3, 4})))
}

func text(s string) string { return frame(true, gobwas.OpText, s) }

// pair returns two ends of a connection.
type pair func(t *testing.T) (server, client net.Conn)

func pipe(*testing.T) (server, client net.Conn) { return net.Pipe() }

func tcp(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

var pairs = map[string]pair{"pipe": pipe, "tcp": tcp}

// serve feeds a connection with chunks, and returns what came of them.
func serve(t *testing.T, p pair, early string, chunks []string) (*collector, error) {
	t.Helper()
	return serveBy(t, ws.NewConn, p, early, chunks)
}

func serveBy(t *testing.T, newConn func(net.Conn, []byte, *ws.Options) *ws.Conn, p pair, early string, chunks []string) (*collector, error) {
	t.Helper()
	server, client := p(t)
	defer server.Close()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		defer client.Close()
		for _, c := range chunks {
			if _, err := io.WriteString(client, c); err != nil {
				return // the server has had enough
			}
		}
	}()
	c := new(collector)
	err := newConn(server, []byte(early), options).Serve(c)
	server.Close()
	<-fed
	return c, err
}

func TestViolations(t *testing.T) {
	const mask = "\x01\x02\x03\x04"
	for _, tt := range []struct {
		name, raw string
		code      int
	}{
		{"unmasked", "\x81\x01x", 1002},
		{"first reserved bit", "\xc1\x80" + mask, 1002},
		{"second reserved bit", "\xa1\x80" + mask, 1002},
		{"third reserved bit", "\x91\x80" + mask, 1002},
		{"reserved data opcode", "\x83\x80" + mask, 1002},
		{"reserved control opcode", "\x8b\x80" + mask, 1002},
		{"fragmented ping", "\x09\x80" + mask, 1002},
		{"long ping", "\x89\xfe\x00\x7e" + mask, 1002},
		{"lone continuation", "\x80\x80" + mask, 1002},
		{"text within a message", frame(false, gobwas.OpText, "a") + text("b"), 1002},
		{"length with the top bit", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01" + mask, 1002},
		{"length of all ones", "\x81\xff" + strings.Repeat("\xff", 8) + mask, 1002},
		{"too long", "\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1" + mask, 1009},
		{"longest length", "\x82\xff\x7f" + strings.Repeat("\xff", 7) + mask, 1009},
		{"too long by fragments", frame(false, gobwas.OpBinary, strings.Repeat("x", 60_000)) + frame(true, gobwas.OpContinuation, strings.Repeat("x", 60_000)), 1009},
		{"too many fragments", frame(false, gobwas.OpText, "a") + strings.Repeat(frame(false, gobwas.OpContinuation, ""), 8), 1009},
		{"text that is no UTF-8", text("a\xff"), 1007},
		{"UTF-8 cut short", text("\xc3"), 1007},
		{"close with one byte", frame(true, gobwas.OpClose, "\x03"), 1002},
		{"close code 0", frame(true, gobwas.OpClose, "\x00\x00"), 1002},
		{"close code 999", frame(true, gobwas.OpClose, "\x03\xe7"), 1002},
		{"close code 1004", frame(true, gobwas.OpClose, "\x03\xec"), 1002},
		{"close code 1005", frame(true, gobwas.OpClose, "\x03\xed"), 1002},
		{"close code 1006", frame(true, gobwas.OpClose, "\x03\xee"), 1002},
		{"close code 2999", frame(true, gobwas.OpClose, "\x0b\xb7"), 1002},
		{"close code 5000", frame(true, gobwas.OpClose, "\x13\x88"), 1002},
		{"close reason that is no UTF-8", frame(true, gobwas.OpClose, "\x03\xe8\xff"), 1007},
	} {
		for name, p := range pairs {
			t.Run(tt.name+" by "+name, func(t *testing.T) {
				c, err := serve(t, p, "", []string{text("before") + tt.raw})
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

func TestCloseOfThePeer(t *testing.T) {
	for payload, code := range map[string]int{"": 1005, "\x03\xe8": 1000, "\x03\xe9bye": 1001, "\x0b\xb8": 3000, "\x13\x87": 4999} {
		_, err := serve(t, pipe, "", []string{frame(true, gobwas.OpClose, payload) + text("ignored")})
		var ce *ws.CloseError
		if !errors.As(err, &ce) || ce.Code != code || !ce.Remote {
			t.Errorf("%q: %v", payload, err)
		}
	}
	if _, err := serve(t, tcp, "", []string{text("a")}); !errors.Is(err, io.EOF) {
		t.Errorf("without a close frame: %v", err)
	}
}

// conversation is valid input of every shape, and what it says.
func conversation() (raw string, want []string) {
	add := func(r string, w ...string) {
		raw += r
		want = append(want, w...)
	}
	for _, n := range []int{0, 1, 125, 126, 127, 4080, 4081, 4082, 4083, 4084, 4085, 4086, 4090, 4096, 5000, 65535, 65536, 100_000} {
		s := strings.Repeat("m", n)
		add(text(s), "t:"+s)
	}
	add(frame(true, gobwas.OpBinary, "\xff\x00"), "b:\xff\x00")
	add(frame(true, gobwas.OpPing, "p"), "ping:p")
	add(frame(true, gobwas.OpPong, "unasked"))
	long := strings.Repeat("ü", 10_000)
	add(frame(false, gobwas.OpText, long[:3])+frame(true, gobwas.OpPing, "between")+
		frame(false, gobwas.OpContinuation, long[3:9001])+frame(false, gobwas.OpContinuation, "")+
		frame(true, gobwas.OpContinuation, long[9001:]), "ping:between", "t:"+long)
	add(text("end"), "t:end")
	return raw, want
}

func TestEveryChunkingSaysTheSame(t *testing.T) {
	raw, want := conversation()
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(most int) (chunks []string) {
		for rest := raw; rest != ""; {
			n := min(1+rng.IntN(most), len(rest))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		return chunks
	}
	for name, p := range pairs {
		for i, chunks := range [][]string{{raw}, random(8), random(300), random(5000), random(70_000)} {
			t.Run(fmt.Sprint(name, " ", i), func(t *testing.T) {
				for _, early := range []int{0, 3, 200, 4096, 9000} {
					c, err := serve(t, p, raw[:early], append([]string{}, cut(chunks, early)...))
					if !errors.Is(err, io.EOF) {
						t.Fatal(err)
					}
					if fmt.Sprint(c.got) != fmt.Sprint(want) {
						t.Fatalf("early %d: what was read differs: %d messages, want %d", early, len(c.got), len(want))
					}
				}
			})
		}
	}
}

// cut drops the first n bytes of chunks.
func cut(chunks []string, n int) []string {
	for n > 0 && len(chunks) > 0 && n >= len(chunks[0]) {
		n -= len(chunks[0])
		chunks = chunks[1:]
	}
	if n > 0 {
		chunks = append([]string{chunks[0][n:]}, chunks[1:]...)
	}
	return chunks
}

func TestBatchEndOnceForWhatCameTogether(t *testing.T) {
	server, client := tcp(t)
	defer server.Close()
	if _, err := io.WriteString(client, strings.Repeat(text("x"), 10)); err != nil {
		t.Fatal(err)
	}
	client.Close()
	time.Sleep(50 * time.Millisecond) // so that all of it is there; else there are more batches, not fewer messages
	c := new(collector)
	if err := ws.NewConn(server, nil, options).Serve(c); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if len(c.got) != 10 || c.batches > 2 {
		t.Errorf("%d messages in %d batches", len(c.got), c.batches)
	}
}

func TestDeclaredLengthAllocatesNothing(t *testing.T) {
	big := &ws.Options{MaxMessage: 1 << 30, MaxFragments: 8, WriteTimeout: time.Second}
	for name, p := range pairs {
		t.Run(name, func(t *testing.T) {
			server, client := p(t)
			defer client.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			served := make(chan error, 1)
			go func() { served <- ws.NewConn(server, nil, big).Serve(new(collector)) }()
			if _, err := io.WriteString(client, "\x82\xff\x00\x00\x00\x00\x3f\x00\x00\x00\x01\x02\x03\x04"+strings.Repeat("x", 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated for a message of which 100 came", n)
			}
			server.Close()
			<-served
		})
	}
}

func TestTryWriteDoesNotWait(t *testing.T) {
	server, client := tcp(t)
	defer client.Close()
	c := ws.NewConn(server, nil, options)
	defer c.Close()
	if !c.CanTryWrite() {
		t.Skip("no writes without waiting on this system")
	}
	b := bytes.Repeat([]byte("x"), 1<<20)
	total := 0
	for {
		n, err := c.TryWrite(b)
		if err != nil {
			t.Fatal(err)
		}
		total += n
		if n < len(b) {
			break
		}
	}
	read := make(chan int, 1)
	go func() {
		n, _ := io.Copy(io.Discard, client)
		read <- int(n)
	}()
	if err := c.WriteAll([]byte("rest")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if got := <-read; got != total+4 {
		t.Errorf("the peer read %d bytes, want %d", got, total+4)
	}
	if _, err := c.TryWrite(b); err == nil {
		t.Error("no error after Close")
	}
}

func TestWriteAllHasADeadline(t *testing.T) {
	server, client := tcp(t)
	defer client.Close()
	c := ws.NewConn(server, nil, &ws.Options{MaxMessage: 1, MaxFragments: 1, WriteTimeout: 50 * time.Millisecond})
	defer c.Close()
	var ne net.Error
	if err := c.WriteAll(make([]byte, 64<<20)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("error %v, want a time-out", err)
	}
}

func TestCutFrame(t *testing.T) {
	var b []byte
	lengths := []int{0, 1, 125, 126, 65535, 65536, 100_000}
	for _, n := range lengths {
		b = ws.AppendFrame(b, ws.OpBinary|ws.Deflated, bytes.Repeat([]byte{byte(n)}, n))
	}
	for _, n := range lengths {
		var op ws.Opcode
		var p []byte
		if op, p, b = ws.CutFrame(b); op != ws.OpBinary|ws.Deflated || !bytes.Equal(p, bytes.Repeat([]byte{byte(n)}, n)) {
			t.Errorf("%d bytes: opcode %x with %d", n, op, len(p))
		}
	}
	if len(b) != 0 {
		t.Errorf("%d bytes are left", len(b))
	}
}

func FuzzFrameReader(f *testing.F) {
	raw, _ := conversation()
	f.Add([]byte(raw[:6000]), uint16(7))
	f.Add([]byte(frame(false, gobwas.OpText, "a")+frame(true, gobwas.OpContinuation, "b")), uint16(1))
	f.Add([]byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x01\x01\x02\x03\x04"), uint16(3))
	f.Add([]byte(frame(true, gobwas.OpClose, "\x03\xe8")), uint16(2))
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		read := func(size int) string {
			c := new(collector)
			conn := ws.NewConn(&feed{raw: raw, size: size}, nil, options)
			err := conn.Serve(c)
			if err == nil {
				t.Fatal("Serve ended without an error")
			}
			return fmt.Sprint(c.got, err)
		}
		whole, chunked := read(len(raw)+1), read(int(size)+1)
		if whole != chunked {
			t.Fatalf("at once: %.300q\nin chunks: %.300q", whole, chunked)
		}
	})
}

// feed is a connection that brings raw in chunks of size.
type feed struct {
	net.Conn
	raw  []byte
	size int
}

func (f *feed) Read(b []byte) (int, error) {
	if len(f.raw) == 0 {
		return 0, io.EOF
	}
	n := copy(b, f.raw[:min(f.size, len(f.raw))])
	f.raw = f.raw[n:]
	return n, nil
}

func BenchmarkServe(b *testing.B) {
	raw := []byte(strings.Repeat(text(`42["message","hello world"]`), 8))
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	c := ws.NewConn(&endless{raw: raw, n: b.N}, nil, options)
	_ = c.Serve(discard{})
}

type endless struct {
	net.Conn
	raw []byte
	n   int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	e.n--
	return copy(b, e.raw), nil
}

type discard struct{}

func (discard) Message(bool, []byte) error { return nil }
func (discard) Ping([]byte) error          { return nil }
func (discard) BatchEnd() bool             { return false }

// Ten thousand idle clients that go at once would else leave ten thousand
// buffers to the collector.
func TestAwaitGivesItsBufferBackAtTheEnd(t *testing.T) {
	for name, connect := range map[string]pair{"tcp": tcp, "pipe": pipe} {
		t.Run(name, func(t *testing.T) {
			nc, client := connect(t)
			defer nc.Close()
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			conn := ws.NewConn(nc, nil, options)
			if err := conn.Await(); !errors.Is(err, io.EOF) {
				t.Errorf("Await: %v, want io.EOF", err)
			}
			if conn.Borrows() {
				t.Error("a buffer was kept")
			}
		})
	}
}

// What comes after Await may be longer than what it reads into.
func TestAwaitIsTheBeginningOfAnyMessage(t *testing.T) {
	for _, size := range []int{0, 1, 500, 505, 506, 512, 1000, 4000, 4090, 5000, 16_384, 90_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			nc, client := tcp(t)
			defer nc.Close()
			want := []string{"t:" + strings.Repeat("a", size), "t:b", "t:" + strings.Repeat("c", size)}
			go func() {
				defer client.Close()
				for _, m := range want {
					if _, err := io.WriteString(client, text(m[2:])); err != nil {
						t.Error(err)
					}
				}
			}()
			conn, c := ws.NewConn(nc, nil, options), new(collector)
			if err := conn.Await(); err != nil {
				t.Fatal(err)
			}
			if err := conn.Serve(c); !errors.Is(err, io.EOF) {
				t.Errorf("Serve: %v, want io.EOF", err)
			}
			if fmt.Sprint(c.got) != fmt.Sprint(want) {
				t.Errorf("got %.100q, want %.100q", c.got, want)
			}
		})
	}
}

// The deadline of a write that waited is not that of later ones: a client that
// was slow once would be cut off at the first message after WriteTimeout.
func TestWritesAfterTheDeadlineOfAnEarlierOne(t *testing.T) {
	nc, client := tcp(t)
	defer nc.Close()
	defer client.Close()
	opt := *options
	opt.WriteTimeout = 50 * time.Millisecond
	conn := ws.NewConn(nc, nil, &opt)
	if err := conn.WriteAll([]byte("a")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * opt.WriteTimeout)
	if n, err := conn.TryWrite([]byte("b")); n != 1 || err != nil {
		t.Errorf("TryWrite: %d, %v", n, err)
	}
}
