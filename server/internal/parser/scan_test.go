package parser_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/parser"
)

// jsonDepth is the nesting at which encoding/json gives up.
const jsonDepth = 10_000

var jsonSeeds = []string{
	``, ` `, `[`, `]`, `{`, `}`, `,`, `1,2`, `"`, `"\`, `"\u`, `"\u00`, `"\u00e9"`, `"\ud83d\ude00"`, `"\ud800"`, `"\a"`,
	`0`, `-`, `-0`, `00`, `01`, `1.`, `1.5`, `.5`, `1e`, `1e+`, `1e-5`, `1E400`, `+1`, `-a`, `1 2`, `1e5.5`,
	`true`, `tru`, `truex`, `null`, `nul`, `false`, `fals`, `True`,
	`[]`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1 1]`, `[[],{}]`, `[1,[2,[3]]],4`,
	`{}`, `{ }`, `{"a":1}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{a:1}`, `{1:1}`, `{"a" : 1 , "b":[]}`, `{"a":1]`, `[1}`, `{"a":1,"a":2}`,
	"\t\n\r 1 ", "\f1", "\u00a01", "\ufeff1", "\"\x7f\"", "\"\x1f\"", "\"\xff\"", "\"\u2028é\"", "\"\xc0\xaf\"", "\"aaaaaaaaaaaaaaa\\\"\"", "\"aaaaaaaé\x01\"", "\x00",
	`{"_placeholder":true,"num":0}`, `/**/1`, `"a" "b"`,
}

// checkScan compares Scan with what encoding/json makes of the same text.
func checkScan(t *testing.T, data []byte) {
	t.Helper()
	want := json.Valid(data) && utf8.Valid(data)
	var elements []json.RawMessage
	if want {
		trimmed := strings.TrimLeft(string(data), " \t\r\n")
		want = trimmed[0] == '['
	}
	spans, err := parser.Scan(data, 0, parser.Limits{MaxDepth: jsonDepth}, nil)
	if want != (err == nil) {
		t.Fatalf("%q: error %v, but encoding/json accepts: %v", data, err, want)
	}
	if err != nil {
		if !errors.Is(err, parser.ErrParse) {
			t.Fatalf("%q: error %v does not wrap ErrParse", data, err)
		}
		return
	}
	if err := json.Unmarshal(data, &elements); err != nil {
		t.Fatal(err)
	}
	if len(spans) != len(elements) {
		t.Fatalf("%q: %d elements, want %d", data, len(spans), len(elements))
	}
	for i, span := range spans {
		if got, want := string(span.Of(data)), string(elements[i]); got != want {
			t.Fatalf("%q: element %d is %q, want %q", data, i, got, want)
		}
		checkName(t, elements[i])
	}
}

// checkName compares EventName with the string that encoding/json decodes.
func checkName(t *testing.T, element []byte) {
	t.Helper()
	if element[0] != '"' {
		return
	}
	var want string
	if err := json.Unmarshal(element, &want); err != nil {
		t.Fatal(err)
	}
	name, err := parser.EventName(element)
	if parser.Reserved(want) != (err != nil) {
		t.Fatalf("%s: error %v", element, err)
	}
	if err == nil && string(name) != want {
		t.Fatalf("%s: name %q, want %q", element, name, want)
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
		f.Add([]byte(`[` + seed + `]`))
		f.Add([]byte(`[1,{"a":` + seed + `}, "b"]`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkScan(t, data)
		wrapped := append([]byte{'['}, data...)
		checkScan(t, append(wrapped, ']'))
	})
}

func TestScanDepthOfJSON(t *testing.T) {
	for _, depth := range []int{1, 63, 64, 65, jsonDepth, jsonDepth + 1} {
		checkScan(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		checkScan(t, []byte("["+strings.Repeat(`{"a":[1],"b":`, depth-1)+"{}"+strings.Repeat("}", depth-1)+"]"))
	}
}

// Each byte, at each place of a word of eight, is judged as encoding/json does.
func TestScanBytesOfStrings(t *testing.T) {
	for before := range 10 {
		for b := range 256 {
			text := []byte(`["` + strings.Repeat("x", before))
			text = append(text, byte(b))
			checkScan(t, append(text, `yyyyyyyyy"]`...))
		}
	}
}

func TestScanAppends(t *testing.T) {
	dst := make([]parser.Span, 1, 8)
	dst[0] = parser.Span{Start: 3, End: 4}
	spans, err := parser.Scan([]byte(` [1, "b"] `), 0, parser.Limits{}, dst)
	if err != nil {
		t.Fatal(err)
	}
	want := []parser.Span{{Start: 3, End: 4}, {Start: 2, End: 3}, {Start: 5, End: 8}}
	if len(spans) != len(want) || &spans[0] != &dst[0] {
		t.Fatalf("got %v", spans)
	}
	for i := range want {
		if spans[i] != want[i] {
			t.Errorf("span %d is %v, want %v", i, spans[i], want[i])
		}
	}
}

func TestScanRefusesWhatIsNoArray(t *testing.T) {
	for _, text := range []string{``, ` `, `{}`, `"a"`, `1`, `null`} {
		if _, err := parser.Scan([]byte(text), 0, parser.Limits{}, nil); !errors.Is(err, parser.ErrParse) {
			t.Errorf("%q: error %v, want ErrParse", text, err)
		}
	}
}

func TestEventName(t *testing.T) {
	tests := []struct {
		element, want string
		ok            bool
	}{
		{`"a"`, "a", true},
		{`12`, "12", true},
		{`"\ud800"`, "\ufffd", true},
		{`"\udc00\ud800x"`, "\ufffd\ufffdx", true},
		{`"\ud800\ud83d\ude00"`, "\ufffd😀", true},
		{`"\ud800\n"`, "\ufffd\n", true},
		{`"\"\\\b\f\n\r\t\/"`, "\"\\\b\f\n\r\t/", true},
		{`"error"`, "error", true},
		{`"connected"`, "connected", true},
		{``, "", false},
		{`null`, "", false},
		{`{}`, "", false},
		{`["a"]`, "", false},
		{`true`, "", false},
		{`"connect"`, "", false},
		{`"\u0063\u006f\u006e\u006e\u0065\u0063\u0074"`, "", false},
	}
	for _, tt := range tests {
		got, err := parser.EventName([]byte(tt.element))
		if string(got) != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v; want %q", tt.element, got, err, tt.want)
		}
		if err != nil && !errors.Is(err, parser.ErrParse) {
			t.Errorf("%s: error %v does not wrap ErrParse", tt.element, err)
		}
	}
}
