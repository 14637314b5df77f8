package engineio_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// A long message is in memory once, however many receivers do not read it.
func TestLongMessageIsSharedBySlowClients(t *testing.T) {
	const clients, size = 8, 24 << 20
	r := newRig(t, func(c *engineio.Config) { c.QueueBytes = 64 << 20 })
	var receivers []*receiver
	for range clients {
		_, rec := r.openSocket()
		receivers = append(receivers, rec)
	}
	m := outbound.Finish(append(outbound.Start(size), strings.Repeat("x", size)...), nil, outbound.Flags{})
	before := heap()
	for _, rec := range receivers {
		rec.session.Send(m)
	}
	time.Sleep(500 * time.Millisecond)
	grown := int64(heap()) - int64(before)
	t.Logf("%d MB more for %d slow receivers of %d MB", grown>>20, clients, size>>20)
	if grown > size {
		t.Errorf("%d bytes more", grown)
	}
	runtime.KeepAlive(m)
	for _, rec := range receivers {
		rec.session.Close("over")
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
