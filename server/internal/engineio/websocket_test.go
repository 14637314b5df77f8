package engineio_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

func TestWebSocketMessages(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			r := newRigServer(t, nil, start)
			s, rec := r.openSocket()
			s.write("4hello", "4ü")
			s.raw(clientFrame(gobwas.OpBinary, "\x01\x02"))
			for _, want := range []string{"hello", "ü", "b:\x01\x02"} {
				if got := await(t, rec.got, want); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
			rec.session.Send(outbound.Finish(append(outbound.Start(1), 'x'), [][]byte{{7, 8}}, outbound.Flags{}))
			if got := s.text(); got != "4x" {
				t.Errorf("read %q", got)
			}
			if op, b, err := s.frame(); op != gobwas.OpBinary || b != "\x07\x08" || err != nil {
				t.Errorf("read %v %q %v", op, b, err)
			}
			long := strings.Repeat("z", 300_000)
			rec.send(long)
			if got := s.text(); got != "4"+long {
				t.Errorf("read %d bytes", len(got))
			}
		})
	}
}

func TestFirstFrameInTheSegmentOfTheHandshake(t *testing.T) {
	r := newRig(t, nil)
	nc, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	request := "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	if _, err := nc.Write(append([]byte(request), clientFrame(gobwas.OpText, "4early")...)); err != nil {
		t.Fatal(err)
	}
	if got := await(t, r.receiver().got, "the message"); got != "early" {
		t.Errorf("received %q", got)
	}
}

func TestBadWebSocketInputEndsOnlyThatConnection(t *testing.T) {
	lie := func(head ...byte) string { return string(head) }
	for _, tt := range []struct {
		name, raw, reason string
	}{
		{"unmasked", "\x81\x024x", engineio.ReasonTransportError},
		{"length with the top bit", lie(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), engineio.ReasonTransportError},
		{"length of all ones", lie(0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4), engineio.ReasonTransportError},
		{"too long", lie(0x81, 0xfe, 0x10, 0, 1, 2, 3, 4), engineio.ReasonTransportError},
		{"reserved bit", lie(0xc1, 0x80, 1, 2, 3, 4), engineio.ReasonTransportError},
		{"reserved opcode", lie(0x83, 0x80, 1, 2, 3, 4), engineio.ReasonTransportError},
		{"invalid UTF-8", string(clientFrame(gobwas.OpText, "4\xff")), engineio.ReasonTransportError},
		{"empty packet", string(clientFrame(gobwas.OpText, "")), engineio.ReasonParseError},
		{"unknown packet", string(clientFrame(gobwas.OpText, "9")), engineio.ReasonParseError},
		{"refused message", string(clientFrame(gobwas.OpText, "4bad")), engineio.ReasonParseError},
		{"ping of a client", string(clientFrame(gobwas.OpText, "2")), engineio.ReasonTransportError},
		{"close packet", string(clientFrame(gobwas.OpText, "1")), engineio.ReasonTransportClose},
		{"close frame", string(clientFrame(gobwas.OpClose, "\x03\xe8")), engineio.ReasonTransportClose},
		{"close code of nobody", string(clientFrame(gobwas.OpClose, "\x03\xed")), engineio.ReasonTransportError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			other, otherRec := r.openSocket()
			s, rec := r.openSocket()
			s.raw([]byte(tt.raw))
			if reason := await(t, rec.closed, "the end"); reason != tt.reason {
				t.Errorf("reason %q, want %q", reason, tt.reason)
			}
			s.gone()
			other.write("4fine")
			if got := await(t, otherRec.got, "the other's message"); got != "fine" {
				t.Errorf("received %q", got)
			}
		})
	}
}

func TestPingPongFrames(t *testing.T) {
	r := newRig(t, nil)
	s, _ := r.openSocket()
	s.raw(clientFrame(gobwas.OpPing, "abc"))
	if op, b, err := s.frame(); op != gobwas.OpPong || b != "abc" || err != nil {
		t.Errorf("read %v %q %v", op, b, err)
	}
}

func TestServerClosesWebSocket(t *testing.T) {
	r := newRig(t, nil)
	s, rec := r.openSocket()
	rec.send("last")
	rec.session.Close("because")
	if got := s.text(); got != "4last" {
		t.Errorf("read %q", got)
	}
	if op, _, err := s.frame(); op != gobwas.OpClose || err != nil {
		t.Errorf("read %v %v, want a close frame", op, err)
	}
	s.raw(clientFrame(gobwas.OpClose, ""))
	s.gone()
	if len(rec.closed) != 1 {
		t.Errorf("closed %d times", len(rec.closed))
	}
}

