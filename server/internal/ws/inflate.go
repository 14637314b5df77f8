package ws

import (
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/roomspan/roomspan/server/internal/poison"
)

// inflatedBuffer is the memory of one message that came compressed.
type inflatedBuffer struct{ bytes []byte }

// keepInflated is the size of the largest buffer that goes back to the pool.
const keepInflated = 64 << 10

var inflated = sync.Pool{New: func() any {
	return &inflatedBuffer{make([]byte, 0, bufferSize)}
}}

// deliverDeflated is deliver for a compressed message.
func (c *Conn) deliverDeflated(h Handler, op Opcode, data []byte) error {
	b := inflated.Get().(*inflatedBuffer)
	defer func() {
		poison.Memory(b.bytes)
		if cap(b.bytes) <= keepInflated {
			inflated.Put(b)
		}
	}()
	if err := b.inflate(data, c.opt.MaxMessage); err != nil {
		return err
	}
	return c.deliver(h, op, false, b.bytes)
}

// inflater is a decompressor, about 40 KB, borrowed for one message: none is
// kept from one message to the next, since the client was told not to refer
// back (client_no_context_takeover).
type inflater struct {
	flate  io.Reader
	source tailed
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.flate = flate.NewReader(&f.source)
	return f
}}

// inflate decompresses the payload of a message (RFC 7692, section 7.2.2),
// which it does not keep. The buffer doubles as bytes come out, up to max and
// the one byte that tells that it is too much.
//
// Like zlib in ws it ignores what follows a block that says it is the last one.
// Data that ends within a block is an error, where ws delivers what came of it.
func (b *inflatedBuffer) inflate(payload []byte, max int) error {
	f := inflaters.Get().(*inflater)
	defer func() {
		f.source = tailed{}
		inflaters.Put(f)
	}()
	f.source = tailed{payload, deflateTail}
	if err := f.flate.(flate.Resetter).Reset(&f.source, nil); err != nil {
		return err
	}
	out := b.bytes[:0]
	defer func() { b.bytes = out }()
	for len(out) <= max {
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(2*cap(out)-1, max)+1) // max may be the greatest int
			copy(grown, out)
			out = grown
		}
		n, err := f.flate.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case err == io.EOF && len(out) <= max:
			return nil
		case err != nil && err != io.EOF:
			return &CloseError{Code: StatusInvalidPayload, Reason: "invalid compressed data"}
		}
	}
	return &CloseError{Code: StatusTooBig, Reason: "message too big"}
}

// deflateTail is what the sender has cut off, the end of an empty block, and
// one more empty block, which is the last: without it the reader would wait.
var deflateTail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// tailed reads one slice and then another.
type tailed struct{ bytes, then []byte }

func (t *tailed) Read(p []byte) (int, error) {
	t.turn()
	if len(t.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.bytes)
	t.bytes = t.bytes[n:]
	return n, nil
}

func (t *tailed) ReadByte() (byte, error) {
	t.turn()
	if len(t.bytes) == 0 {
		return 0, io.EOF
	}
	c := t.bytes[0]
	t.bytes = t.bytes[1:]
	return c, nil
}

func (t *tailed) turn() {
	if len(t.bytes) == 0 {
		t.bytes, t.then = t.then, nil
	}
}
