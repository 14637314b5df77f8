package engineio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// The deadline of a write that had to wait must not end the connection later,
// when it is long since over.
func TestWriteDeadlineEndsWithItsWrite(t *testing.T) {
	const timeout = 300 * time.Millisecond
	r := newRig(t, func(c *engineio.Config) { c.WriteTimeout = timeout; c.QueueBytes = 64 << 20 })
	t.Run("upgrade", func(t *testing.T) {
		o, rec := r.open()
		s := r.dial(o.SID)
		s.write("2probe")
		s.text()
		s.write("5")
		time.Sleep(2 * timeout)
		rec.send("late")
		if got := s.text(); got != "4late" {
			t.Errorf("%q", got)
		}
	})
	t.Run("slow once", func(t *testing.T) {
		s, rec := r.openSocket()
		text := strings.Repeat("x", 16<<20)
		rec.send(text)
		time.Sleep(timeout / 3) // the kernel's buffers are full, and a goroutine writes
		if got := s.text(); len(got) != 1+len(text) {
			t.Errorf("%d bytes", len(got))
		}
		time.Sleep(2 * timeout)
		rec.send("late")
		if got := s.text(); got != "4late" {
			t.Errorf("%q", got)
		}
	})
}