func TestHeartbeat(t *testing.T) {
	quick := func(c *engineio.Config) { c.PingInterval, c.PingTimeout = 100*time.Millisecond, 400*time.Millisecond }
	t.Run("WebSocket", func(t *testing.T) {
		r := newRig(t, quick)
		s, rec := r.openSocket()
		for range 3 {
			if got := s.text(); got != "2" {
				t.Fatalf("read %q, want a ping", got)
			}
			s.write("3")
		}
		s.text()
		if reason := await(t, rec.closed, "the ping time-out"); reason != engineio.ReasonPingTimeout {
			t.Errorf("reason %q", reason)
		}
		s.gone()
	})
	t.Run("polling", func(t *testing.T) {
		r := newRig(t, quick)
		o, rec := r.open()
		for range 3 {
			if _, got := r.get(o.SID); got != "2" {
				t.Fatalf("polled %q, want a ping", got)
			}
			r.post(o.SID, "3")
		}
		if reason := await(t, rec.closed, "the ping time-out"); reason != engineio.ReasonPingTimeout {
			t.Errorf("reason %q", reason)
		}
	})
	t.Run("a client that is not read does not time out", func(t *testing.T) {
		r := newRig(t, quick)
		s, rec := r.openSocket()
		s.write("4block", "3", "4after")
		time.Sleep(time.Second)
		close(rec.gate)
		await(t, rec.got, "block")
		if got := await(t, rec.got, "the next message"); got != "after" {
			t.Errorf("received %q", got)
		}
	})
}

func TestPongFloodStartsNothing(t *testing.T) {
	r := newRig(t, nil)
	s, rec := r.openSocket()
	before := runtime.NumGoroutine()
	flood := []byte(strings.Repeat(string(clientFrame(gobwas.OpText, "3")), 1000))
	for range 20 {
		s.raw(flood)
	}
	s.write("4end")
	await(t, rec.got, "the message behind the flood")
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines, %d before the flood", n, before)
	}
}

