package msgpack

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
)

// AppendPacketData appends the arguments of p, a JSON array, as a msgpack
// array. Placeholders become bin values if p has attachments. Numbers take the
// form that JavaScript encoders give them: every integer value in its
// shortest, every other as a 64-bit float.
//
// Args is taken for JSON as encoders write it: text that is not is an error
// where it stands in the way and may pass elsewhere. On an error dst is
// returned without the data.
func AppendPacketData(dst []byte, p *adapter.Packet) ([]byte, error) {
	e := encoder{src: p.Args, attachments: p.Attachments}
	i := e.space(0)
	if i == len(e.src) || e.src[i] != '[' {
		return dst, ErrJSON
	}
	out, i, err := e.value(dst, i, 0)
	if err != nil {
		return dst, err
	}
	if e.space(i) != len(e.src) {
		return dst, ErrJSON
	}
	return out, nil
}

// AppendFirst appends the first of the arguments of p. It reports false, and
// appends nothing, if there is none.
func AppendFirst(dst []byte, p *adapter.Packet) ([]byte, bool, error) {
	e := encoder{src: p.Args, attachments: p.Attachments}
	i := e.space(0)
	if i == len(e.src) || e.src[i] != '[' {
		return dst, false, ErrJSON
	}
	i = e.space(i + 1)
	if i < len(e.src) && e.src[i] == ']' {
		return dst, false, nil
	}
	out, _, err := e.value(dst, i, 1)
	if err != nil {
		return dst, false, err
	}
	return out, true, nil
}

// FirstJSON returns the text of the first element of a JSON array. It reports
// false if there is none, or args is no array. The result aliases args.
func FirstJSON(args []byte) ([]byte, bool) {
	e := encoder{src: args}
	i := e.space(0)
	if i == len(args) || args[i] != '[' {
		return nil, false
	}
	start := e.space(i + 1)
	depth := 0
	for i = start; i < len(args); i++ {
		switch args[i] {
		case '"':
			end, _, ok := e.stringEnd(i + 1)
			if !ok {
				return nil, false
			}
			i = end
		case '[', '{':
			depth++
		case ']', '}', ',':
			if depth == 0 {
				first := trimSpace(args[start:i])
				return first, len(first) > 0
			}
			if args[i] != ',' {
				depth--
			}
		}
	}
	return nil, false
}

// encoder walks over JSON text. Its methods take the position where something
// begins and return the position after it.
type encoder struct {
	src         []byte
	attachments [][]byte
}

func (e *encoder) value(dst []byte, i, depth int) ([]byte, int, error) {
	if depth > maxDepth {
		return dst, i, ErrDepth
	}
	if i >= len(e.src) {
		return dst, i, ErrJSON
	}
	switch c := e.src[i]; c {
	case '"':
		return e.string(dst, i)
	case '[':
		return e.array(dst, i, depth)
	case '{':
		if len(e.attachments) > 0 {
			if num, next, ok := e.placeholder(i); ok {
				if num >= uint64(len(e.attachments)) {
					return dst, i, ErrPlaceholder
				}
				return msgp.AppendBytes(dst, e.attachments[num]), next, nil
			}
		}
		return e.object(dst, i, depth)
	case 't':
		next, err := e.literal(i, "true")
		return msgp.AppendBool(dst, true), next, err
	case 'f':
		next, err := e.literal(i, "false")
		return msgp.AppendBool(dst, false), next, err
	case 'n':
		next, err := e.literal(i, "null")
		return msgp.AppendNil(dst), next, err
	default:
		return e.number(dst, i)
	}
}

func (e *encoder) array(dst []byte, i, depth int) ([]byte, int, error) {
	start := len(dst)
	dst = append(dst, 0)
	n := uint32(0)
	i = e.space(i + 1)
	if i < len(e.src) && e.src[i] == ']' {
		return closeHeader(dst, start, 0, false), i + 1, nil
	}
	for {
		var err error
		if dst, i, err = e.value(dst, i, depth+1); err != nil {
			return dst, i, err
		}
		n++
		i = e.space(i)
		if i >= len(e.src) {
			return dst, i, ErrJSON
		}
		switch e.src[i] {
		case ',':
			i = e.space(i + 1)
		case ']':
			return closeHeader(dst, start, n, false), i + 1, nil
		default:
			return dst, i, ErrJSON
		}
	}
}

func (e *encoder) object(dst []byte, i, depth int) ([]byte, int, error) {
	start := len(dst)
	dst = append(dst, 0)
	n := uint32(0)
	i = e.space(i + 1)
	if i < len(e.src) && e.src[i] == '}' {
		return closeHeader(dst, start, 0, true), i + 1, nil
	}
	for {
		var err error
		if i >= len(e.src) || e.src[i] != '"' {
			return dst, i, ErrJSON
		}
		if dst, i, err = e.string(dst, i); err != nil {
			return dst, i, err
		}
		i = e.space(i)
		if i >= len(e.src) || e.src[i] != ':' {
			return dst, i, ErrJSON
		}
		if dst, i, err = e.value(dst, e.space(i+1), depth+1); err != nil {
			return dst, i, err
		}
		n++
		i = e.space(i)
		if i >= len(e.src) {
			return dst, i, ErrJSON
		}
		switch e.src[i] {
		case ',':
			i = e.space(i + 1)
		case '}':
			return closeHeader(dst, start, n, true), i + 1, nil
		default:
			return dst, i, ErrJSON
		}
	}
}

