package pysocketio

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// testLimit is the bound of the tests, far above what a good message takes.
const testLimit = 1 << 20

func fromBase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPickleToJSON(t *testing.T) {
	for _, tt := range pickled {
		for _, text := range tt.pickles {
			b := fromBase64(t, text)
			got, err := pickleToJSON(b, testLimit)
			if err != nil || string(got) != tt.json {
				t.Errorf("%s, protocol %d: %s, %v\nwant %s", tt.name, b[1], got, err, tt.json)
			}
			if _, err := readMessage(got, layoutAll); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if _, err := pickleToJSON(b, len(got)-1); !errors.Is(err, errFormat) {
				t.Errorf("%s, with too small a bound: %v", tt.name, err)
			}
			for i := range b {
				if _, err := pickleToJSON(b[:i], testLimit); err == nil {
					t.Errorf("%s, cut after %d bytes: no error", tt.name, i)
				}
			}
		}
	}
}

func TestUnpicklable(t *testing.T) {
	for name, text := range unpicklable {
		if got, err := pickleToJSON(fromBase64(t, text), testLimit); !errors.Is(err, errFormat) {
			t.Errorf("%s: %.100s, %v", name, got, err)
		}
	}
	huge := binary.LittleEndian.AppendUint64([]byte("\x80\x04\x8d"), 1<<62)
	for name, b := range map[string]string{
		"nothing":              "",
		"no value":             "\x80\x04.",
		"two values":           "\x80\x04NN.",
		"more after the end":   "\x80\x04}.N",
		"mark that is open":    "\x80\x04(}.",
		"no mark":              "\x80\x04}u.",
		"tuple of a mark":      "\x80\x04(\x85.",
		"list below a mark":    "\x80\x04](Na.",
		"append to a tuple":    "\x80\x04)Na.",
		"append to nothing":    "\x80\x04Na.",
		"odd dict":             "\x80\x04}(Nu.",
		"memo of a mark":       "\x80\x04(\x94.",
		"memo out of order":    "\x80\x04Nq\x05.",
		"memo that is not":     "\x80\x04h\x00.",
		"declared length":      string(huge),
		"long declared length": "\x80\x04X\xff\xff\xff\xffabc",
		"persistent id":        "\x80\x04Nq\x00Q.",
		"extension":            "\x80\x04\x82\x01.",
		"buffer":               "\x80\x05\x97.",
		"too many values":      "\x80\x04" + strings.Repeat("N", maxPickled+2) + ".",
		"too many in the memo": "\x80\x04N" + strings.Repeat("\x94", maxPickled+2) + ".",
		"too many marks":       "\x80\x04" + strings.Repeat("(", maxPickled+2) + ".",
		"too deep":             "\x80\x04}\x8c\x04data" + strings.Repeat("]", 2000) + strings.Repeat("a", 1999) + "s.",
	} {
		if v, err := pickleToJSON([]byte(b), testLimit); !errors.Is(err, errFormat) {
			t.Errorf("%s: %.100s, %v", name, v, err)
		}
	}
}

// FuzzPickle holds that what is read is JSON, within the bound, whatever comes.
func FuzzPickle(f *testing.F) {
	for _, tt := range pickled {
		for _, text := range tt.pickles {
			f.Add(fromBase64(f, text))
		}
	}
	for _, text := range unpicklable {
		f.Add(fromBase64(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := pickleToJSON(b, testLimit)
		if err != nil {
			return
		}
		if len(text) > testLimit || !json.Valid(text) {
			t.Fatalf("%d bytes: %.200s", len(text), text)
		}
		if m, err := readMessage(text, layoutAll); err == nil {
			checkMessage(t, m)
		}
	})
}
