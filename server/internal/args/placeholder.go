package args

import (
	"encoding/json"
	"errors"
	"strconv"
)

// A placeholder is an object in a JSON text that stands for an attachment: the
// bounds of its text and the number of the attachment.
type placeholder struct{ start, end, num int }

func appendPlaceholder(dst []byte, num int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	return append(strconv.AppendInt(dst, int64(num), 10), '}')
}

// maxNesting is how deep encoding/json reads.
const maxNesting = 10000

// errText is for this package only: the codec words the error of a bad text.
var errText = errors.New("args: malformed JSON")

// placeholders appends to found the placeholders of a JSON text, in order: the
// objects in which "_placeholder" is true and "num" the number of one of n
// attachments. As on Node, other members do not matter, and of a key that
// occurs twice the last value counts. It looks at the text no closer than that
// needs. Errors: ErrPlaceholder for a number that no attachment has, errText.
func placeholders(text []byte, n int, found []placeholder) ([]placeholder, error) {
	f := finder{text: text, attachments: n, found: found}
	err := f.value(0)
	return f.found, err
}

type finder struct {
	text        []byte
	pos         int
	attachments int
	found       []placeholder
}

// next returns the next byte that is not white space, without passing it; zero
// at the end.
func (f *finder) next() byte {
	for ; f.pos < len(f.text); f.pos++ {
		switch c := f.text[f.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// value passes a value.
func (f *finder) value(depth int) error {
	if depth > maxNesting {
		return errText
	}
	switch f.next() {
	case '{':
		return f.object(depth)
	case '[':
		return f.array(depth)
	case '"':
		_, err := f.quoted()
		return err
	}
	return f.word()
}

// word passes a number or literal.
func (f *finder) word() error {
	start := f.pos
	for ; f.pos < len(f.text); f.pos++ {
		c := f.text[f.pos]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			break
		}
	}
	if f.pos == start {
		return errText
	}
	return nil
}

// quoted passes a string and returns its text with the quotes.
func (f *finder) quoted() ([]byte, error) {
	start := f.pos
	for i := start + 1; i < len(f.text); i++ {
		switch f.text[i] {
		case '\\':
			i++
		case '"':
			f.pos = i + 1
			return f.text[start:f.pos], nil
		}
	}
	return nil, errText
}

func (f *finder) array(depth int) error {
	f.pos++
	if f.next() == ']' {
		f.pos++
		return nil
	}
	for {
		if err := f.value(depth + 1); err != nil {
			return err
		}
		c := f.next()
		f.pos++
		if c == ']' {
			return nil
		}
		if c != ',' {
			return errText
		}
	}
}

func (f *finder) object(depth int) error {
	start, before := f.pos, len(f.found)
	marked, num := false, -1
	f.pos++
	for first := true; ; first = false {
		c := f.next()
		if c == '}' && first {
			f.pos++
			return nil
		}
		if c != '"' {
			return errText
		}
		raw, err := f.quoted()
		if err != nil {
			return err
		}
		if f.next() != ':' {
			return errText
		}
		f.pos++
		f.next()
		from := f.pos
		if err := f.value(depth + 1); err != nil {
			return err
		}
		switch key(raw) {
		case "_placeholder":
			marked = string(f.text[from:f.pos]) == "true"
		case "num":
			num = f.number(f.text[from:f.pos])
		}
		c = f.next()
		f.pos++
		if c == '}' {
			break
		}
		if c != ',' {
			return errText
		}
	}
	if !marked {
		return nil
	}
	if num < 0 {
		return ErrPlaceholder
	}
	f.found = append(f.found[:before], placeholder{start, f.pos, num})
	return nil
}

// key returns the key of a member if it may be one of those of a placeholder.
func key(raw []byte) string {
	switch string(raw[1 : len(raw)-1]) {
	case "_placeholder":
		return "_placeholder"
	case "num":
		return "num"
	}
	const longest = len(`"_placeholder"`) * len(`\u0000`)
	if len(raw) > longest {
		return ""
	}
	for _, c := range raw {
		if c == '\\' {
			var s string
			if json.Unmarshal(raw, &s) != nil {
				return ""
			}
			return s
		}
	}
	return ""
}

// number returns the number of an attachment, or -1.
func (f *finder) number(raw []byte) int {
	n, ok := simpleInt(raw)
	if !ok || n < 0 || n >= int64(f.attachments) {
		return -1
	}
	return int(n)
}
