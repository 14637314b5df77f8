package outbound_test

import (
	"strings"
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

func TestWebSocketOfVersion3(t *testing.T) {
	m := outbound.Finish(append(outbound.Start(1), 'x'), [][]byte{{1}, {}}, outbound.Flags{Volatile: true})
	if got := strings.Join(frames(t, m.Version3(false)), " "); got != "1:4x 2:\x04\x01 2:\x04" {
		t.Errorf("frames %q", got)
	}
	if got := strings.Join(frames(t, m.Version3(true)), " "); got != "1:4x 1:b4AQ== 1:b4" {
		t.Errorf("frames in base64 %q", got)
	}
	if !m.Version3(true).Volatile || m.Version3(false).Packets() != 3 {
		t.Error("what is not of the form has changed")
	}
	if plain := outbound.Packet("4x"); plain.Version3(true) != plain {
		t.Error("text has another form")
	}
}
