package msgpack

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
)

// ReadPacketData reads a msgpack array from the front of b and returns it as
// the arguments of a packet, with the bytes after it. Attachments alias b.
//
// A bin value becomes a placeholder with its attachment, a timestamp the
// string that JSON.stringify makes of a Date; the extensions that notepack.io 2
// has for an ArrayBuffer and a Date become the same. What JSON cannot express becomes
// null: other extensions, NaN, infinities. Integer map keys become strings;
// any other key that is no string is an error.
func ReadPacketData(b []byte) (*adapter.Packet, []byte, error) {
	if len(b) == 0 || !isArray(b[0]) {
		return nil, b, ErrFormat
	}
	return read(b, false, math.MaxInt)
}

// ReadArgument reads one msgpack value of any type from the front of b and
// returns it as the only argument of a packet, as ReadPacketData does.
func ReadArgument(b []byte) (*adapter.Packet, []byte, error) {
	return read(b, true, math.MaxInt)
}

// ReadBounded is ReadArgument for the bytes of a client: with more than
// maxAttachments bin values it stops with ErrAttachments. Each takes two bytes
// and becomes a placeholder and a slice of many times that size.
func ReadBounded(b []byte, maxAttachments int) (*adapter.Packet, []byte, error) {
	return read(b, true, maxAttachments)
}

func read(b []byte, wrap bool, maxAttachments int) (*adapter.Packet, []byte, error) {
	end, err := Skip(b)
	if err != nil {
		return nil, b, err
	}
	// Most arguments grow by little; a message of zeros or nils grows more.
	size := len(b) - len(end)
	d := decoder{out: make([]byte, 0, size+size/4+16), maxAttachments: maxAttachments}
	if wrap {
		d.out = append(d.out, '[')
	}
	rest, err := d.value(b, 0)
	if err != nil {
		return nil, b, err
	}
	if wrap {
		d.out = append(d.out, ']')
	}
	return &adapter.Packet{Args: d.out, Attachments: d.attachments}, rest, nil
}

// AppendJSON reads one msgpack value from the front of b and appends it as
// JSON, with the bytes after it. Bin values, for which there is no place, are
// written as null.
func AppendJSON(dst, b []byte) (out, rest []byte, err error) {
	d := decoder{out: dst, dropBin: true}
	rest, err = d.value(b, 0)
	if err != nil {
		return dst, b, err
	}
	return d.out, rest, nil
}

func isArray(lead byte) bool { return lead&0xf0 == 0x90 || lead == 0xdc || lead == 0xdd }

type decoder struct {
	out         []byte
	attachments [][]byte

	maxAttachments int
	dropBin        bool
}

func (d *decoder) value(b []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, ErrDepth
	}
	if len(b) == 0 {
		return b, ErrFormat
	}
	switch msgp.NextType(b) {
	case msgp.StrType:
		text, rest, err := msgp.ReadStringZC(b)
		if err != nil {
			return b, ErrFormat
		}
		d.out = AppendString(d.out, text)
		return rest, nil
	case msgp.IntType, msgp.UintType:
		return d.integer(b)
	case msgp.Float64Type, msgp.Float32Type:
		return d.float(b)
	case msgp.BoolType:
		v, rest, err := msgp.ReadBoolBytes(b)
		d.out = strconv.AppendBool(d.out, v)
		return rest, err
	case msgp.NilType:
		d.out = append(d.out, "null"...)
		return b[1:], nil
	case msgp.ArrayType:
		return d.array(b, depth)
	case msgp.MapType:
		return d.object(b, depth)
	case msgp.BinType:
		return d.bin(b)
	case msgp.InvalidType:
		return b, ErrFormat
	default:
		// msgp calls some extensions by names of its own.
		return d.extension(b)
	}
}

func (d *decoder) integer(b []byte) ([]byte, error) {
	if n, rest, err := msgp.ReadInt64Bytes(b); err == nil {
		d.out = strconv.AppendInt(d.out, n, 10)
		return rest, nil
	}
	n, rest, err := msgp.ReadUint64Bytes(b)
	if err != nil {
		return b, ErrFormat
	}
	d.out = strconv.AppendUint(d.out, n, 10)
	return rest, nil
}

