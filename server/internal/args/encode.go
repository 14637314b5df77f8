package args

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/poison"
)

// maxDepth bounds the recursion into a value: one that contains itself has no
// end.
const maxDepth = 1000

// maxKept bounds the buffer of an encoder that is kept for the next packet.
const maxKept = 64 << 10

// encoder is the state of encoding one packet. It belongs to one call.
type encoder struct {
	marshal     func(any) ([]byte, error) // nil: text
	text        *json.Encoder             // writes to buf
	buf         []byte
	attachments [][]byte      // for the packet, which keeps it
	ends        []int         // of the arguments in buf
	found       []placeholder // by check, which reuses it
	depth       int
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.text = json.NewEncoder(e)
	e.text.SetEscapeHTML(false)
	return e
}}

// Write implements io.Writer for the encoder of encoding/json.
func (e *encoder) Write(p []byte) (int, error) {
	e.buf = append(e.buf, p...)
	return len(p), nil
}

// encode ends the array that has been begun in buf with the arguments. After an
// error the encoder must not be used again, as its state is unknown.
func (e *encoder) encode(c Codec, args []any) error {
	e.marshal, e.ends = c.Marshal, e.ends[:0]
	for i, arg := range args {
		if len(e.buf) > 1 {
			e.buf = append(e.buf, ',')
		}
		if err := e.argument(arg); err != nil {
			return &ArgumentError{Index: i, Type: reflect.TypeOf(arg), Err: err}
		}
		e.ends = append(e.ends, len(e.buf))
	}
	e.buf = append(e.buf, ']')
	if i, err := e.check(); err != nil {
		return &ArgumentError{Index: i, Type: reflect.TypeOf(args[i]), Err: err}
	}
	return nil
}

// free gives the encoder back, for another packet.
func (e *encoder) free() {
	e.marshal, e.attachments = nil, nil
	if poison.On {
		poison.Memory(e.buf)
		poison.Memory(e.ends)
		poison.Memory(e.found)
		return
	}
	if cap(e.buf) <= maxKept { // and with it the capacity of ends and found
		encoders.Put(e)
	}
}

func (e *encoder) argument(arg any) (err error) {
	defer recovered(&err)
	return e.append(arg)
}

// append appends any value. Types that need no reflection come first.
func (e *encoder) append(v any) error {
	switch v := v.(type) {
	case nil:
		e.null()
	case string:
		e.buf = appendString(e.buf, v)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int8:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int16:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int32:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case uint:
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
	case uint8:
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
	case uint16:
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
	case uint32:
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
	case uint64:
		e.buf = strconv.AppendUint(e.buf, v, 10)
	case float64:
		return e.float(v, 64)
	case float32:
		return e.float(float64(v), 32)
	case []byte:
		e.binary(v)
	case json.RawMessage:
		return e.raw(v)
	case map[string]any:
		return e.object(v)
	case []any:
		return e.array(v)
	default:
		rv := reflect.ValueOf(v)
		return e.value(rv, planOf(rv.Type()))
	}
	return nil
}

func (e *encoder) null() { e.buf = append(e.buf, "null"...) }

func (e *encoder) float(f float64, bits int) error {
	if f-f != 0 { // NaN or infinite: no JSON, the library words the error
		return e.leaf(f)
	}
	e.buf = appendFloat(e.buf, f, bits)
	return nil
}

func (e *encoder) binary(b []byte) {
	if b == nil {
		e.null()
		return
	}
	e.buf = appendPlaceholder(e.buf, len(e.attachments))
	e.attachments = append(e.attachments, b)
}

// raw appends JSON of the user, without white space. It may be wrong, and a
// plugged codec need not look at it: encoding/json does.
func (e *encoder) raw(m json.RawMessage) error {
	if len(m) == 0 {
		e.null()
		return nil
	}
	return e.standard(m)
}

// leaf appends a value that holds no binary, in the words of the codec.
func (e *encoder) leaf(v any) error {
	if e.marshal == nil {
		return e.standard(v)
	}
	text, err := e.marshal(v)
	if err == nil && len(text) == 0 {
		err = errNoOutput
	}
	if err == nil && !utf8.Valid(text) {
		err = errUTF8
	}
	e.buf = append(e.buf, text...)
	return err
}

// standard appends what encoding/json makes of a value. It passes on the bytes
// of a json.RawMessage and of a MarshalJSON: a text that is not UTF-8 would have
// every WebSocket client that gets it hang up.
func (e *encoder) standard(v any) error {
	start := len(e.buf)
	if err := e.text.Encode(v); err != nil {
		return err
	}
	if !utf8.Valid(e.buf[start:]) {
		return errUTF8
	}
	e.buf = e.buf[:len(e.buf)-1] // the newline of json.Encoder
	return nil
}

func (e *encoder) object(m map[string]any) error {
	if m == nil {
		e.null()
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	var room [16]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	e.buf = append(e.buf, '{')
	for i, k := range keys {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(appendString(e.buf, k), ':')
		if err := e.append(m[k]); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	e.depth--
	return nil
}

func (e *encoder) array(list []any) error {
	if list == nil {
		e.null()
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	e.buf = append(e.buf, '[')
	for i, v := range list {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.append(v); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	e.depth--
	return nil
}

func (e *encoder) enter() error {
	e.depth++
	if e.depth > maxDepth {
		return ErrTooDeep
	}
	return nil
}

// check holds the placeholders of a packet against its attachments, and returns
// the index of the argument that is at fault. Data of the user that looks like
// a placeholder would be taken for one by every receiver, whose parser then
// hangs up on a number out of range: a client could so have others disconnected
// by what a server passes on. An argument without binary counts too, as
// receivers look at the packet as a whole.
func (e *encoder) check() (index int, err error) {
	if len(e.attachments) == 0 {
		return 0, nil
	}
	f := finder{text: e.buf, attachments: len(e.attachments), found: e.found[:0]}
	err = f.value(0)
	e.found = f.found
	at := f.pos // of an error, or the end
	if err == nil && len(f.found) != len(e.attachments) {
		err = ErrPlaceholder
	}
	var own [64]byte
	for i, p := range f.found {
		if string(e.buf[p.start:p.end]) != string(appendPlaceholder(own[:0], i)) {
			at, err = p.end, ErrPlaceholder
			break
		}
	}
	if err == nil {
		return 0, nil
	}
	index, _ = slices.BinarySearch(e.ends, at)
	return min(index, len(e.ends)-1), err
}
