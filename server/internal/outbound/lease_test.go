package outbound_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

func leased(text string, attachments ...[]byte) *outbound.Message {
	m, buf := outbound.Lease(len(text))
	m.Finish(append(buf, text...), attachments, outbound.Flags{})
	return m
}

// A leased message has the forms of any other, whatever used its memory before
// and whether the room that was asked for is enough.
func TestLeasedMessagesAreLikeOthers(t *testing.T) {
	c, _ := compressor(6)
	short, long := strings.Repeat("a", 30), strings.Repeat("b", 70_000)
	tests := []struct {
		text        string
		attachments [][]byte
	}{
		{short, nil}, {long, nil}, {short[:1], nil},
		{short, [][]byte{[]byte("one"), []byte(long)}}, {long, [][]byte{{}}}, {"", [][]byte{[]byte(short)}},
	}
	for round := range 3 {
		for i, tt := range tests {
			got, want := leased(tt.text, tt.attachments...), message(tt.text, tt.attachments...)
			forms := [][2][]byte{
				{got.Frames(), want.Frames()},
				{got.Deflated(c), want.Deflated(c)},
				{got.AppendPayload(nil), want.AppendPayload(nil)},
				{got.Version3(true).Frames(), want.Version3(true).Frames()},
			}
			for f, form := range forms {
				if !bytes.Equal(form[0], form[1]) {
					t.Errorf("round %d, message %d, form %d: %.60q, want %.60q", round, i, f, form[0], form[1])
				}
			}
			if got.Packets() != want.Packets() {
				t.Errorf("round %d, message %d: %d packets, want %d", round, i, got.Packets(), want.Packets())
			}
			got.Release()
		}
	}
}

func TestReleaseOfAnOrdinaryMessageDoesNothing(t *testing.T) {
	m := message("text")
	m.Release()
	again := leased("other")
	if got := frames(t, m); len(got) != 1 || !strings.HasSuffix(got[0], "4text") {
		t.Errorf("frames %q", got)
	}
	again.Release()
}

func BenchmarkLease(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m, buf := outbound.Lease(40)
		m.Finish(append(buf, `2["message","hello world, hello all"]`...), nil, outbound.Flags{})
		m.Release()
	}
}
