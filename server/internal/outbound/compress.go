package outbound

import (
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"

	"github.com/roomspan/roomspan/server/internal/poison"
	"github.com/roomspan/roomspan/server/internal/ws"
)

// CompressionCounters are what a Compressor counts. What came out no smaller,
// and so went out as it was, is not in them.
type CompressionCounters struct {
	Compressions atomic.Uint64 // a message for many receivers is one
	BytesBefore  atomic.Uint64
	BytesAfter   atomic.Uint64
}

// Compressor compresses what goes out. Every message stands alone, without
// reference to those before it: so one compression serves all receivers, and no
// connection has a window. Its methods may be called concurrently; they wait for
// a processor, never for a peer.
type Compressor struct {
	level, threshold int
	counters         *CompressionCounters
	turns            chan struct{} // full when there is a compression for each processor
	deflaters        sync.Pool
}

// NewCompressor returns a Compressor of a level of flate, from 1 to 9, for
// packets and payloads of at least threshold bytes.
func NewCompressor(level, threshold int, counters *CompressionCounters) *Compressor {
	c := &Compressor{
		level: level, threshold: threshold, counters: counters,
		// A deflater has about 1 MB: no more of them than can work at a time.
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	c.deflaters.New = func() any {
		d := new(deflater)
		d.w, _ = flate.NewWriter(d, level) // the error is for a wrong level
		return d
	}
	return c
}

// deflater is a compressor of flate and what came out of it.
type deflater struct {
	w   *flate.Writer
	out []byte
}

// Write implements io.Writer, for flate.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// deflate appends p in compressed form to out: as the end of a stream, or up to
// a byte boundary. The writer has no errors but those of d.Write.
func (d *deflater) deflate(p []byte, end bool) {
	d.w.Reset(d)
	_, _ = d.w.Write(p)
	if end {
		_ = d.w.Close()
	} else {
		_ = d.w.Flush()
	}
}

func (c *Compressor) acquire() *deflater {
	c.turns <- struct{}{}
	return c.deflaters.Get().(*deflater)
}

// keepDeflated is the size of the largest output whose memory is kept.
const keepDeflated = 64 << 10

func (c *Compressor) release(d *deflater) {
	poison.Memory(d.out)
	if cap(d.out) > keepDeflated {
		d.out = nil
	}
	c.deflaters.Put(d)
	<-c.turns
}

// worth reports whether what d has made of n bytes is smaller, and counts it.
func (c *Compressor) worth(d *deflater, n int) bool {
	if len(d.out) >= n {
		return false
	}
	c.counters.Compressions.Add(1)
	c.counters.BytesBefore.Add(uint64(n))
	c.counters.BytesAfter.Add(uint64(len(d.out)))
	return true
}

// deflatedForm is a message on a WebSocket with permessage-deflate.
type deflatedForm struct {
	once   sync.Once
	frames []byte
}

// Deflated returns the bytes of the message on a WebSocket with
// permessage-deflate: those of Frames if it is short, not to be compressed, or no
// smaller then, or if c is nil. They are not to be changed. The work is done
// once, by the first who asks; all who ask must give the same Compressor.
func (m *Message) Deflated(c *Compressor) []byte {
	if c == nil || m.NoCompress || len(m.frames) < c.threshold {
		return m.frames
	}
	d := m.deflated.Load()
	if d == nil {
		d = new(deflatedForm)
		if !m.deflated.CompareAndSwap(nil, d) {
			d = m.deflated.Load()
		}
	}
	d.once.Do(func() { d.frames = c.frames(m) })
	return d.frames
}

// frames makes the frames of a message, each compressed by itself if it is long
// enough.
func (c *Compressor) frames(m *Message) []byte {
	d := c.acquire()
	defer c.release(d)
	var frames []byte
	smaller := false
	for rest := m.frames; len(rest) > 0; {
		var op ws.Opcode
		var packet []byte
		op, packet, rest = ws.CutFrame(rest)
		if len(packet) >= c.threshold {
			d.out = d.out[:0]
			d.deflate(packet, false)
			d.out = d.out[:len(d.out)-flushTail]
			if c.worth(d, len(packet)) {
				smaller = true
				op, packet = op|ws.Deflated, d.out
			}
		}
		frames = slices.Grow(frames, ws.HeaderSize(len(packet))+len(packet))
		frames = ws.AppendFrame(frames, op, packet)
	}
	if !smaller {
		return m.frames
	}
	return frames
}

// flushTail is the length of 00 00 ff ff, which ends a flush and which the
// receiver adds again (RFC 7692, section 7.2.1).
const flushTail = 4

// Gzip returns a payload in the format of RFC 1952, or nil if it is short or no
// smaller then.
func (c *Compressor) Gzip(payload []byte) []byte {
	return c.payload(payload, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", func(dst []byte) []byte {
		dst = binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(payload))
		return binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	})
}

// Zlib returns a payload in the format of RFC 1950, which HTTP calls deflate, or
// nil if it is short or no smaller then.
func (c *Compressor) Zlib(payload []byte) []byte {
	return c.payload(payload, "\x78\x01", func(dst []byte) []byte {
		return binary.BigEndian.AppendUint32(dst, adler32.Checksum(payload))
	})
}

// payload puts a payload between what a format has before and behind it.
func (c *Compressor) payload(payload []byte, head string, tail func([]byte) []byte) []byte {
	if len(payload) < c.threshold {
		return nil
	}
	d := c.acquire()
	defer c.release(d)
	d.out = append(d.out[:0], head...)
	d.deflate(payload, true)
	d.out = tail(d.out)
	if !c.worth(d, len(payload)) {
		return nil
	}
	return slices.Clone(d.out)
}
