package args

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A plan says how the values of a type are encoded. It is immutable once it is
// in plans.
type plan struct {
	kind   planKind
	addr   bool // has an own encoding if it can be addressed: methods of its pointer
	elem   *plan
	fields []field
}

type planKind uint8

const (
	leafPlan      planKind = iota // for the codec: no binary in it
	scalarPlan                    // string, boolean or number
	binaryPlan                    // []byte
	rawPlan                       // json.RawMessage
	interfacePlan                 // depends on what is in it
	pointerPlan
	listPlan // slice or array
	mapPlan
	structPlan
)

var (
	plans sync.Map // reflect.Type → *plan

	rawType           = reflect.TypeFor[json.RawMessage]()
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	b := builder{}
	p := b.plan(t)
	// Only now: plans of types that contain each other are complete together.
	for t, p := range b {
		plans.LoadOrStore(t, p)
	}
	return p
}

// A builder holds the plans that are being made.
type builder map[reflect.Type]*plan

func (b builder) plan(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	if p := b[t]; p != nil {
		return p
	}
	p := new(plan)
	b[t] = p
	switch {
	case t == rawType:
		p.kind = rawPlan
	case isScalar(t):
		p.kind = scalarPlan
	case marshals(t) || !holdsBinary(t, map[reflect.Type]bool{}):
		p.kind = leafPlan
	default:
		b.fill(p, t)
	}
	return p
}

// fill makes the plan of a type that is taken apart.
func (b builder) fill(p *plan, t reflect.Type) {
	p.addr = t.Kind() != reflect.Pointer && marshals(reflect.PointerTo(t))
	switch t.Kind() {
	case reflect.Interface:
		p.kind = interfacePlan
	case reflect.Pointer:
		p.kind, p.elem = pointerPlan, b.plan(t.Elem())
	case reflect.Slice:
		if isBinary(t) {
			p.kind = binaryPlan
			return
		}
		p.kind, p.elem = listPlan, b.plan(t.Elem())
	case reflect.Array:
		p.kind, p.elem = listPlan, b.plan(t.Elem())
	case reflect.Map:
		p.kind, p.elem = mapPlan, b.plan(t.Elem())
	case reflect.Struct:
		p.kind, p.fields = structPlan, fieldsOf(t)
		for i := range p.fields {
			f := &p.fields[i]
			if f.hidden {
				f.plan = b.hidden(f.typ)
			} else {
				f.plan = b.plan(f.typ)
			}
		}
	}
}

// hidden makes the plan of an embedded field of an unexported struct type that
// a tag gives a name: reflect shows the fields of such a value, but does not
// hand it to the codec as a whole.
func (b builder) hidden(t reflect.Type) *plan {
	p := new(plan)
	if t.Kind() == reflect.Pointer {
		p.kind, p.elem = pointerPlan, b.hidden(t.Elem())
	} else {
		b.fill(p, t)
		p.addr = false
	}
	return p
}

func marshals(t reflect.Type) bool {
	return t.Implements(marshalerType) || t.Implements(textMarshalerType)
}

// isScalar tells the types that append knows how to write, and those like them.
func isScalar(t reflect.Type) bool {
	if marshals(reflect.PointerTo(t)) || t == reflect.TypeFor[json.Number]() {
		return false
	}
	k := t.Kind()
	return k == reflect.String || k == reflect.Bool || reflect.Int <= k && k <= reflect.Float64
}

// isBinary tells the slice types that encoding/json writes in base64.
func isBinary(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !marshals(reflect.PointerTo(t.Elem()))
}

// holdsBinary reports whether a value of the type may have to be taken apart.
// seen has the types that are being looked at.
func holdsBinary(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == rawType || isBinary(t) && !marshals(t) {
		return true
	}
	if seen[t] || marshals(t) {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holdsBinary(t.Elem(), seen)
	case reflect.Map:
		return isKey(t.Key()) && holdsBinary(t.Elem(), seen)
	case reflect.Struct:
		return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return holdsBinary(f.typ, seen) })
	}
	return false
}

// isKey reports whether encoding/json takes a type for the keys of a map. It
// words the error for a type that it does not take.
func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return t.Implements(textMarshalerType)
}

// keyText returns the text of a map key.
func keyText(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if k.Type().Implements(textMarshalerType) {
		if k.Kind() == reflect.Pointer && k.IsNil() {
			return "", nil
		}
		text, err := k.Interface().(encoding.TextMarshaler).MarshalText()
		return string(text), err
	}
	if k.CanInt() {
		return strconv.FormatInt(k.Int(), 10), nil
	}
	return strconv.FormatUint(k.Uint(), 10), nil
}

// value appends a value by its plan.
func (e *encoder) value(v reflect.Value, p *plan) error {
	if p.kind == leafPlan || p.addr && v.CanAddr() {
		if v.CanAddr() {
			v = v.Addr() // encoding/json looks for methods of the pointer too
		}
		return e.leaf(v.Interface())
	}
	switch p.kind {
	case scalarPlan:
		return e.scalar(v)
	case binaryPlan:
		e.binary(v.Bytes())
		return nil
	case rawPlan:
		return e.raw(v.Bytes())
	case interfacePlan:
		return e.append(v.Interface())
	}
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Map || k == reflect.Slice) && v.IsNil() {
		e.null()
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	var err error
	switch p.kind {
	case pointerPlan:
		err = e.value(v.Elem(), p.elem)
	case listPlan:
		err = e.list(v, p.elem)
	case mapPlan:
		err = e.mapping(v, p.elem)
	case structPlan:
		err = e.structure(v, p.fields)
	}
	e.depth--
	return err
}

func (e *encoder) scalar(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		e.buf = appendString(e.buf, v.String())
	case v.Kind() == reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case v.CanInt():
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case v.CanUint():
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	default:
		return e.float(v.Float(), v.Type().Bits())
	}
	return nil
}

func (e *encoder) list(v reflect.Value, elem *plan) error {
	e.buf = append(e.buf, '[')
	for i := range v.Len() {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(v.Index(i), elem); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

func (e *encoder) mapping(v reflect.Value, elem *plan) error {
	if m, ok := reflect.TypeAssert[map[string]any](v); ok {
		return e.object(m)
	}
	type entry struct {
		key   string
		value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := keyText(it.Key())
		if err != nil {
			return err
		}
		entries = append(entries, entry{key, it.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	e.buf = append(e.buf, '{')
	for i, en := range entries {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(appendString(e.buf, en.key), ':')
		if err := e.value(en.value, elem); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}
