package parser

import "math"

// Scan appends to dst the bounds of each element of a JSON array and returns
// the longer slice. It accepts the arrays in valid UTF-8 that json.Valid of
// encoding/json accepts, if they are not nested too deeply. If attachments is
// not zero, every placeholder at any depth must refer to one of that many
// attachments; else placeholders are plain data. Every error wraps [ErrParse].
//
// It takes linear time, and allocates only if dst has no room, which needs
// eight bytes for each element, or if the nesting is unusually deep.
func Scan(data []byte, attachments int, limits Limits, dst []Span) ([]Span, error) {
	if i := skipSpace(data, 0); i == len(data) || data[i] != '[' {
		return dst, errNotArray
	}
	return scan(data, attachments, limits, dst)
}

// scan is Scan for any JSON text. It finds elements only in an array.
func scan(data []byte, attachments int, limits Limits, dst []Span) ([]Span, error) {
	if uint64(len(data)) > math.MaxUint32 {
		return dst, errTooLong
	}
	s := scanner{data: data, attachments: attachments, maxDepth: limits.maxDepth()}
	s.pos = skipSpace(data, 0)
	s.list = s.pos < len(data) && data[s.pos] == '['
	for {
		opened, err := s.value()
		if err != nil {
			return dst, err
		}
		if opened {
			continue
		}
		done, err := s.afterValue()
		if s.end > 0 {
			dst = append(dst, Span{uint32(s.start), uint32(s.end)})
			s.end = 0
		}
		if done || err != nil {
			return dst, err
		}
	}
}

// A scanner is the state of one scan. It remembers its way in levels instead of
// calling itself, so that a hostile text cannot make the stack grow.
type scanner struct {
	data        []byte
	pos         int
	attachments int
	maxDepth    int
	key         key  // what the value at pos is the value of
	list        bool // the outermost value is an array
	start, end  int  // of its current element; end is zero until it is known

	// The open arrays and objects, outermost first: the usual ones in place,
	// the others in deep.
	depth int
	usual [64]level
	deep  []level
}

// A level is what is known of an open array or object, in flags.
type level uint8

const (
	object   level = 1 << iota // an object, else an array
	marked                     // an object with "_placeholder":true
	numbered                   // an object with "num" that is an attachment's number
)

// A key is what the scanner knows of the key of a value.
type key uint8

const (
	plainKey key = iota // an ordinary key, or none
	placeholderKey
	numKey
)

// value reads the value at pos. If that is an array or object with something in
// it, it stops at the first value within and reports that it opened one.
func (s *scanner) value() (opened bool, err error) {
	if s.pos == len(s.data) {
		return false, errEnd
	}
	start := s.pos
	if s.depth == 1 {
		s.start = start
	}
	switch c := s.data[start]; c {
	case '[', '{':
		if s.key != plainKey {
			s.mark(nil)
		}
		return s.open(c)
	case '"':
		s.pos, err = skipString(s.data, start+1)
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	case 'n':
		err = s.literal("null")
	default:
		s.pos, err = skipNumber(s.data, start)
	}
	if err == nil && s.key != plainKey {
		s.mark(s.data[start:s.pos])
	}
	return false, err
}

// open reads the bracket c at pos and goes on to the first value within, or
// past the end of an array or object that is empty.
func (s *scanner) open(c byte) (opened bool, err error) {
	if s.depth >= s.maxDepth {
		return false, ErrTooDeep
	}
	end, lv := byte(']'), level(0)
	if c == '{' {
		end, lv = '}', object
	}
	s.pos = skipSpace(s.data, s.pos+1)
	if s.pos < len(s.data) && s.data[s.pos] == end {
		s.pos++
		return false, nil
	}
	s.push(lv)
	if lv == object {
		err = s.objectKey()
	}
	return true, err
}