// closeHeader writes the header of an array or map of n elements whose content
// follows the one byte that was kept free at start. The content is moved only
// if the header needs more.
func closeHeader(dst []byte, start int, n uint32, isMap bool) []byte {
	fix, wide16 := byte(0x90), byte(0xdc)
	if isMap {
		fix, wide16 = 0x80, 0xde
	}
	switch {
	case n <= 15:
		dst[start] = fix | byte(n)
	case n <= math.MaxUint16:
		dst = append(dst, 0, 0)
		copy(dst[start+3:], dst[start+1:])
		dst[start], dst[start+1], dst[start+2] = wide16, byte(n>>8), byte(n)
	default:
		dst = append(dst, 0, 0, 0, 0)
		copy(dst[start+5:], dst[start+1:])
		dst[start] = wide16 + 1
		dst[start+1], dst[start+2], dst[start+3], dst[start+4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	}
	return dst
}

func (e *encoder) string(dst []byte, i int) ([]byte, int, error) {
	end, escaped, ok := e.stringEnd(i + 1)
	if !ok {
		return dst, i, ErrJSON
	}
	raw := e.src[i+1 : end]
	if !escaped {
		return msgp.AppendStringFromBytes(dst, raw), end + 1, nil
	}
	// The decoded text is never longer than the raw one: its header is given
	// room for the raw length, and the text moves back if it needs less.
	start := len(dst)
	body := start + stringHeaderSize(len(raw))
	for len(dst) < body {
		dst = append(dst, 0)
	}
	dst, ok = appendUnescaped(dst, raw)
	if !ok {
		return dst, i, ErrJSON
	}
	n := len(dst) - body
	text := start + stringHeaderSize(n)
	copy(dst[text:], dst[body:])
	putStringHeader(dst[start:], n)
	return dst[:text+n], end + 1, nil
}

// stringEnd returns the position of the quote that ends the string whose text
// begins at i.
func (e *encoder) stringEnd(i int) (end int, escaped, ok bool) {
	for ; i < len(e.src); i++ {
		switch e.src[i] {
		case '"':
			return i, escaped, true
		case '\\':
			escaped = true
			i++
		}
	}
	return i, escaped, false
}

func stringHeaderSize(n int) int {
	switch {
	case n < 32:
		return 1
	case n <= math.MaxUint8:
		return 2
	case n <= math.MaxUint16:
		return 3
	default:
		return 5
	}
}

func putStringHeader(dst []byte, n int) {
	switch stringHeaderSize(n) {
	case 1:
		dst[0] = 0xa0 | byte(n)
	case 2:
		dst[0], dst[1] = 0xd9, byte(n)
	case 3:
		dst[0], dst[1], dst[2] = 0xda, byte(n>>8), byte(n)
	default:
		dst[0], dst[1], dst[2], dst[3], dst[4] = 0xdb, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	}
}

// appendUnescaped appends the text of a JSON string. A surrogate without its
// pair becomes U+FFFD, for msgpack strings are UTF-8.
func appendUnescaped(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		if i == len(raw) {
			return dst, false
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(raw, i+1)
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low, _ = hex4(raw, i+3)
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(b []byte, i int) (rune, bool) {
	if len(b) < i+4 {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (e *encoder) number(dst []byte, i int) ([]byte, int, error) {
	end, integer := i, true
loop:
	for ; end < len(e.src); end++ {
		switch c := e.src[end]; {
		case c >= '0' && c <= '9', c == '-' && end == i:
		case c == '.', c == 'e', c == 'E', c == '+', c == '-':
			integer = false
		default:
			break loop
		}
	}
	text := e.src[i:end]
	if len(text) == 0 || text[len(text)-1] < '0' || text[0] == '+' || text[0] == '.' {
		return dst, i, ErrJSON
	}
	if integer {
		if n, ok := smallInt(text); ok {
			return appendInt(dst, n), end, nil
		}
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return appendInt(dst, n), end, nil
		}
		if n, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			return msgp.AppendUint64(dst, n), end, nil
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(f, 0) {
		return dst, i, ErrJSON
	}
	// The bounds are those between which the conversion is defined.
	if f == math.Trunc(f) && f >= -1<<63 && f < 1<<63 {
		return appendInt(dst, int64(f)), end, nil
	}
	return msgp.AppendFloat64(dst, f), end, nil
}

// smallInt parses an integer of at most 18 digits.
func smallInt(text []byte) (int64, bool) {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if text[0] == '-' {
		n = -n
	}
	return n, true
}

// appendInt writes positive numbers as unsigned, as JavaScript encoders do.
func appendInt(dst []byte, n int64) []byte {
	if n >= 0 {
		return msgp.AppendUint64(dst, uint64(n))
	}
	return msgp.AppendInt64(dst, n)
}

func (e *encoder) literal(i int, want string) (int, error) {
	if len(e.src)-i < len(want) || string(e.src[i:i+len(want)]) != want {
		return i, ErrJSON
	}
	return i + len(want), nil
}

func (e *encoder) space(i int) int {
	for i < len(e.src) && isSpace(e.src[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
