package args

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Decode sets what dst points to from raw, the JSON text of one argument. It
// expects raw to be JSON, as the scan of a packet has proved, without white
// space around it. dst keeps nothing of raw, but it gets the attachments
// themselves, not copies.
//
// Where raw has the placeholder of an attachment, the bytes come into whatever
// is there in dst: a []byte or an interface gets them as []byte; a string, a
// json.RawMessage, or a type with its own UnmarshalJSON or UnmarshalText gets
// them as a string in base64, which may end with line breaks for a type with
// its own method. Without attachments a placeholder is plain data,
// and a []byte is read from base64 as always in Go.
//
// What is already in dst is treated as by json.Unmarshal. Errors: those of the
// codec, ErrPlaceholder, ErrPanic.
func (c Codec) Decode(raw []byte, attachments [][]byte, dst any) (err error) {
	if len(attachments) > 0 && bytes.IndexByte(raw, '{') >= 0 {
		defer recovered(&err)
		return c.decodeBinary(raw, attachments, dst)
	}
	if c.simple(raw, dst) {
		return nil
	}
	defer recovered(&err)
	return c.unmarshal(raw, dst)
}

// Simple is Decode for what needs no library. It reports false, with dst
// untouched, for everything else, be it wrong or only unusual. dst does not
// escape, unlike that of Decode.
func (c Codec) Simple(raw []byte, attachments [][]byte, dst any) bool {
	return len(attachments) == 0 && c.simple(raw, dst)
}

func (c Codec) unmarshal(raw []byte, dst any) error {
	if c.Unmarshal != nil {
		return c.Unmarshal(raw, dst)
	}
	return json.Unmarshal(raw, dst)
}

// simple decodes what needs no library. It reports false, with dst untouched,
// for everything else, be it wrong or only unusual.
func (c Codec) simple(raw []byte, dst any) bool {
	switch d := dst.(type) {
	case *string:
		return set(d)(simpleString(raw))
	case *int:
		n, ok := simpleInt(raw)
		return set(d)(int(n), ok && int64(int(n)) == n)
	case *int64:
		return set(d)(simpleInt(raw))
	case *uint64:
		n, ok := simpleInt(raw)
		return set(d)(uint64(n), ok && n >= 0)
	case *float64:
		n, ok := simpleInt(raw)
		return set(d)(float64(n), ok)
	case *bool:
		return set(d)(simpleBool(raw))
	case *json.RawMessage:
		return set(d)(bytes.Clone(raw), d != nil)
	case *any:
		// What is in it may be a pointer to decode into, and other libraries may
		// be told to make numbers something else than float64.
		if d == nil || *d != nil || c.Unmarshal != nil {
			return false
		}
		return simpleAny(raw, d)
	}
	return false
}

// set returns a function that sets *dst if it can.
func set[T any](dst *T) func(v T, ok bool) bool {
	return func(v T, ok bool) bool {
		if ok && dst != nil {
			*dst = v
		}
		return ok && dst != nil
	}
}

func simpleBool(raw []byte) (v, ok bool) {
	switch string(raw) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func simpleAny(raw []byte, dst *any) bool {
	if s, ok := simpleString(raw); ok {
		*dst = s
		return true
	}
	if n, ok := simpleInt(raw); ok {
		*dst = float64(n)
		return true
	}
	if b, ok := simpleBool(raw); ok {
		*dst = b
		return true
	}
	return string(raw) == "null"
}

// decodeBinary decodes an argument that may have placeholders. Each becomes a
// string before the library sees the text; see [standIns].
func (c Codec) decodeBinary(raw []byte, attachments [][]byte, dst any) error {
	found, err := placeholders(raw, len(attachments), nil)
	if err == ErrPlaceholder {
		return err
	}
	v := reflect.ValueOf(dst)
	if err != nil || len(found) == 0 || v.Kind() != reflect.Pointer || v.IsNil() {
		return c.unmarshal(raw, dst)
	}
	if p := found[0]; p.start == 0 && p.end == len(raw) && direct(v.Elem(), attachments[p.num]) {
		return nil
	}
	if !affordable(found, attachments) {
		return ErrPlaceholder
	}
	tr := traitsOf(v.Type().Elem())
	if filled(v, 0) {
		tr |= ownTrait // for all that is known of what will be decoded into
	}
	s := newStandIns(attachments, tr)
	// After an error too: encoding/json goes on after a value of a wrong type,
	// and a stand-in is nothing for the user to find.
	err = c.unmarshal(s.rewrite(raw, found), dst)
	if !s.whole || s.mark {
		s.value(v.Elem())
	}
	return err
}

// direct sets a []byte or an interface to an attachment.
func direct(v reflect.Value, attachment []byte) bool {
	switch {
	case v.Kind() == reflect.Interface && v.NumMethod() == 0 && v.IsNil():
		v.Set(reflect.ValueOf(attachment))
		return true
	case traitsOf(v.Type()) == textTrait && isBinary(v.Type()) && v.Type() != rawType:
		v.SetBytes(attachment)
		return true
	}
	return false
}

// maxRepeats bounds how often a peer may have its bytes copied.
const maxRepeats = 16

// affordable reports whether the placeholders stand for no more than maxRepeats
// times the bytes of the attachments. Clients refer to each attachment once; a
// bad one could make a thousandfold of what it has sent.
func affordable(found []placeholder, attachments [][]byte) bool {
	total, sent := 0, 0
	for _, a := range attachments {
		sent += len(a)
	}
	for _, p := range found {
		total += len(attachments[p.num])
		if total > maxRepeats*sent {
			return false
		}
	}
	return true
}
