package args_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/args"
)

func placeholder(n int) string { return fmt.Sprintf(`{"_placeholder":true,"num":%d}`, n) }

type (
	// opaque reads base64 by itself.
	opaque struct{ got []byte }
	names  string

	mixed struct {
		Name  string
		Blob  blob
		Parts [][]byte
		ByKey map[string][]byte
		Fixed [2][]byte
		Ptr   **[]byte
		Raw   json.RawMessage
		Str   names
		Same  []byte
		inner2
		*Embedded
	}
	inner2  struct{ Lent []byte }
	withAny struct {
		mixedPart
		Meta any
		List []any
		Map  map[string]any
		Err  *any
	}
	mixedPart struct {
		Blob  blob
		Raw   json.RawMessage
		Str   names
		ByKey map[names]names
	}
	withOwn struct {
		At   time.Time
		Own  opaque
		Blob []byte
	}
	withBoth struct {
		withOwn
		Meta any
		Raw  json.RawMessage
		Str  string
	}
)

func (o *opaque) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &o.got) }

func TestDecodeBinary(t *testing.T) {
	a, b, empty := []byte("attachment a"), []byte{0xff, 0, 1}, []byte{}
	a64, b64 := base64.StdEncoding.EncodeToString(a), base64.StdEncoding.EncodeToString(b)
	attachments := [][]byte{a, b, empty}
	p0, p1, p2 := placeholder(0), placeholder(1), placeholder(2)
	for _, tc := range []struct {
		name string
		raw  string
		dst  any
		want any
	}{
		{"bytes", p0, new([]byte), a},
		{"named", p1, new(blob), blob(b)},
		{"empty", p2, new([]byte), empty},
		{"any", p0, new(any), any(a)},
		{"pointers", p0, new(**[]byte), ptr(ptr(a))},
		{"string", p0, new(string), a64},
		{"raw", "[" + p0 + "]", new(json.RawMessage), json.RawMessage(`["` + a64 + `"]`)},
		{"own", p1, new(opaque), opaque{b}},
		{"key order and space", " {\n\"num\" : 1 ,\t\"_placeholder\" : true } ", new([]byte), b},
		{"escaped keys, others", `{"\u006eum":1,"x":[{}],"_place\u0068older":true}`, new([]byte), b},
		{"last key counts", `{"num":0,"_placeholder":false,"num":1,"_placeholder":true}`, new(any), any(b)},
		{"not one", `{"_placeholder":false,"num":0}`, new(any), any(map[string]any{"_placeholder": false, "num": 0.0})},
		{"in a string", `["{\"_placeholder\":true,\"num\":9}", {}]`, new(any), any([]any{`{"_placeholder":true,"num":9}`, map[string]any{}})},
		{"within a placeholder", `{"_placeholder":true,"num":0,"x":` + p1 + `}`, new(any), any(a)},
		{"any tree", `{"a":[` + p0 + `,{"b":` + p1 + `},"s",1,null,true],"e":` + p2 + `}`, new(any),
			any(map[string]any{"a": []any{a, map[string]any{"b": b}, "s", 1.0, nil, true}, "e": empty})},
		{"map", `{"x":` + p1 + `,"y":` + p1 + `}`, new(map[string][]byte), map[string][]byte{"x": b, "y": b}},
		{"mixed", `{"name":"n","blob":` + p0 + `,"Parts":[` + p1 + `,"` + a64 + `",null,` + p2 + `],"ByKey":{"k":` + p0 + `},"Fixed":[` + p0 + `],
			"Ptr":` + p1 + `,"Raw":{"r":` + p0 + `},"Str":` + p1 + `,"Same":` + p0 + `,"Lent":` + p1 + `,"Data":` + p0 + `,"Unknown":` + p0 + `}`, new(mixed),
			mixed{Name: "n", Blob: a, Parts: [][]byte{b, a, nil, empty}, ByKey: map[string][]byte{"k": a}, Fixed: [2][]byte{a}, Ptr: ptr(ptr(b)),
				Raw: json.RawMessage(`{"r":"` + a64 + `"}`), Str: names(b64), Same: a, inner2: inner2{b}, Embedded: &Embedded{a}}},
		{"struct with any", `{"Blob":` + p0 + `,"Raw":` + p0 + `,"Str":` + p1 + `,"ByKey":{"k":` + p1 + `},"Meta":` + p1 + `,"List":[` + p0 + `,[` + p1 + `]],"Map":{"m":` + p0 + `},"Err":` + p1 + `}`, new(withAny),
			withAny{mixedPart{a, json.RawMessage(`"` + a64 + `"`), names(b64), map[names]names{"k": names(b64)}}, b, []any{a, []any{b}}, map[string]any{"m": a}, ptr(any(b))}},
		{"with own", `{"At":"2026-01-02T03:04:05Z","Own":` + p0 + `,"Blob":` + p1 + `}`, new(withOwn), withOwn{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), opaque{a}, b}},
		{"own and any", `{"Own":` + p0 + `,"Blob":` + p1 + `,"Meta":{"m":[` + p1 + `,` + p2 + `,""]},"Raw":{"r":` + p1 + `},"Str":` + p0 + `}`, new(withBoth),
			withBoth{withOwn{Own: opaque{a}, Blob: b}, map[string]any{"m": []any{b, empty, ""}}, json.RawMessage(`{"r":"` + b64 + `"}`), a64}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := (args.Codec{}).Decode([]byte(tc.raw), attachments, tc.dst); err != nil {
				t.Fatal(err)
			}
			if got := reflect.ValueOf(tc.dst).Elem().Interface(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestDecodeDoesNotCopyAttachments(t *testing.T) {
	a := []byte("attachment")
	var top []byte
	var within struct{ B []byte }
	var tree map[string]any
	for raw, dst := range map[string]any{placeholder(0): &top, `{"B": ` + placeholder(0) + `}`: &within, `{"a":` + placeholder(0) + `}`: &tree} {
		if err := (args.Codec{}).Decode([]byte(raw), [][]byte{a}, dst); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range [][]byte{top, within.B, tree["a"].([]byte)} {
		if &got[0] != &a[0] {
			t.Errorf("attachment %d was copied", i)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	many := "[" + strings.Repeat(placeholder(0)+",", 40) + "null]"
	for _, tc := range []struct {
		name string
		raw  string
		dst  any
		is   error
	}{
		{"out of range", placeholder(1), new([]byte), args.ErrPlaceholder},
		{"out of range, deep", `[[{"x":` + placeholder(7) + `}]]`, new(any), args.ErrPlaceholder},
		{"negative", placeholder(-1), new(any), args.ErrPlaceholder},
		{"fraction", `{"_placeholder":true,"num":0.5}`, new(any), args.ErrPlaceholder},
		{"huge", `{"_placeholder":true,"num":99999999999999999999}`, new(any), args.ErrPlaceholder},
		{"no number", `{"_placeholder":true}`, new(any), args.ErrPlaceholder},
		{"text for a number", `{"_placeholder":true,"num":"0"}`, new(any), args.ErrPlaceholder},
		{"multiplied", many, new([]string), args.ErrPlaceholder},
		{"multiplied in raw", many, new(json.RawMessage), args.ErrPlaceholder},
		{"another type", placeholder(0), new(int), nil},
		{"malformed", `{"a":` + placeholder(0), new(any), nil},
		{"malformed 2", `{"a" ` + placeholder(0) + `}`, new(any), nil},
		{"nil", placeholder(0), nil, nil},
		{"no pointer", placeholder(0), "", nil},
		{"nil pointer", placeholder(0), (*[]byte)(nil), nil},
		{"nil pointer to any", `1`, (*any)(nil), nil},
		{"nil pointer to string", `"s"`, (*string)(nil), nil},
		{"panic", `[` + placeholder(0) + `]`, new([]unmarshalPanics), args.ErrPanic},
		{"panic without binary", `1`, new(unmarshalPanics), args.ErrPanic},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := (args.Codec{}).Decode([]byte(tc.raw), [][]byte{[]byte("a")}, tc.dst)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("got %v, want %v", err, tc.is)
			}
		})
	}
}

type unmarshalPanics struct{}

func (*unmarshalPanics) UnmarshalJSON([]byte) error { panic("bad") }

// What the user left in dst may refer to itself.
func TestDecodeIntoCycle(t *testing.T) {
	type node struct {
		Next *node
		Data []byte
		X    any
	}
	n := &node{}
	n.Next, n.X = n, []any{n}
	if err := (args.Codec{}).Decode([]byte(`{"Data":`+placeholder(0)+`}`), [][]byte{{1}}, n); err != nil || !bytes.Equal(n.Data, []byte{1}) {
		t.Errorf("got %v, %v", n.Data, err)
	}
}

// In an interface may be a pointer, which json.Unmarshal decodes into.
func TestDecodeIntoFilled(t *testing.T) {
	a := []byte("attachment")
	o, w, inner := &opaque{}, &withOwn{}, &withOwn{}
	var top, topStruct any = o, w
	envelope := struct{ Body any }{inner}
	for raw, dst := range map[string]any{
		placeholder(0): &top,
		`{"Own":` + placeholder(0) + `,"Blob":` + placeholder(0) + `}`:          &topStruct,
		`{"Body":{"Own":` + placeholder(0) + `,"Blob":` + placeholder(0) + `}}`: &envelope,
	} {
		if err := (args.Codec{}).Decode([]byte(raw), [][]byte{a}, dst); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for i, got := range [][]byte{o.got, w.Own.got, w.Blob, inner.Own.got, inner.Blob} {
		if !bytes.Equal(got, a) {
			t.Errorf("value %d: %q", i, got)
		}
	}
}

// encoding/json decodes the rest after a value of a wrong type.
func TestDecodeLeavesNoStandInAfterError(t *testing.T) {
	var v struct {
		N int
		B []byte
		X any
		S string
	}
	a := []byte("attachment")
	err := (args.Codec{}).Decode([]byte(`{"N":"x","B":`+placeholder(0)+`,"X":`+placeholder(0)+`,"S":`+placeholder(0)+`}`), [][]byte{a}, &v)
	var typeErr *json.UnmarshalTypeError
	if !errors.As(err, &typeErr) {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(v.B, a) || !reflect.DeepEqual(v.X, any(a)) || v.S != base64.StdEncoding.EncodeToString(a) {
		t.Errorf("got %+v", v)
	}
}

// The race detector sees it if a field is touched that JSON does not reach.
func TestDecodeLeavesHiddenFieldsAlone(t *testing.T) {
	shared := map[string]any{"k": "v"}
	v := struct {
		B []byte
		X any
		M map[string]any `json:"-"`
	}{M: shared}
	read := make(chan any)
	go func() { read <- shared["k"] }()
	err := (args.Codec{}).Decode([]byte(`{"B":`+placeholder(0)+`}`), [][]byte{{1}}, &v)
	if got := <-read; err != nil || got != "v" || !bytes.Equal(v.B, []byte{1}) {
		t.Errorf("got %v, %v, %v", got, v.B, err)
	}
}

// destinations returns a fresh value of each type with a fast path, and of some
// without.
func destinations() []any {
	return []any{new(string), new(int), new(int64), new(uint64), new(float64), new(bool), new(any), new([]byte),
		new(int8), new(map[string]any), new(names), ptr(any(new(string))), ptr("old"), ptr(any("old"))}
}

func TestDecodeWithoutBinary(t *testing.T) {
	for _, raw := range []string{
		`""`, `"s"`, `"ünï😀"`, `"a\n\u00e9\ud83d\ude00\ud800\"\\"`, "\"\x00\"", "\"\xff\"", `"`, `"a"b"`, `"a\"`,
		`0`, `-0`, `-1`, `12`, `01`, `-`, `+1`, `1.5`, `1e3`, `127`, `128`, `123456789012345`, `1234567890123456789`, `18446744073709551615`, `99999999999999999999`,
		`true`, `false`, `null`, `tru`, ``, ` `, ` 1 `, `[1,"a",{}]`, `{"a":{"_placeholder":true,"num":0}}`, `{}`, `[`, `"YWJj"`, `"!"`, `[1,2]`,
	} {
		for _, attachments := range [][][]byte{nil, {[]byte("unused")}} {
			if len(attachments) > 0 && strings.Contains(raw, "_placeholder") {
				continue
			}
			got, want := destinations(), destinations()
			for i := range got {
				compareDecode(t, raw, attachments, got[i], want[i])
			}
		}
	}
}

// compareDecode holds Decode against encoding/json.
func compareDecode(t *testing.T, raw string, attachments [][]byte, got, want any) {
	t.Helper()
	text := []byte(raw)
	errGot := (args.Codec{}).Decode(text, attachments, got)
	clear(text) // dst must not depend on it
	errWant := json.Unmarshal([]byte(raw), want)
	if (errGot == nil) != (errWant == nil) {
		t.Errorf("%q into %T: error %v, want %v", raw, got, errGot, errWant)
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q into %T: got %#v, want %#v", raw, got, reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem())
	}
}

func TestDecodeRaw(t *testing.T) {
	text := []byte(`{"a": 1}`)
	old := json.RawMessage("old and long enough")
	kept := old
	if err := (args.Codec{}).Decode(text, nil, &old); err != nil || string(old) != `{"a": 1}` {
		t.Errorf("got %s, %v", old, err)
	}
	clear(text)
	if string(old) != `{"a": 1}` || string(kept) != "old and long enough" {
		t.Errorf("shares memory: %s, %s", old, kept)
	}
}

func TestDecodePluggedCodec(t *testing.T) {
	calls := 0
	c := args.Codec{Unmarshal: func(text []byte, dst any) error {
		calls++
		return json.Unmarshal(text, dst)
	}}
	var number any
	useNumber := args.Codec{Unmarshal: func(text []byte, dst any) error {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		return d.Decode(dst)
	}}
	if err := useNumber.Decode([]byte("12"), nil, &number); err != nil || number != json.Number("12") {
		t.Errorf("got %#v, %v", number, err)
	}
	var v withAny
	if err := c.Decode([]byte(`{"Blob":`+placeholder(0)+`}`), [][]byte{{1}}, &v); err != nil || calls != 1 || !bytes.Equal(v.Blob, []byte{1}) {
		t.Errorf("got %v, %v, %d calls", v.Blob, err, calls)
	}
}
