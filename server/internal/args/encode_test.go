package args_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/args"
)

// standard returns what encoding/json makes of a value, without the escaping of
// HTML.
func standard(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

type (
	text    string
	upper   string // has MarshalText
	byPtr   struct{ N int }
	byPtrT  struct{ N int }
	byValue struct{ N int }
	custom  []byte // has MarshalJSON
	myBool  bool
	key     struct{ a, b string }
	zeroer  struct{ N int }
	zeroerP struct{ N int }
	inner   struct {
		A, B int
		X    any
	}
	Middle struct {
		inner
		B int `json:"b,omitempty"`
	}
	Other struct {
		A int
		C any `json:"C"`
	}
	deep     struct{ Middle }
	twiceA   struct{ Same any }
	twiceB   struct{ Same any }
	outerTwo struct {
		twiceA
		twiceB
		Own any
	}
	tree struct {
		Value any
		Kids  []*tree          `json:"kids,omitempty"`
		ByKey map[string]*tree `json:",omitzero"`
	}
	loop struct {
		Next *loop
		X    any
	}
)

func (u upper) MarshalText() ([]byte, error)     { return []byte(strings.ToUpper(string(u))), nil }
func (p *byPtr) MarshalJSON() ([]byte, error)    { return []byte(`"by pointer"`), nil }
func (p *byPtrT) MarshalText() ([]byte, error)   { return []byte(`text by pointer`), nil }
func (p byValue) MarshalJSON() ([]byte, error)   { return []byte(` { "by" : "value<" } `), nil }
func (c custom) MarshalJSON() ([]byte, error)    { return json.Marshal(string(c)) }
func (k key) MarshalText() ([]byte, error)       { return []byte(k.b + k.a), nil }
func (z zeroer) IsZero() bool                    { return z.N == 7 }
func (z *zeroerP) IsZero() bool                  { return z == nil || z.N == 7 }
func ptr[T any](v T) *T                          { return &v }
func interfaces(v any) (a any, b []any, c error) { return &v, []any{v, &v}, nil }

type options struct {
	Skip    any     `json:"-"`
	Named   any     `json:"na<me"`
	Omit    any     `json:",omitempty"`
	OmitM   []any   `json:"m,omitempty"`
	OmitA   [0]any  `json:",omitempty"`
	OmitS   inner   `json:",omitempty"`
	Zero    inner   `json:",omitzero"`
	ZeroI   any     `json:",omitzero"`
	ZeroT   zeroer  `json:",omitzero"`
	ZeroP   zeroerP `json:",omitzero"`
	ZeroPP  *zeroer `json:",omitzero"`
	Time    time.Time
	Quoted  int           `json:",string"`
	QuotedS string        `json:",string"`
	QuotedP *float64      `json:",string"`
	QuotedN json.Number   `json:",string"`
	QuotedB myBool        `json:"qb,string,omitempty"`
	QuotedM upper         `json:",string"`
	Ptr     byPtr         // its method counts only where the struct can be addressed
	PtrT    byPtrT        //
	Slice   []byPtr       //
	Map     map[key]byPtr //
	private any
}

type tagged struct {
	inner  `json:"named"`
	*Other `json:"other"`
	text
	Y any
}

// oddTags returns a struct with tags that linters rightly do not like.
func oddTags() any {
	var fields []reflect.StructField
	for i, tag := range []string{`json:"-,"`, `json:"a\"b"`, `json:",string"`, `json:" ,omitempty , string"`, `json:"ünï/😀"`, `json:"a,b,,"`, `json:"`} {
		fields = append(fields, reflect.StructField{Name: string(rune('A' + i)), Type: reflect.TypeFor[any](), Tag: reflect.StructTag(tag)})
	}
	v := reflect.New(reflect.StructOf(fields)).Elem()
	for i := range fields {
		v.Field(i).Set(reflect.ValueOf(i))
	}
	return v.Interface()
}

func values() []any {
	full := options{
		Skip: 1, Named: "<&>", Omit: "", OmitM: []any{}, ZeroT: zeroer{7}, ZeroP: zeroerP{7},
		ZeroPP: &zeroer{1}, QuotedP: ptr(1e-9), QuotedN: "12", QuotedB: true, QuotedS: "a\"<b", QuotedM: "x",
		Slice: []byPtr{{}}, Map: map[key]byPtr{{"1", "2"}: {}, {"2", "1"}: {}}, private: 1,
	}
	var nilReader json.Marshaler
	all := []any{
		nil, true, false, 0, -1, int8(-8), int16(16), int32(-32), int64(math.MinInt64), uint(1), uint8(255), uint16(2),
		uint32(math.MaxUint32), uint64(math.MaxUint64), uintptr(9), 0.0, math.Copysign(0, -1), 1.5, 1e20, 1e21, 1e-6, 9.9e-7,
		1e-10, 1e100, math.MaxFloat64, math.SmallestNonzeroFloat64, 123456789.123, float32(0.1), float32(1e21), float32(1e-6),
		float32(1e-7), float32(math.MaxFloat32), float32(9.999999e20), "", "text", "<a href=\"x\">&", "\x00\x1f\x7f\b\f\n\r\t\\/",
		"ünï😀", "bad\xff\xc0utf8\xed\xa0\x80", "\u2028\u2029\ufffd", strings.Repeat("x", 1000),
		text("t"), upper("abc"), byPtr{1}, &byPtr{1}, byPtrT{1}, &byPtrT{1}, byValue{}, &byValue{}, (*byValue)(nil), custom("c"),
		[3]byte{1, 2, 3}, [0]any{}, [2]any{1, "x"}, []int(nil), []int{}, []int{1}, []any(nil), []any{}, []any{nil, 1, "a", []any{2}},
		map[string]any(nil), map[string]any{}, map[string]any{"b": 1, "a": map[string]any{"<": nil}, "\xff": 2},
		map[int]any{10: 1, 9: 2, -1: 3}, map[uint8]any{200: 1, 30: 2}, map[text]any{"t": 1}, map[upper]any{"t": 1},
		map[key]any{{"1", "2"}: 1, {"0", "3"}: 2}, map[*key]any{nil: 1}, map[string]int{"z": 1, "y": 2}, map[string][]string{"a": nil},
		json.Number("12.50"), json.Number(""), json.RawMessage(` { "a" : [ 1 , "<" ] } `), ptr(json.RawMessage(`1`)),
		time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), big.NewInt(77), netip.MustParseAddr("::1"), errors.New("e"), nilReader,
		inner{1, 2, "x"}, Middle{inner{1, 2, 3}, 4}, deep{Middle{inner{1, 2, 3}, 0}}, &deep{}, outerTwo{twiceA{1}, twiceB{2}, 3},
		tagged{inner: inner{1, 2, 3}, Other: &Other{1, 2}, text: "t"}, tagged{}, &tagged{Y: 1},
		struct {
			Middle
			*Other
		}{Middle{inner{1, 2, 3}, 4}, nil},
		struct {
			Middle
			Other
			A any
		}{A: "own"},
		oddTags(), full, &full, []options{full}, options{}, &options{}, map[string]options{"o": full},
		tree{1, []*tree{{2, nil, nil}, nil}, map[string]*tree{"k": {3, nil, map[string]*tree{}}}}, &tree{}, (*tree)(nil),
		ptr(ptr(ptr(any("deep")))), []*int{nil, ptr(1)}, struct{}{}, struct{ a any }{1},
	}
	for i := range len(all) {
		a, b, _ := interfaces(all[i])
		all = append(all, a, b, map[string]any{"k": all[i]}, struct{ V any }{all[i]})
	}
	return all
}

