package args

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
)

// traits say what a destination can reach, and so how binary gets there.
type traits uint8

const (
	textTrait      traits = 1 << iota // strings, []byte or json.RawMessage
	interfaceTrait                    // what JSON has there decides
	ownTrait                          // types that decode themselves
)

var (
	allTraits sync.Map // reflect.Type → traits

	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// DecodesItself reports whether a type, or one that it can reach, has its own
// UnmarshalJSON or UnmarshalText.
func DecodesItself(t reflect.Type) bool { return traitsOf(t)&ownTrait != 0 }

func traitsOf(t reflect.Type) traits {
	if tr, ok := allTraits.Load(t); ok {
		return tr.(traits)
	}
	tr := reach(t, map[reflect.Type]bool{})
	allTraits.Store(t, tr)
	return tr
}

// reach collects the traits of a type. seen has the types that are done.
func reach(t reflect.Type, seen map[reflect.Type]bool) traits {
	if t == rawType || t == reflect.TypeFor[json.Number]() {
		return textTrait
	}
	if seen[t] {
		return 0
	}
	seen[t] = true
	if unmarshals(t) {
		return ownTrait
	}
	switch t.Kind() {
	case reflect.Interface:
		return interfaceTrait
	case reflect.String:
		return textTrait
	case reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		if isBinary(t) {
			return textTrait | reach(t.Elem(), seen)
		}
		return reach(t.Elem(), seen)
	case reflect.Struct:
		var tr traits
		for i := range t.NumField() {
			if f := t.Field(i); sets(f) {
				tr |= reach(f.Type, seen)
			}
		}
		return tr
	}
	return 0
}

// unmarshals reports whether the type, or its address, decodes itself.
func unmarshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Implements(unmarshalerType) || t.Implements(textUnmarshalerType) ||
		p.Implements(unmarshalerType) || p.Implements(textUnmarshalerType)
}

// maxFilled is how deep filled looks for what the user left in a destination.
const maxFilled = 10

// filled reports whether an interface in v holds a pointer, which JSON libraries
// decode into: then the type of v does not tell all that they can reach. It
// says so too of what is nested deeply, or refers to itself.
func filled(v reflect.Value, depth int) bool {
	t := v.Type()
	if traitsOf(t)&interfaceTrait == 0 {
		return false
	}
	if depth > maxFilled {
		return true
	}
	switch v.Kind() {
	case reflect.Interface:
		return v.Elem().Kind() == reflect.Pointer
	case reflect.Pointer:
		return !v.IsNil() && filled(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if filled(v.Index(i), depth+1) {
				return true
			}
		}
	case reflect.Struct:
		for i := range t.NumField() {
			if sets(t.Field(i)) && filled(v.Field(i), depth+1) {
				return true
			}
		}
	}
	return false
}