// afterValue reads what follows a value: the ends of arrays and objects, and
// the comma, blanks and key before the next value. It is done at the end of
// the text.
func (s *scanner) afterValue() (done bool, err error) {
	for {
		if s.depth == 1 && s.list {
			s.end = s.pos
		}
		s.pos = skipSpace(s.data, s.pos)
		if s.pos == len(s.data) {
			if s.depth > 0 {
				return false, errEnd
			}
			return true, nil
		}
		if s.depth == 0 {
			return false, errTrailing
		}
		top, c := *s.top(), s.data[s.pos]
		switch {
		case c == ',' && top&object != 0:
			s.pos = skipSpace(s.data, s.pos+1)
			return false, s.objectKey()
		case c == ',':
			s.pos = skipSpace(s.data, s.pos+1)
			return false, nil
		case c == '}' && top&object != 0:
			if top&marked != 0 && top&numbered == 0 {
				return false, ErrIllegalAttachments
			}
		case c == ']' && top&object == 0:
		default:
			return false, errSyntax
		}
		s.pop()
		s.pos++
	}
}

func (s *scanner) push(lv level) {
	if s.depth < len(s.usual) {
		s.usual[s.depth] = lv
	} else {
		s.deep = append(s.deep, lv)
	}
	s.depth++
}

func (s *scanner) pop() {
	s.depth--
	if s.depth >= len(s.usual) {
		s.deep = s.deep[:len(s.deep)-1]
	}
}

// top returns the innermost level. There must be one.
func (s *scanner) top() *level {
	if s.depth <= len(s.usual) {
		return &s.usual[s.depth-1]
	}
	return &s.deep[len(s.deep)-1]
}

// objectKey reads the key at pos and the colon behind it, and goes on to the
// value.
func (s *scanner) objectKey() (err error) {
	if s.pos == len(s.data) {
		return errEnd
	}
	if s.data[s.pos] != '"' {
		return errSyntax
	}
	start := s.pos + 1
	if s.pos, err = skipString(s.data, start); err != nil {
		return err
	}
	if s.attachments > 0 {
		s.key = keyOf(s.data[start : s.pos-1])
	}
	s.pos = skipSpace(s.data, s.pos)
	if s.pos == len(s.data) {
		return errEnd
	}
	if s.data[s.pos] != ':' {
		return errSyntax
	}
	s.pos = skipSpace(s.data, s.pos+1)
	return nil
}

// maxEscape is the length of the longest escape sequence of a character.
const maxEscape = len(`\u0000`)

// keyOf tells the keys of a placeholder from others. raw stands between quotes
// in the text, and may have escape sequences.
func keyOf(raw []byte) key {
	const placeholder, num = "_placeholder", "num"
	if len(raw) > maxEscape*len(placeholder) {
		return plainKey
	}
	var room [maxEscape * len(placeholder)]byte
	switch string(appendUnquoted(room[:0], raw)) {
	case placeholder:
		return placeholderKey
	case num:
		return numKey
	}
	return plainKey
}

// mark notes the value of a key of a placeholder: raw is its text, or nil for
// an array or object. Of a key that occurs twice the last value counts, as it
// does for JavaScript and Go.
func (s *scanner) mark(raw []byte) {
	top := s.top()
	switch s.key {
	case placeholderKey:
		*top &^= marked
		if string(raw) == "true" {
			*top |= marked
		}
	case numKey:
		*top &^= numbered
		if n, digits := leadingUint(raw); digits > 0 && digits == len(raw) && digits <= maxDigits && n < uint64(s.attachments) {
			*top |= numbered
		}
	}
	s.key = plainKey
}

func (s *scanner) literal(word string) error {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		return errSyntax
	}
	s.pos = end
	return nil
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipNumber returns the index after the number that begins at i.
func skipNumber(data []byte, i int) (int, error) {
	if data[i] == '-' {
		i++
	}
	var ok bool
	if i < len(data) && data[i] == '0' {
		i++
	} else if i, ok = skipDigits(data, i); !ok {
		return i, errSyntax
	}
	if i < len(data) && data[i] == '.' {
		if i, ok = skipDigits(data, i+1); !ok {
			return i, errSyntax
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if i, ok = skipDigits(data, i); !ok {
			return i, errSyntax
		}
	}
	return i, nil
}

// skipDigits returns the index after the digits that begin at i, and whether
// there is at least one.
func skipDigits(data []byte, i int) (int, bool) {
	start := i
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i, i > start
}