func (d *decoder) float(b []byte) ([]byte, error) {
	var f float64
	var rest []byte
	var err error
	if msgp.NextType(b) == msgp.Float32Type {
		var short float32
		short, rest, err = msgp.ReadFloat32Bytes(b)
		f = float64(short)
	} else {
		f, rest, err = msgp.ReadFloat64Bytes(b)
	}
	if err != nil {
		return b, ErrFormat
	}
	d.out = appendFloat(d.out, f)
	return rest, nil
}

// appendFloat writes a number as JavaScript does.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	if f == 0 {
		return append(dst, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, 64)
}

func (d *decoder) array(b []byte, depth int) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || uint64(n) > uint64(len(b)) {
		return b, ErrFormat
	}
	d.out = append(d.out, '[')
	for i := range n {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		if b, err = d.value(b, depth+1); err != nil {
			return b, err
		}
	}
	d.out = append(d.out, ']')
	return b, nil
}

func (d *decoder) object(b []byte, depth int) ([]byte, error) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil || uint64(n) > uint64(len(b))/2 {
		return b, ErrFormat
	}
	d.out = append(d.out, '{')
	for i := range n {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		if b, err = d.key(b); err != nil {
			return b, err
		}
		d.out = append(d.out, ':')
		if b, err = d.value(b, depth+1); err != nil {
			return b, err
		}
	}
	d.out = append(d.out, '}')
	return b, nil
}

func (d *decoder) key(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return b, ErrFormat
	}
	switch msgp.NextType(b) {
	case msgp.StrType:
		return d.value(b, 0)
	case msgp.IntType, msgp.UintType:
		d.out = append(d.out, '"')
		rest, err := d.integer(b)
		d.out = append(d.out, '"')
		return rest, err
	default:
		return b, ErrFormat
	}
}

func (d *decoder) bin(b []byte) ([]byte, error) {
	data, rest, err := msgp.ReadBytesZC(b)
	if err != nil {
		return b, ErrFormat
	}
	return rest, d.attach(data)
}

// attach writes the placeholder of an attachment.
func (d *decoder) attach(data []byte) error {
	if d.dropBin {
		d.out = append(d.out, "null"...)
		return nil
	}
	if len(d.attachments) >= d.maxAttachments {
		return ErrAttachments
	}
	d.out = append(d.out, `{"_placeholder":true,"num":`...)
	d.out = strconv.AppendInt(d.out, int64(len(d.attachments)), 10)
	d.out = append(d.out, '}')
	d.attachments = append(d.attachments, data[:len(data):len(data)])
	return nil
}

// timestampType is the extension that msgpack reserves for points in time.
const timestampType = -1

func (d *decoder) extension(b []byte) ([]byte, error) {
	typ, data, rest, err := readExtension(b)
	if err != nil {
		return b, err
	}
	if typ == 0 && b[0] < 0xd4 {
		// notepack.io up to version 2 writes an ArrayBuffer so, and undefined
		// as an extension of the same type and of fixed size.
		return rest, d.attach(data)
	}
	if typ == 0 && b[0] == 0xd7 {
		// And a Date so, in milliseconds.
		ms := int64(binary.BigEndian.Uint64(data))
		d.out = appendDate(d.out, floorDiv(ms, 1000), uint32(ms-floorDiv(ms, 1000)*1000)*1e6)
		return rest, nil
	}
	if typ == timestampType {
		if sec, nsec, ok := timestamp(data); ok {
			d.out = appendDate(d.out, sec, nsec)
			return rest, nil
		}
	}
	d.out = append(d.out, "null"...)
	return rest, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// timestamp takes the three forms of the extension apart.
func timestamp(data []byte) (sec int64, nsec uint32, ok bool) {
	switch len(data) {
	case 4:
		return int64(binary.BigEndian.Uint32(data)), 0, true
	case 8:
		v := binary.BigEndian.Uint64(data)
		sec, nsec = int64(v&(1<<34-1)), uint32(v>>34)
	case 12:
		nsec, sec = binary.BigEndian.Uint32(data), int64(binary.BigEndian.Uint64(data[4:]))
	default:
		return 0, 0, false
	}
	return sec, nsec, nsec < 1e9
}

const hexDigits = "0123456789abcdef"

// AppendString appends text as a JSON string, as JSON.stringify does, with
// U+FFFD in place of bytes that are not UTF-8.
func AppendString[T []byte | string](dst []byte, text T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, text[start:i]...)
			dst = appendEscaped(dst, c)
			i++
			start = i
			continue
		}
		// A rune has at most four bytes, so this does not escape to the heap.
		r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, text[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += size
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
