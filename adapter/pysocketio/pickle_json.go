package pysocketio

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/roomspan/roomspan/internal/msgpack"
)

// maxNesting is how deep pickled data may be: about as deep as Python itself
// pickles.
const maxNesting = 1000

// pickleToJSON turns a message of python-socketio up to 5.13 into the form of
// later versions, of at most limit bytes.
func pickleToJSON(b []byte, limit int) ([]byte, error) {
	v, err := unpickle(b)
	if err != nil {
		return nil, err
	}
	dict, ok := v.(*pyDict)
	if !ok {
		return nil, fmt.Errorf("%w: no dict", errUnpicklable)
	}
	w := pickleWriter{limit: limit}
	w.dst = append(w.dst, '{')
	for i := 0; i < len(dict.pairs); i += 2 {
		if key, ok := dict.pairs[i].(string); ok {
			w.member(key, dict.pairs[i+1])
		}
	}
	w.text(`"":null}`)
	if w.failed != nil {
		return nil, w.failed
	}
	return w.dst, nil
}

// pickleWriter writes JSON. What is referred to often takes its room each
// time, so that its size, which has no bound in that of the pickle, is watched
// at every step; and so is the depth, which has none in data that contains
// itself.
type pickleWriter struct {
	dst         []byte
	limit       int
	attachments [][]byte
	room        int // bytes of attachments, in base64
	failed      error
}

func (w *pickleWriter) fail(what string) {
	if w.failed == nil {
		w.failed = fmt.Errorf("%w: %s", errUnpicklable, what)
	}
}

// text appends what is JSON already.
func (w *pickleWriter) text(s string) {
	w.dst = append(w.dst, s...)
	if len(w.dst)+w.room > w.limit {
		w.fail("too large when written out")
	}
}

// member writes a member of the message, if a reader looks at it.
func (w *pickleWriter) member(key string, v any) {
	switch key {
	case "method", "event", "namespace", "room", "skip_sid", "callback", "host_id", "sid", "id":
		w.key(key)
		w.value(v, 1)
		if len(w.attachments) > 0 {
			w.fail("bytes in " + key)
		}
	case "data":
		if list, ok := v.(*pyList); v != nil && (!ok || !list.tuple) {
			// A list is one argument, a tuple are several.
			v = &pyList{items: []any{v}}
		}
		w.arguments(key, v)
	case "args":
		w.arguments(key, v)
	default:
		return
	}
	w.text(",")
}

func (w *pickleWriter) key(key string) {
	w.dst = append(msgpack.AppendString(w.dst, key), ':')
}

// arguments writes a list that may hold bytes: with placeholders for them, and
// the bytes after it. A message has one such list.
func (w *pickleWriter) arguments(key string, v any) {
	outer := *w
	w.dst, w.attachments = nil, nil
	w.value(v, 1)
	args, attachments := w.dst, w.attachments
	w.dst, w.attachments, w.room = outer.dst, nil, 0
	w.key(key)
	if len(attachments) == 0 {
		w.text(string(args))
		return
	}
	w.text("[" + string(args))
	for _, a := range attachments {
		if w.failed != nil {
			return
		}
		w.dst = append(w.dst, `,"`...)
		w.dst = base64.StdEncoding.AppendEncode(w.dst, a)
		w.text(`"`)
	}
	w.text(`],"binary":true`)
}

func (w *pickleWriter) value(v any, depth int) {
	if depth > maxNesting {
		w.fail("too deep")
	}
	if w.failed != nil {
		return
	}
	switch v := v.(type) {
	case nil:
		w.text("null")
	case bool:
		w.text(strconv.FormatBool(v))
	case int64:
		w.text(strconv.FormatInt(v, 10))
	case *big.Int:
		w.text(v.String())
	case float64:
		w.float(v)
	case string:
		w.dst = msgpack.AppendString(w.dst, v)
		w.text("")
	case []byte:
		w.text(`{"_placeholder":true,"num":` + strconv.Itoa(len(w.attachments)) + "}")
		w.attachments = append(w.attachments, v)
		w.room += base64.StdEncoding.EncodedLen(len(v)) + 3
	case *pyList:
		w.list(v, depth)
	case *pyDict:
		w.dict(v, depth)
	}
}

// float writes null for what JSON has no word for, as JavaScript does.
func (w *pickleWriter) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.text("null")
		return
	}
	w.text(strconv.FormatFloat(f, 'g', -1, 64))
}

func (w *pickleWriter) list(l *pyList, depth int) {
	w.text("[")
	for i, item := range l.items {
		if i > 0 {
			w.text(",")
		}
		w.value(item, depth+1)
		if w.failed != nil {
			return
		}
	}
	w.text("]")
}

// dict writes the keys that are not str as Python's json does.
func (w *pickleWriter) dict(d *pyDict, depth int) {
	w.text("{")
	for i := 0; i < len(d.pairs); i += 2 {
		if i > 0 {
			w.text(",")
		}
		switch key := d.pairs[i].(type) {
		case string:
			w.key(key)
		case nil:
			w.key("null")
		case bool:
			w.key(strconv.FormatBool(key))
		case int64:
			w.key(strconv.FormatInt(key, 10))
		default:
			w.fail("key of a dict")
		}
		w.value(d.pairs[i+1], depth+1)
		if w.failed != nil {
			return
		}
	}
	w.text("}")
}
