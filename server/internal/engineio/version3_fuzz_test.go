package engineio_test

import (
	"testing"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

func FuzzPayload3(f *testing.F) {
	for _, seed := range []string{"6:4hello", "2:4a3:4bc", "5:4ü日👍", "6:b4AQID", "\x00\x03\xff4ü\x01\x03\xff\x04\x01\x02", "99999999999:", ":"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, binaryBody bool) {
		left := len(body)
		for len(body) > 0 {
			packet, _, rest, err := engineio.CutPacket3(body, binaryBody)
			if err != nil {
				return
			}
			if len(packet)+len(rest) >= left {
				t.Fatalf("%d bytes of packet and %d of rest in %d", len(packet), len(rest), left)
			}
			left, body = len(rest), rest
		}
	})
}

// What is written can be read, and is what it was.
func FuzzPayload3RoundTrip(f *testing.F) {
	f.Add("", []byte(nil), "x", false)
	f.Add(`2["x"]`, []byte{1, 2, 255}, "ü日👍", true)
	f.Add("1:", []byte(":"), "\xed\xa0\x80", false)
	f.Fuzz(func(t *testing.T, first string, attachment []byte, second string, inBase64 bool) {
		text := func(s string, attachments ...[]byte) *outbound.Message {
			return outbound.Finish(append(outbound.Start(len(s)), s...), attachments, outbound.Flags{})
		}
		type packet struct {
			data   string
			binary bool
		}
		for _, tt := range []struct {
			messages []*outbound.Message
			want     []packet
		}{
			{[]*outbound.Message{text(first), text(second)}, []packet{{first, false}, {second, false}}},
			{[]*outbound.Message{text(first, attachment), text(second)}, []packet{{first, false}, {string(attachment), true}, {second, false}}},
		} {
			body, binaryBody := outbound.AppendPayload3(nil, tt.messages, inBase64)
			for _, want := range tt.want {
				data, binary, rest, err := engineio.CutPacket3(body, binaryBody)
				if err != nil {
					t.Fatalf("%v in %q", err, body)
				}
				got := packet{binary: binary || data[0] == 'b'}
				switch {
				case got.binary && inBase64:
					raw, err := engineio.DecodeBase64(data[2:])
					if err != nil {
						t.Fatal(err)
					}
					got.data = string(raw)
				default:
					got.data = string(data[1:])
				}
				if got != want {
					t.Fatalf("read %+v, want %+v", got, want)
				}
				body = rest
			}
			if len(body) > 0 {
				t.Fatalf("%q is left", body)
			}
		}
	})
}

func BenchmarkCutPacket3(b *testing.B) {
	for name, messages := range map[string][]*outbound.Message{
		"text":   {outbound.Packet(`42["x","` + string(make([]byte, 1000)) + `"]`), outbound.Packet("2")},
		"binary": {outbound.Binary(outbound.Flags{}, make([]byte, 1000)), outbound.Packet("2")},
	} {
		body, binaryBody := outbound.AppendPayload3(nil, messages, false)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				for rest := body; len(rest) > 0; {
					_, _, rest, _ = engineio.CutPacket3(rest, binaryBody)
				}
			}
		})
	}
}
