package parser

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// skipString returns the index after the closing quote of the string whose
// first byte after the opening quote is at i.
func skipString(data []byte, i int) (int, error) {
	for {
		for i+8 <= len(data) {
			found := special(binary.LittleEndian.Uint64(data[i:]))
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		if i >= len(data) {
			return i, errEnd
		}
		switch c := data[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			size := escapeSize(data[i:])
			if size == 0 {
				return i, errSyntax
			}
			i += size
		case c < ' ':
			return i, errSyntax
		case c < utf8.RuneSelf:
			i++
		default:
			for i < len(data) && data[i] >= utf8.RuneSelf {
				r, size := utf8.DecodeRune(data[i:])
				if r == utf8.RuneError && size == 1 {
					return i, errUTF8
				}
				i += size
			}
		}
	}
}

// special returns a word whose lowest bit set is in the first of eight bytes
// that a string cannot simply pass over: a quote, a backslash, a control
// character or a byte beyond ASCII. It is zero if there is none.
func special(word uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := word ^ '"'*ones
	backslash := word ^ '\\'*ones
	// Subtraction sets the high bit of a byte that is smaller than what is
	// taken from it. A borrow can spoil later bytes only, never the first.
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (word-' '*ones)&^word | word) & highs
}

// escapeSize returns the length of the escape sequence at the start of data, or
// zero if it is none of JSON.
func escapeSize(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(data[2:]); ok {
			return maxEscape
		}
	}
	return 0
}

// hex4 reads the four hexadecimal digits at the start of data.
func hex4(data []byte) (r rune, ok bool) {
	if len(data) < 4 {
		return 0, false
	}
	for _, c := range data[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnquoted appends the characters of a valid JSON string, given without
// its quotes. Half of a surrogate pair becomes U+FFFD, as in encoding/json.
func appendUnquoted(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		c = raw[i+1]
		if c != 'u' {
			dst = append(dst, unescaped(c))
			i += 2
			continue
		}
		r, _ := hex4(raw[i+2:])
		i += maxEscape
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if i+1 < len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
				low, _ := hex4(raw[i+2:])
				pair = utf16.DecodeRune(r, low)
			}
			if pair != utf8.RuneError {
				i += maxEscape
			}
			r = pair
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// unescaped returns the character for which a backslash and c stand.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// appendQuoted appends a JSON string. What is not valid UTF-8 in s becomes
// U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