func TestTextIsThatOfEncodingJSON(t *testing.T) {
	for _, v := range values() {
		want, err := standard([]any{v, v})
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		p, err := args.Codec{}.EncodeArgs([]any{v, v})
		if err != nil {
			t.Errorf("%T %+v: %v", v, v, err)
			continue
		}
		if string(p.Args) != want {
			t.Errorf("%T %+v:\n got %s\nwant %s", v, v, p.Args, want)
		}
		if p.Attachments != nil {
			t.Errorf("%T %+v: has attachments", v, v)
		}
		plugged, err := args.Codec{Marshal: json.Marshal}.EncodeArgs([]any{v, v})
		if err != nil || !reflect.DeepEqual(decoded(t, plugged.Args), decoded(t, p.Args)) {
			t.Errorf("%T %+v: with another codec %s, %v", v, v, plugged.Args, err)
		}
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return v
}

func TestEncodeEvent(t *testing.T) {
	for _, tc := range []struct {
		event string
		args  []any
		want  string
	}{
		{"x", nil, `["x"]`},
		{"", []any{}, `[""]`},
		{"a\"b", []any{1, nil, "s"}, `["a\"b",1,null,"s"]`},
	} {
		p, err := args.Codec{}.EncodeEvent(tc.event, tc.args)
		if err != nil || string(p.Args) != tc.want {
			t.Errorf("got %s, %v, want %s", p.Args, err, tc.want)
		}
	}
	if p, err := (args.Codec{}).EncodeArgs(nil); err != nil || string(p.Args) != "[]" {
		t.Errorf("no arguments: %s, %v", p.Args, err)
	}
}

type (
	blob     []byte
	octet    byte
	withBlob struct {
		Name string `json:"name"`
		Blob blob   `json:"blob,omitempty"`
		More struct{ Parts map[string][]byte }
		Ptr  *[]byte
		Any  any
		Oct  []octet
	}
	Embedded  struct{ Data []byte }
	embedding struct {
		*Embedded
		After int
	}
)

func TestEncodeBinary(t *testing.T) {
	a, b, c := []byte("a"), []byte("bb"), []byte{}
	ph := func(n string) string { return `{"_placeholder":true,"num":` + n + `}` }
	for _, tc := range []struct {
		name        string
		args        []any
		want        string
		attachments [][]byte
	}{
		{"top level", []any{a, 1, b}, `[` + ph("0") + `,1,` + ph("1") + `]`, [][]byte{a, b}},
		{"nil and empty", []any{[]byte(nil), c, blob(nil)}, `[null,` + ph("0") + `,null]`, [][]byte{c}},
		{"named", []any{blob(a), &a, ptr(&b), []octet{'a'}}, `[` + ph("0") + `,` + ph("1") + `,` + ph("2") + `,` + ph("3") + `]`, [][]byte{a, a, b, a}},
		{"map", []any{map[string]any{"z": a, "a": b}}, `[{"a":` + ph("0") + `,"z":` + ph("1") + `}]`, [][]byte{b, a}},
		{"typed map", []any{map[int][]byte{2: a, 1: b}}, `[{"1":` + ph("0") + `,"2":` + ph("1") + `}]`, [][]byte{b, a}},
		{"slices", []any{[]any{a, []any{b}}, [][]byte{a, nil}, [1][]byte{b}}, `[[` + ph("0") + `,[` + ph("1") + `]],[` + ph("2") + `,null],[` + ph("3") + `]]`, [][]byte{a, b, a, b}},
		{"struct", []any{&withBlob{Name: "n", Blob: blob(a), Ptr: &b, Any: map[string][]byte{"k": a}}},
			`[{"name":"n","blob":` + ph("0") + `,"More":{"Parts":null},"Ptr":` + ph("1") + `,"Any":{"k":` + ph("2") + `},"Oct":null}]`, [][]byte{a, b, a}},
		{"empty is omitted", []any{withBlob{Blob: blob{}}}, `[{"name":"","More":{"Parts":null},"Ptr":null,"Any":null,"Oct":null}]`, nil},
		{"embedded", []any{embedding{&Embedded{a}, 1}, embedding{}}, `[{"Data":` + ph("0") + `,"After":1},{"After":0}]`, [][]byte{a}},
		{"own encoding", []any{custom("c"), []any{custom("c"), b}}, `["c",["c",` + ph("0") + `]]`, [][]byte{b}},
		{"raw", []any{json.RawMessage(nil), json.RawMessage{}, struct{ R json.RawMessage }{json.RawMessage{}}, a}, `[null,null,{"R":null},` + ph("0") + `]`, [][]byte{a}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := args.Codec{}.EncodeArgs(tc.args)
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Args) != tc.want {
				t.Errorf("got  %s\nwant %s", p.Args, tc.want)
			}
			if len(p.Attachments) != len(tc.attachments) {
				t.Fatalf("%d attachments, want %d", len(p.Attachments), len(tc.attachments))
			}
			for i, want := range tc.attachments {
				if !bytes.Equal(p.Attachments[i], want) {
					t.Errorf("attachment %d: %q, want %q", i, p.Attachments[i], want)
				}
			}
		})
	}
	p, _ := args.Codec{}.EncodeArgs([]any{b})
	if &p.Attachments[0][0] != &b[0] {
		t.Error("attachment was copied")
	}
}

