package args

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A field is a member of the JSON object of a struct.
type field struct {
	name      string
	key       string // the name as JSON, with its colon
	index     []int  // the way through embedded structs
	typ       reflect.Type
	plan      *plan
	tagged    bool // its name is from a tag
	hidden    bool // an embedded struct of an unexported type
	omitEmpty bool
	omitZero  bool
	quoted    reflect.Type // for the option "string": a struct with this field alone
}

// fieldsOf returns the members of the JSON object of a struct type in the order
// of their declaration: those that the rules of encoding/json let through, by
// which an embedded struct lends its fields to the outer one. Of a name that
// occurs more than once the least deep counts, then the one with a tag; if there
// are two of these, none does.
func fieldsOf(t reflect.Type) []field {
	var all []field
	level := []field{{typ: t}}
	visited := map[reflect.Type]bool{}
	for len(level) > 0 {
		// A struct type that is embedded twice at one depth hides its fields
		// from both; one that was met at a lesser depth adds nothing.
		times := map[reflect.Type]int{}
		var next []field
		for _, s := range level {
			times[s.typ]++
		}
		for _, s := range level {
			if visited[s.typ] {
				continue
			}
			visited[s.typ] = true
			members, embedded := declared(s)
			all = append(all, members...)
			if times[s.typ] > 1 {
				all = append(all, members...)
			}
			next = append(next, embedded...)
		}
		level = next
	}
	return dominant(all)
}

// declared returns the fields that the struct type of s declares for JSON, and
// the embedded structs that lend theirs.
func declared(s field) (members, embedded []field) {
	for i := range s.typ.NumField() {
		sf := s.typ.Field(i)
		pointee := sf.Type
		if pointee.Kind() == reflect.Pointer && pointee.Name() == "" {
			pointee = pointee.Elem()
		}
		isStruct := pointee.Kind() == reflect.Struct
		tag := sf.Tag.Get("json")
		if tag == "-" || !sf.IsExported() && !(sf.Anonymous && isStruct) {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		f := field{name: name, index: append(slices.Clone(s.index), i), typ: sf.Type, hidden: !sf.IsExported()}
		if f.tagged = isName(name); !f.tagged {
			if sf.Anonymous && isStruct {
				f.typ = pointee
				embedded = append(embedded, f)
				continue
			}
			f.name = sf.Name
		}
		f.key = string(appendString(nil, f.name)) + ":"
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "omitempty":
				f.omitEmpty = true
			case "omitzero":
				f.omitZero = true
			case "string":
				f.quoted = quotedType(sf.Type, pointee.Kind())
			}
		}
		members = append(members, f)
	}
	return members, embedded
}

// quotedType returns the type that makes the codec write a field with the
// option "string", or nil if the option is without effect.
func quotedType(t reflect.Type, kind reflect.Kind) reflect.Type {
	if kind == reflect.String || kind == reflect.Bool || reflect.Int <= kind && kind <= reflect.Float64 {
		return reflect.StructOf([]reflect.StructField{{Name: "V", Type: t, Tag: `json:"v,string"`}})
	}
	return nil
}

// dominant drops the fields that others of the same name hide.
func dominant(all []field) []field {
	slices.SortStableFunc(all, func(a, b field) int {
		tagged := 0
		if a.tagged != b.tagged {
			tagged = 1
			if a.tagged {
				tagged = -1
			}
		}
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(len(a.index), len(b.index)), tagged)
	})
	var kept []field
	for i := 0; i < len(all); {
		first := all[i]
		tied := i+1 < len(all) && all[i+1].name == first.name &&
			len(all[i+1].index) == len(first.index) && all[i+1].tagged == first.tagged
		if !tied {
			kept = append(kept, first)
		}
		for i < len(all) && all[i].name == first.name {
			i++
		}
	}
	slices.SortFunc(kept, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return kept
}

// isName reports whether a tag gives a name: quotes, backslashes, commas and
// control characters are not allowed in one.
func isName(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) {
			return false
		}
	}
	return s != ""
}

func (e *encoder) structure(v reflect.Value, fields []field) error {
	e.buf = append(e.buf, '{')
	some := false
	for i := range fields {
		f := &fields[i]
		fv, ok := f.of(v)
		if !ok || f.omitEmpty && isEmpty(fv) || f.omitZero && isZero(fv) {
			continue
		}
		if some {
			e.buf = append(e.buf, ',')
		}
		some = true
		e.buf = append(e.buf, f.key...)
		var err error
		if f.quoted != nil {
			err = e.quoted(fv, f.quoted)
		} else {
			err = e.value(fv, f.plan)
		}
		if err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

// of returns the field of a struct, or false if a nil pointer is in the way.
func (f *field) of(v reflect.Value) (reflect.Value, bool) {
	for i, n := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, true
}

// quoted appends a field with the option "string", whose many cases are left to
// encoding/json: it writes {"v":…}, and what is around is taken off.
func (e *encoder) quoted(v reflect.Value, t reflect.Type) error {
	s := reflect.New(t)
	s.Elem().Field(0).Set(v)
	arg := s.Interface()
	if !v.CanAddr() {
		arg = s.Elem().Interface()
	}
	start := len(e.buf)
	if err := e.standard(arg); err != nil {
		return err
	}
	const head = `{"v":`
	text := e.buf[start:]
	copy(text, text[len(head):len(text)-1])
	e.buf = e.buf[:len(e.buf)-len(head)-1]
	return nil
}

// isEmpty is the condition of the option "omitempty".
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct, reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return false
	}
	return v.IsZero()
}

// isZero is the condition of the option "omitzero": what a method IsZero says,
// of the field or of its address, else that it is the zero value.
func isZero(v reflect.Value) bool {
	type zeroer interface{ IsZero() bool }
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return true
		}
		if v.Kind() == reflect.Interface && v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
			return v.Type().Implements(reflect.TypeFor[zeroer]())
		}
	}
	if t := v.Type(); t.Implements(reflect.TypeFor[zeroer]()) {
		return v.Interface().(zeroer).IsZero()
	} else if reflect.PointerTo(t).Implements(reflect.TypeFor[zeroer]()) {
		boxed := reflect.New(t)
		boxed.Elem().Set(v)
		return boxed.Interface().(zeroer).IsZero()
	}
	return v.IsZero()
}
