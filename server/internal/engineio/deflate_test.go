package engineio_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

var deflateOffer = []httphead.Option{{Name: []byte("permessage-deflate")}}

// newDeflateRig is a rig whose clients offer permessage-deflate to a server that
// agrees.
func newDeflateRig(t *testing.T, start func(*httptest.Server)) *rig {
	r := newRigServer(t, compress, start)
	r.offers = deflateOffer
	return r
}

// noise returns n bytes that cannot be made fewer.
func noise(n int) string {
	rng := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = rng.Read(b)
	return string(b)
}

// deflatedFrame is that of a client for a compressed message.
func deflatedFrame(op gobwas.OpCode, message string) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, message)
	_ = w.Flush()
	f := gobwas.NewFrame(op, true, b.Bytes()[:b.Len()-4])
	f.Header.Rsv = gobwas.Rsv(true, false, false)
	return gobwas.MustCompileFrame(gobwas.MaskFrame(f))
}

// next reads one message, that of a compressed frame with a "z" before it.
func (s *socket) next() string {
	s.t.Helper()
	_ = s.nc.SetReadDeadline(time.Now().Add(patience))
	h, err := gobwas.ReadHeader(s.r)
	if err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, h.Length)
	if _, err = io.ReadFull(s.r, b); err != nil {
		s.t.Fatal(err)
	}
	if !h.Rsv1() {
		return string(b)
	}
	b, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		s.t.Fatal(err)
	}
	return "z" + string(b)
}

func (s *socket) expect(messages ...string) {
	s.t.Helper()
	for _, want := range messages {
		if got := s.next(); got != want {
			s.t.Errorf("got %.80q, want %.80q", got, want)
		}
	}
}

func TestDeflateBothWays(t *testing.T) {
	long := strings.Repeat("long ", 2*threshold)
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			r := newDeflateRig(t, start)
			s, rec := r.openSocket()
			s.raw(deflatedFrame(gobwas.OpText, "4"+long[:900]))
			s.raw(clientFrame(gobwas.OpText, "4plain"))
			s.raw(deflatedFrame(gobwas.OpBinary, "\x00\x01"))
			for _, want := range []string{long[:900], "plain", "b:\x00\x01"} {
				if got := await(t, rec.got, "a message"); got != want {
					t.Errorf("got %.80q, want %.80q", got, want)
				}
			}
			// One write for many takes another way than a message alone.
			rec.session.Cork()
			rec.send("short")
			rec.send(long)
			rec.sendPlain(long)
			rec.session.Send(outbound.Binary(outbound.Flags{}, []byte(long)))
			rec.session.Send(outbound.Binary(outbound.Flags{}, []byte(noise(1000))))
			rec.session.Uncork()
			s.expect("4short", "z4"+long, "4"+long, "z"+long, noise(1000))
			rec.send(long)
			s.expect("z4" + long)
			s.raw(clientFrame(gobwas.OpPing, long[:125]))
			s.expect(long[:125])
			if n := r.counters.Compression.Compressions.Load(); n != 3 {
				t.Errorf("%d compressions", n)
			}
		})
	}
}

func TestDeflateAfterUpgrade(t *testing.T) {
	long := strings.Repeat("long ", threshold)
	r := newDeflateRig(t, (*httptest.Server).Start)
	o, rec := r.open()
	s := r.dial(o.SID)
	s.write("2probe")
	s.expect("3probe")
	rec.send(long + "1")
	if status, body := r.get(o.SID); status != 200 || body != "4"+long+"1" {
		t.Errorf("%d %.80q", status, body)
	}
	s.raw(deflatedFrame(gobwas.OpText, "5"))
	s.raw(deflatedFrame(gobwas.OpText, "4hello"))
	if got := await(t, rec.got, "a message"); got != "hello" {
		t.Errorf("got %q", got)
	}
	rec.send(long + "2")
	s.expect("z4" + long + "2")
}

// A message for many is compressed once, whoever of them is compressed at all.
func TestOneCompressionPerBroadcast(t *testing.T) {
	long := strings.Repeat("long ", threshold)
	r := newDeflateRig(t, (*httptest.Server).Start)
	var sockets []*socket
	var receivers []*receiver
	for i := range 30 {
		if r.offers = deflateOffer; i%3 == 0 {
			r.offers = nil
		}
		s, rec := r.openSocket()
		sockets, receivers = append(sockets, s), append(receivers, rec)
	}
	const rounds = 10
	for range rounds {
		m := outbound.Finish(append(outbound.Start(len(long)), long...), nil, outbound.Flags{})
		for _, rec := range receivers {
			rec.session.Send(m)
		}
		for i, s := range sockets {
			if i%3 == 0 {
				s.expect("4" + long)
			} else {
				s.expect("z4" + long)
			}
		}
	}
	c := &r.counters.Compression
	if n, before, after := c.Compressions.Load(), c.BytesBefore.Load(), c.BytesAfter.Load(); n != rounds || before != uint64(rounds*(len(long)+1)) || after == 0 || after > before/10 {
		t.Errorf("%d compressions, %d bytes have become %d", n, before, after)
	}
}

// Bad input closes the connection that it comes from, and no other.
func TestBadDeflateClosesThatConnection(t *testing.T) {
	r := newDeflateRig(t, (*httptest.Server).Start)
	other, otherRec := r.openSocket()
	garbage := gobwas.NewFrame(gobwas.OpText, true, []byte("hello"))
	garbage.Header.Rsv = gobwas.Rsv(true, false, false)
	for name, tt := range map[string]struct {
		raw    []byte
		offers []httphead.Option
		code   uint16
	}{
		"bomb":       {deflatedFrame(gobwas.OpText, "4"+strings.Repeat("x", 500_000)), deflateOffer, 1009},
		"garbage":    {gobwas.MustCompileFrame(gobwas.MaskFrame(garbage)), deflateOffer, 1007},
		"not agreed": {deflatedFrame(gobwas.OpText, "4hello"), nil, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			r.offers = tt.offers
			s, rec := r.openSocket()
			s.t = t
			s.raw(tt.raw)
			op, payload, err := s.frame()
			if err != nil || op != gobwas.OpClose || len(payload) < 2 || binary.BigEndian.Uint16([]byte(payload)) != tt.code {
				t.Errorf("%v %q, %v, want a close frame with code %d", op, payload, err, tt.code)
			}
			s.gone()
			if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonTransportError {
				t.Errorf("reason %q", reason)
			}
		})
	}
	if n := r.counters.ProtocolErrors.Load(); n != 3 {
		t.Errorf("%d protocol errors", n)
	}
	other.write("4hello")
	if got := await(t, otherRec.got, "a message"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// Compression of polling alone agrees to no offer.
func TestNoDeflateUnlessConfigured(t *testing.T) {
	r := newRig(t, func(cfg *engineio.Config) { compress(cfg); cfg.Compression.WebSocket = false })
	r.offers = deflateOffer
	s, rec := r.openSocket()
	long := strings.Repeat("long ", threshold)
	rec.send(long)
	s.expect("4" + long)
}