type panics struct{ value any }

func (p panics) MarshalJSON() ([]byte, error) { panic(p.value) }

func TestEncodeErrors(t *testing.T) {
	cyclicMap := map[string]any{}
	cyclicMap["self"] = cyclicMap
	cyclicSlice := make([]any, 1)
	cyclicSlice[0] = cyclicSlice
	cyclicStruct := &loop{}
	cyclicStruct.Next = cyclicStruct
	var cyclicPointer any
	cyclicPointer = &cyclicPointer
	forged := map[string]any{"_placeholder": true, "num": 0}
	for _, tc := range []struct {
		name string
		arg  any
		is   error
		as   any
	}{
		{"map", cyclicMap, args.ErrTooDeep, nil},
		{"slice", cyclicSlice, args.ErrTooDeep, nil},
		{"struct", cyclicStruct, args.ErrTooDeep, nil},
		{"pointer", cyclicPointer, args.ErrTooDeep, nil},
		{"func", func() {}, nil, new(*json.UnsupportedTypeError)},
		{"channel in a map", map[string]any{"c": make(chan int)}, nil, new(*json.UnsupportedTypeError)},
		{"keys", map[struct{ A int }]any{{1}: 1}, nil, new(*json.UnsupportedTypeError)},
		{"complex", struct {
			X any
			C complex128
		}{}, nil, new(*json.UnsupportedTypeError)},
		{"NaN", math.NaN(), nil, new(*json.UnsupportedValueError)},
		{"infinite", []any{float32(math.Inf(-1))}, nil, new(*json.UnsupportedValueError)},
		{"raw", json.RawMessage(`{"a":}`), nil, new(*json.SyntaxError)},
		{"raw in a struct", struct{ R json.RawMessage }{json.RawMessage(`1 2`)}, nil, new(*json.SyntaxError)},
		{"panic", panics{"text"}, args.ErrPanic, nil},
		{"panic within", []any{map[string]any{"p": panics{errors.New("e")}}}, args.ErrPanic, nil},
		{"nil pointer with IsZero", struct {
			X any
			p panics
		}{X: panics{nil}}, args.ErrPanic, nil},
		{"forged placeholder", []any{[]byte("a"), forged}, args.ErrPlaceholder, nil},
		{"forged number", []any{map[string]any{"_placeholder": true, "num": 99}, []byte("a")}, args.ErrPlaceholder, nil},
		{"forged around", map[string]any{"_placeholder": true, "num": 0, "x": []byte("a")}, args.ErrPlaceholder, nil},
		{"forged raw", []any{[]byte("a"), json.RawMessage(`{"num":0,"\u005fplaceholder":true}`)}, args.ErrPlaceholder, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := args.Codec{}.EncodeEvent("e", []any{"ok", tc.arg})
			var argErr *args.ArgumentError
			if !errors.As(err, &argErr) || argErr.Index != 1 || argErr.Type != reflect.TypeOf(tc.arg) {
				t.Fatalf("got %v, want an error of argument 1", err)
			}
			if tc.is != nil && !errors.Is(err, tc.is) || tc.as != nil && !errors.As(err, tc.as) {
				t.Errorf("got %v", err)
			}
			if p, err := (args.Codec{}).EncodeArgs([]any{[]any{1}, []byte("x")}); err != nil || len(p.Attachments) != 1 {
				t.Errorf("the next packet: %v, %v", p, err)
			}
		})
	}
	for _, list := range [][]any{
		{forged, []byte("a"), []byte("b")},
		{[]byte("a"), []byte("b"), map[string]any{"_placeholder": true, "num": 99}},
		{json.RawMessage(`[{"\u005fplaceholder":true}]`), []byte("a")},
		{message{}, []byte("a"), &[]any{forged}},
	} {
		if p, err := (args.Codec{}).EncodeArgs(list); !errors.Is(err, args.ErrPlaceholder) {
			t.Errorf("forged beside binary in another argument: %v, %v", p, err)
		}
	}
	var argErr *args.ArgumentError
	if _, err := (args.Codec{}).EncodeEvent("e", []any{[]byte("a"), 1, []any{forged}, "s"}); !errors.As(err, &argErr) || argErr.Index != 2 {
		t.Errorf("forged beside binary: %v, want argument 2", err)
	}
	if _, err := (args.Codec{}).EncodeArgs([]any{forged}); err != nil {
		t.Errorf("plain data without attachments: %v", err)
	}
	if _, err := (args.Codec{Marshal: func(any) ([]byte, error) { return nil, nil }}).EncodeArgs([]any{byValue{}}); err == nil {
		t.Error("a codec that returns nothing: no error")
	}
}