func TestSlowClientIsClosedAndNobodyElse(t *testing.T) {
	for name, change := range map[string]func(*engineio.Config){
		"by the bound of its queue": func(c *engineio.Config) { c.QueueBytes = 256 << 10 },
		"by the write deadline": func(c *engineio.Config) {
			c.QueueBytes, c.QueuePackets, c.WriteTimeout = 1<<30, 1<<20, 300*time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			_, slow := r.openSocket() // and never reads
			s, rec := r.openSocket()
			text := strings.Repeat("x", 10_000)
			deadline := time.Now().Add(patience)
			for i := 0; len(slow.closed) == 0; i++ {
				if time.Now().After(deadline) {
					t.Fatal("the slow client was not closed")
				}
				if i < 3000 { // more than the kernel's buffers take
					slow.send(text)
				}
				rec.send(numbered(i))
				if got := s.text(); got != "4"+numbered(i) {
					t.Fatalf("read %.20q, want %d", got, i)
				}
			}
			if reason := <-slow.closed; reason != engineio.ReasonSlowClient {
				t.Errorf("reason %q", reason)
			}
			if r.counters.SlowClients.Load() != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestVolatileToAStalledClientIsDropped(t *testing.T) {
	r := newRig(t, nil)
	s, rec := r.openSocket()
	m := outbound.Finish(append(outbound.Start(10_000), strings.Repeat("v", 10_000)...), nil, outbound.Flags{Volatile: true})
	for i := 0; r.counters.VolatileDropped.Load() < 10_000; i++ {
		if i > 1_000_000 {
			t.Fatal("nothing was dropped")
		}
		rec.session.Send(m)
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	if !rec.send("reliable") {
		t.Fatal("the session did not live")
	}
	for s.text() != "4reliable" {
	}
}

func TestUpgrade(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	poll := r.pending(t.Context(), o.SID)
	s := r.dial(o.SID)
	s.write("2probe")
	if got := s.text(); got != "3probe" {
		t.Fatalf("read %q", got)
	}
	if got := await(t, poll, "the noop"); got != "200 6" {
		t.Errorf("answer %q", got)
	}
	again := r.pending(t.Context(), o.SID)
	if got := await(t, again, "another noop"); got != "200 6" {
		t.Errorf("answer %q", got)
	}
	rec.send("before") // still by polling
	if _, got := r.get(o.SID); got != "4before" {
		t.Errorf("polled %q", got)
	}
	second := r.dial(o.SID)
	second.gone()
	s.write("5", "4up")
	if got := await(t, rec.got, "the message"); got != "up" {
		t.Errorf("received %q", got)
	}
	rec.send("down")
	if got := s.text(); got != "4down" {
		t.Errorf("read %q", got)
	}
	if rec.session.Transport() != "websocket" {
		t.Error("the transport is still polling")
	}
	status, body := r.get(o.SID)
	checkRefusal(t, status, body, 400, 3)
	r.dial(o.SID).gone()
	s.write("4alive")
	await(t, rec.got, "a message after all that")
}

func TestBadProbesDisturbOnlyThemselves(t *testing.T) {
	for name, packets := range map[string][]string{
		"upgrade without a probe": {"5"},
		"a message":               {"4x"},
		"a wrong probe":           {"2prob"},
		"a pong":                  {"3"},
		"nothing, then the time":  {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *engineio.Config) { c.UpgradeTimeout = 200 * time.Millisecond })
			o, rec := r.open()
			s := r.dial(o.SID)
			s.write(packets...)
			s.gone()
			if status, _ := r.post(o.SID, "4fine"); status != 200 {
				t.Errorf("POST: %d", status)
			}
			await(t, rec.got, "a message by polling")
		})
	}
}

func TestSessionClosesDuringTheProbe(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	s := r.dial(o.SID)
	s.write("2probe")
	s.text()
	rec.session.Close("because")
	s.gone()
	if _, got := r.get(o.SID); got != "1" {
		t.Errorf("polled %q", got)
	}
}

// TestLedgerAcrossUpgrade sends numbered messages both ways while the
// transport changes: nothing lost, doubled or out of order.
func TestLedgerAcrossUpgrade(t *testing.T) {
	const count = 2000
	r := newRig(t, func(c *engineio.Config) { c.MaxPayload, c.QueuePackets = 1<<20, 1<<16 })
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			o, rec := r.open()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for i := range count {
					rec.send(numbered(i))
					if i%64 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}()
			up, down := 0, 0
			take := func(packets string) {
				for p := range strings.SplitSeq(packets, "\x1e") {
					switch p {
					case "2", "6":
					case "4" + numbered(down):
						down++
					default:
						t.Fatalf("received %q, want %d", p, down)
					}
				}
			}
			for range 5 {
				_, body := r.get(o.SID)
				take(body)
				batch := make([]string, 100)
				for i := range batch {
					batch[i] = "4" + numbered(up)
					up++
				}
				r.post(o.SID, strings.Join(batch, "\x1e"))
			}
			s := r.dial(o.SID)
			s.write("2probe")
			s.text()
			_, body := r.get(o.SID)
			take(body)
			s.write("5")
			for ; up < count; up++ {
				s.write("4" + numbered(up))
			}
			for down < count {
				take(s.text())
			}
			for i := range count {
				if got := await(t, rec.got, numbered(i)); got != numbered(i) {
					t.Fatalf("the server received %q, want %d", got, i)
				}
			}
			<-sent
		})
	}
}

func TestCloseOfTheServer(t *testing.T) {
	r := newRig(t, nil)
	o, polled := r.open()
	poll := r.pending(t.Context(), o.SID)
	s, rec := r.openSocket()
	_, stuck := r.openSocket() // never reads
	for stuck.send(strings.Repeat("x", 100_000)) && r.counters.SlowClients.Load() == 0 && len(stuck.closed) == 0 {
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- r.engine.Close(ctx, "over") }()
	if op, _, err := s.frame(); op != gobwas.OpClose || err != nil {
		t.Errorf("read %v %v, want a close frame", op, err)
	}
	s.nc.Close()
	if err := await(t, closed, "the end of Close"); err != nil {
		t.Error(err)
	}
	if got := await(t, poll, "the answer to the poll"); got != "200 1" {
		t.Errorf("answer %q", got)
	}
	for _, rec := range []*receiver{polled, rec} {
		if reason := await(t, rec.closed, "the reason"); reason != "over" {
			t.Errorf("reason %q", reason)
		}
	}
	if status, _ := r.do("GET", "EIO=4&transport=polling", ""); status != 503 {
		t.Errorf("a new client is answered with %d", status)
	}
	if status := r.upgradeStatus(""); status != 503 {
		t.Errorf("a new WebSocket is answered with %d", status)
	}
	if n := r.counters.Sessions.Load(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
