package args

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"reflect"
)

// standIns are the strings that take the place of the placeholders while the
// JSON library is at work, which then knows nothing of attachments.
//
// Usually a string is only a token in base64, secret and unlike any string that
// a peer can send: the library brings it to where the attachment belongs, as
// base64 into a []byte and as a string elsewhere, and a walk over dst afterwards
// swaps it for the attachment, without a copy.
//
// A type that decodes itself has to find the attachment in the text already. If
// dst reaches one, the string is the whole attachment in base64. An interface
// would then keep a string: if dst reaches one of these too, the string ends
// with the token as a mark, in line ends, which base64 has to pass over.
type standIns struct {
	attachments [][]byte
	texts       []string // the attachments in base64, as far as needed
	whole       bool     // attachments stand in the text
	mark        bool     // with marks

	// visited has what the walk has been through, since dst may refer to
	// itself by what the user left in it.
	visited map[visit]bool
}

type visit struct {
	address uintptr
	len     int
	typ     reflect.Type
}

const (
	nonceSize = 16
	tokenSize = nonceSize + 4
	markSize  = tokenSize * 8
)

// nonce makes the tokens of this process unlike the strings of a peer.
var nonce = func() (n [nonceSize]byte) {
	rand.Read(n[:])
	return n
}()

func newStandIns(attachments [][]byte, tr traits) *standIns {
	whole := tr&ownTrait != 0
	return &standIns{attachments: attachments, whole: whole, mark: whole && tr&interfaceTrait != 0}
}

// rewrite returns raw with stand-ins for its placeholders.
func (s *standIns) rewrite(raw []byte, found []placeholder) []byte {
	out := make([]byte, 0, len(raw)+16*len(found))
	from := 0
	for _, p := range found {
		out = append(append(out, raw[from:p.start]...), '"')
		if s.whole {
			out = append(out, s.base64(p.num)...)
		} else {
			out = base64.StdEncoding.AppendEncode(out, token(p.num))
		}
		if s.mark {
			out = appendMark(out, p.num)
		}
		out = append(out, '"')
		from = p.end
	}
	return append(out, raw[from:]...)
}

// base64 returns the text of an attachment.
func (s *standIns) base64(num int) string {
	if s.texts == nil {
		s.texts = make([]string, len(s.attachments))
	}
	if s.texts[num] == "" {
		s.texts[num] = base64.StdEncoding.EncodeToString(s.attachments[num])
	}
	return s.texts[num]
}

func token(num int) []byte {
	return binary.BigEndian.AppendUint32(nonce[:nonceSize:nonceSize], uint32(num))
}

// numberOf returns the number of the attachment that a token stands for.
func (s *standIns) numberOf(token []byte) (num int, ok bool) {
	if len(token) != tokenSize || !bytes.HasPrefix(token, nonce[:]) {
		return 0, false
	}
	num = int(binary.BigEndian.Uint32(token[nonceSize:]))
	return num, num < len(s.attachments)
}

// appendMark appends the JSON text of a token in line ends.
func appendMark(dst []byte, num int) []byte {
	for _, b := range token(num) {
		for bit := range 8 {
			dst = append(dst, '\\', "rn"[b>>bit&1])
		}
	}
	return dst
}

// find returns the number of the attachment that a decoded string stands for.
func (s *standIns) find(text string) (num int, ok bool) {
	var t [tokenSize + 1]byte // Decode wants room for the padding
	if !s.mark {
		if len(text) != base64.StdEncoding.EncodedLen(tokenSize) {
			return 0, false
		}
		n, err := base64.StdEncoding.Decode(t[:], []byte(text))
		if err != nil {
			return 0, false
		}
		return s.numberOf(t[:n])
	}
	if len(text) < markSize {
		return 0, false
	}
	for i, c := range []byte(text[len(text)-markSize:]) {
		switch c {
		case '\r':
		case '\n':
			t[i/8] |= 1 << (i % 8)
		default:
			return 0, false
		}
	}
	return s.numberOf(t[:tokenSize])
}

// value swaps the stand-ins in a decoded value.
func (s *standIns) value(v reflect.Value) {
	t := v.Type()
	if traitsOf(t)&^ownTrait == 0 || t != rawType && unmarshals(t) {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		s.inInterface(v)
	case reflect.String:
		if num, ok := s.find(v.String()); ok {
			v.SetString(s.base64(num))
		}
	case reflect.Pointer:
		if !v.IsNil() && s.first(v, 0) {
			s.value(v.Elem())
		}
	case reflect.Map:
		s.entries(v)
	case reflect.Slice:
		switch {
		case t == rawType:
			v.SetBytes(s.inText(v.Bytes()))
		case isBinary(t):
			if num, ok := s.numberOf(v.Bytes()); ok {
				v.SetBytes(s.attachments[num])
			}
		case s.first(v, v.Len()):
			s.elements(v)
		}
	case reflect.Array:
		s.elements(v)
	case reflect.Struct:
		for i := range t.NumField() {
			if sets(t.Field(i)) {
				s.value(v.Field(i))
			}
		}
	}
}

// sets reports whether a JSON library sets the field or fields in it. Others are
// not for this package to touch.
func sets(f reflect.StructField) bool {
	return f.Tag.Get("json") != "-" && (f.IsExported() || f.Anonymous && lends(f.Type))
}

// lends reports whether an embedded field of the type has fields of its own,
// which can be set although it cannot.
func lends(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// first reports whether the walk comes to a pointer, map or slice for the
// first time.
func (s *standIns) first(v reflect.Value, length int) bool {
	at := visit{v.Pointer(), length, v.Type()}
	if s.visited[at] {
		return false
	}
	if s.visited == nil {
		s.visited = map[visit]bool{}
	}
	s.visited[at] = true
	return true
}

func (s *standIns) elements(v reflect.Value) {
	for i := range v.Len() {
		s.value(v.Index(i))
	}
}

// entries swaps stand-ins in a map, whose values have no address.
func (s *standIns) entries(v reflect.Value) {
	if v.IsNil() || !s.first(v, 0) {
		return
	}
	changed := reflect.New(v.Type().Elem()).Elem()
	for it := v.MapRange(); it.Next(); {
		changed.Set(it.Value())
		s.value(changed)
		v.SetMapIndex(it.Key(), changed)
	}
}

// inInterface swaps the content of an interface, or stand-ins within it. What
// JSON libraries put into one needs no reflection.
func (s *standIns) inInterface(v reflect.Value) {
	switch x := v.Interface().(type) {
	case nil, bool, float64:
	case string:
		if num, ok := s.find(x); ok && v.CanSet() && v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(s.attachments[num]))
		}
	default:
		switch e := v.Elem(); e.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			if !isBinary(e.Type()) {
				s.value(e)
			}
		}
	}
}

// inText returns JSON that the library has left as it is with base64 in place
// of the stand-ins.
func (s *standIns) inText(text json.RawMessage) []byte {
	for num := range s.attachments {
		if s.mark {
			text = bytes.ReplaceAll(text, appendMark(nil, num), nil)
			continue
		}
		old := base64.StdEncoding.AppendEncode(nil, token(num))
		if bytes.Contains(text, old) {
			text = bytes.ReplaceAll(text, old, []byte(s.base64(num)))
		}
	}
	return text
}
