package msgpack

import "encoding/binary"

// Skip returns what follows the first value of b. It takes time and stack in
// proportion to the bytes that are there, however deep they are nested.
func Skip(b []byte) ([]byte, error) {
	// Every value has at least one byte, so that more values than bytes are
	// an error at once.
	for left := uint64(1); left > 0; left-- {
		if left > uint64(len(b)) {
			return nil, ErrFormat
		}
		size, children, ok := measure(b)
		if !ok || size > uint64(len(b)) {
			return nil, ErrFormat
		}
		b = b[size:]
		left += children
	}
	return b, nil
}

// fixedSizes holds the sizes of the values from 0xc0 to 0xdf that declare
// none, with their lead byte and, for extensions, their type.
var fixedSizes = [0x20]uint8{
	0x00: 1, 0x02: 1, 0x03: 1, // nil, false, true
	0x0a: 5, 0x0b: 9, // float
	0x0c: 2, 0x0d: 3, 0x0e: 5, 0x0f: 9, // uint
	0x10: 2, 0x11: 3, 0x12: 5, 0x13: 9, // int
	0x14: 3, 0x15: 4, 0x16: 6, 0x17: 10, 0x18: 18, // fixext
}

// measure returns the size of the value at the front of b, without the values
// it contains, and their number. b is not empty.
func measure(b []byte) (size, children uint64, ok bool) {
	switch lead := b[0]; {
	case lead < 0x80 || lead >= 0xe0:
		return 1, 0, true
	case lead < 0x90:
		return 1, 2 * uint64(lead&0x0f), true
	case lead < 0xa0:
		return 1, uint64(lead & 0x0f), true
	case lead < 0xc0:
		return 1 + uint64(lead&0x1f), 0, true
	case fixedSizes[lead-0xc0] > 0:
		return uint64(fixedSizes[lead-0xc0]), 0, true
	default:
		return measureDeclared(b)
	}
}

func measureDeclared(b []byte) (size, children uint64, ok bool) {
	switch lead := b[0]; lead {
	case 0xc4, 0xd9: // bin 8, str 8
		n, ok := declared(b, 1)
		return 2 + n, 0, ok
	case 0xc5, 0xda:
		n, ok := declared(b, 2)
		return 3 + n, 0, ok
	case 0xc6, 0xdb:
		n, ok := declared(b, 4)
		return 5 + n, 0, ok
	case 0xc7, 0xc8, 0xc9: // ext
		width := 1 << (lead - 0xc7)
		n, ok := declared(b, width)
		return 2 + uint64(width) + n, 0, ok
	case 0xdc, 0xdd: // array
		width := 2 << (lead - 0xdc)
		n, ok := declared(b, width)
		return 1 + uint64(width), n, ok
	case 0xde, 0xdf: // map
		width := 2 << (lead - 0xde)
		n, ok := declared(b, width)
		return 1 + uint64(width), 2 * n, ok
	default:
		return 0, 0, false
	}
}

// declared returns the number of width bytes after the lead byte.
func declared(b []byte, width int) (uint64, bool) {
	if len(b) < 1+width {
		return 0, false
	}
	switch width {
	case 1:
		return uint64(b[1]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b[1:])), true
	default:
		return uint64(binary.BigEndian.Uint32(b[1:])), true
	}
}

// readExtension takes the extension at the front of b apart.
func readExtension(b []byte) (typ int8, data, rest []byte, err error) {
	size, _, ok := measure(b)
	if !ok || size > uint64(len(b)) {
		return 0, nil, b, ErrFormat
	}
	var header int
	switch lead := b[0]; {
	case lead >= 0xd4 && lead <= 0xd8:
		header = 1
	case lead >= 0xc7 && lead <= 0xc9:
		header = 1 + 1<<(lead-0xc7)
	default:
		return 0, nil, b, ErrFormat
	}
	return int8(b[header]), b[header+1 : size], b[size:], nil
}
