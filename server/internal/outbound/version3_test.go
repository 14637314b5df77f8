package outbound_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

func TestPayload3(t *testing.T) {
	text := func(s string, binary ...[]byte) *outbound.Message {
		return outbound.Finish(append(outbound.Start(len(s)), s...), binary, outbound.Flags{})
	}
	for _, tt := range []struct {
		name     string
		messages []*outbound.Message
		noBinary bool
		want     string
		binary   bool
	}{
		{"one", []*outbound.Message{outbound.Packet("6")}, false, "1:6", false},
		{"several", []*outbound.Message{text("a"), text("bc")}, false, "2:4a3:4bc", false},
		{"units of JavaScript", []*outbound.Message{text("ü日👍")}, false, "5:4ü日👍", false},
		{"binary", []*outbound.Message{text("ü"), text("x", []byte{1, 2})}, false,
			"\x00\x03\xff4ü\x00\x02\xff4x\x01\x03\xff\x04\x01\x02", true},
		{"long binary", []*outbound.Message{outbound.Binary(outbound.Flags{}, make([]byte, 250))}, false,
			"\x01\x02\x05\x01\xff\x04" + strings.Repeat("\x00", 250), true},
		{"base64", []*outbound.Message{text("x", []byte{1, 2, 3}, nil)}, true, "2:4x6:b4AQID2:b4", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload, binary := outbound.AppendPayload3(nil, tt.messages, tt.noBinary)
			if string(payload) != tt.want || binary != tt.binary {
				t.Errorf("payload %q, binary %t", payload, binary)
			}
		})
	}
}

// All old receivers of a broadcast share what is made for them, compressed or
// not, and each payload has the same bytes whoever asks first.
func TestVersion3IsShared(t *testing.T) {
	for range 50 {
		m := message("ü", []byte("attachment"), nil)
		text := message("ü👍")
		type form struct {
			base64  bool
			message *outbound.Message
			payload string
		}
		forms := make(chan form, 16)
		var wg sync.WaitGroup
		for i := range cap(forms) {
			wg.Go(func() {
				base64 := i%2 == 0
				payload, _ := outbound.AppendPayload3(nil, []*outbound.Message{m, text}, base64)
				forms <- form{base64, m.Version3(base64), string(payload)}
			})
		}
		wg.Wait()
		close(forms)
		for f := range forms {
			if f.message != m.Version3(f.base64) {
				t.Fatal("two forms of one message")
			}
			want := "\x00\x03\xff4ü\x01\x01\x01\xff\x04attachment\x01\x01\xff\x04\x00\x07\xff4ü👍"
			if f.base64 {
				want = "2:4ü18:b4YXR0YWNobWVudA==2:b44:4ü👍"
			}
			if f.payload != want {
				t.Fatalf("payload %q, want %q", f.payload, want)
			}
		}
	}
	c, counters := compressor(1)
	m := message("x", make([]byte, 1000))
	for range 5 {
		m.Version3(false).Deflated(c)
	}
	if n := counters.Compressions.Load(); n != 1 {
		t.Errorf("%d compressions for 5 receivers", n)
	}
}

func TestWebSocketOfVersion3(t *testing.T) {
	m := outbound.Finish(append(outbound.Start(1), 'x'), [][]byte{{1}, {}}, outbound.Flags{Volatile: true})
	if got := strings.Join(frames(t, m.Version3(false)), " "); got != "1:4x 2:\x04\x01 2:\x04" {
		t.Errorf("frames %q", got)
	}
	if got := strings.Join(frames(t, m.Version3(true)), " "); got != "1:4x 1:b4AQ== 1:b4" {
		t.Errorf("frames in base64 %q", got)
	}
	if !m.Version3(true).Volatile || m.Version3(true).NoCompress {
		t.Error("what is not of the form has changed")
	}
	if bare := outbound.Binary(outbound.Flags{}, []byte{1}, []byte{2}).Version3(false); strings.Join(frames(t, bare), " ") != "2:\x04\x01 2:\x04\x02" {
		t.Errorf("without text: frames %q", frames(t, bare))
	}
	if plain := outbound.Packet("4x"); plain.Version3(true) != plain {
		t.Error("text has another form")
	}
}
