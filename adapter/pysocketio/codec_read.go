package pysocketio

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// errFormat is the error for messages that do not have the form of the
// protocol.
var errFormat = errors.New("pysocketio: message not understood")

// The methods of python-socketio.
const (
	methodEmit       = "emit"
	methodCallback   = "callback"
	methodDisconnect = "disconnect"
	methodEnterRoom  = "enter_room"
	methodLeaveRoom  = "leave_room"
	methodCloseRoom  = "close_room"
)

// message is what python-socketio publishes, with the names that it uses. What
// a method has no use for is empty.
type message struct {
	Method    string            `json:"method"`
	Event     *string           `json:"event"`
	Data      json.RawMessage   `json:"data"`
	Binary    bool              `json:"binary"`
	Namespace string            `json:"namespace"`
	Room      names             `json:"room"`
	SkipSID   names             `json:"skip_sid"`
	Callback  []json.RawMessage `json:"callback"`
	HostID    string            `json:"host_id"`
	SID       json.RawMessage   `json:"sid"`
	ID        json.RawMessage   `json:"id"`
	Args      json.RawMessage   `json:"args"`

	// Roomspan is what only nodes of Roomspan write and read: Python looks at
	// no member that it does not know.
	Roomspan *extension `json:"roomspan"`

	layout layout // of what a Python node has written
}

// extension is what an event has beyond Python's words.
type extension struct {
	Volatile   bool `json:"volatile,omitempty"`
	NoCompress bool `json:"nocompress,omitempty"`

	// Args is the number of arguments, where data is laid out for old versions
	// and does not tell.
	Args *int `json:"args,omitempty"`
}

// names is a name, a list of them, or null. A number is a name too: rooms of
// Python may be of any type.
type names struct {
	list []string
	set  bool // not null
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *names) UnmarshalJSON(b []byte) error {
	n.list, n.set = nil, true
	switch b[0] {
	case 'n':
		n.set = false
		return nil
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(b, &items); err != nil {
			return err
		}
		for _, item := range items {
			name, err := readName(item)
			if err != nil {
				return err
			}
			n.list = append(n.list, name)
		}
		return nil
	default:
		name, err := readName(b)
		n.list = []string{name}
		return err
	}
}

func readName(b []byte) (string, error) {
	if len(b) > 0 && b[0] != '"' {
		var number json.Number
		if err := json.Unmarshal(b, &number); err != nil || number == "" {
			return "", fmt.Errorf("%w: name %.20s", errFormat, b)
		}
		return number.String(), nil
	}
	var name string
	err := json.Unmarshal(b, &name)
	return name, err
}

// one returns the only name.
func (n names) one() (string, bool) {
	if len(n.list) != 1 {
		return "", false
	}
	return n.list[0], true
}

func readMessage(text []byte, as layout) (*message, error) {
	m := &message{layout: as}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: %v", errFormat, err)
	}
	if m.Method == "" {
		return nil, fmt.Errorf("%w: no method", errFormat)
	}
	if m.Namespace == "" {
		m.Namespace = "/"
	}
	return m, nil
}

// reserved are the names of events that a client takes for an attack: a packet
// with one of them ends its connection.
var reserved = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true, "disconnecting": true,
	"newListener": true, "removeListener": true,
}

// selector returns to whom an event goes.
func (m *message) selector() (adapter.Selector, error) {
	sel := adapter.Selector{Rooms: m.Room.list, Except: m.SkipSID.list}
	if m.Room.set && len(m.Room.list) == 0 {
		// Without any room it would be for everyone.
		return sel, fmt.Errorf("%w: empty list of rooms", errFormat)
	}
	return sel, nil
}

// packet returns the event.
func (m *message) packet() (*adapter.Packet, error) {
	if m.Event == nil || reserved[*m.Event] {
		return nil, fmt.Errorf("%w: no event, or a reserved one", errFormat)
	}
	args, attachments, err := m.arguments()
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, len(*m.Event)+len(args)+8)
	text = append(text, '[')
	text = msgpack.AppendString(text, *m.Event)
	if inner := bytes.TrimSpace(args[1 : len(args)-1]); len(inner) > 0 {
		text = append(append(text, ','), inner...)
	}
	return &adapter.Packet{Args: append(text, ']'), Attachments: attachments}, nil
}

// arguments returns those of an event as a JSON array. What is no list is one
// argument in any layout.
func (m *message) arguments() (args []byte, attachments [][]byte, err error) {
	data := m.Data
	if m.Binary {
		if data, attachments, err = readBinary(data); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case m.Roomspan != nil && m.Roomspan.Args != nil && *m.Roomspan.Args == 1:
		return wrap(data), attachments, nil
	case m.Roomspan != nil:
		if len(data) == 0 || data[0] != '[' {
			return []byte("[]"), attachments, nil
		}
		return data, attachments, nil
	case len(data) == 0 || bytes.Equal(data, []byte("null")):
		return []byte("[]"), attachments, nil
	case data[0] != '[' || m.layout != layoutAll:
		data = wrap(data)
	}
	if data, err = compact(data); err != nil {
		return nil, nil, err
	}
	if bytes.Equal(data, []byte("[null]")) {
		// Python's emit without data, of which its clients get no argument.
		data = []byte("[]")
	}
	return data, attachments, nil
}

func wrap(data []byte) []byte {
	if len(data) == 0 {
		data = []byte("null")
	}
	return append(append([]byte{'['}, data...), ']')
}

// compact takes out the white space that Python writes, before it is sent to
// every client.
func compact(data []byte) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(len(data))
	err := json.Compact(&buf, data)
	return buf.Bytes(), err
}

// readBinary takes apart data of which the first element has placeholders, and
// the others are the attachments in base64.
func readBinary(data []byte) (rest json.RawMessage, attachments [][]byte, err error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil || len(items) == 0 {
		return nil, nil, fmt.Errorf("%w: binary data is no list", errFormat)
	}
	for _, item := range items[1:] {
		var text string
		if err := json.Unmarshal(item, &text); err != nil {
			return nil, nil, fmt.Errorf("%w: attachment: %v", errFormat, err)
		}
		attachment, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: attachment: %v", errFormat, err)
		}
		attachments = append(attachments, attachment)
	}
	if err := checkPlaceholders(items[0], len(attachments)); err != nil {
		return nil, nil, err
	}
	return items[0], attachments, nil
}

// checkPlaceholders fails if a placeholder refers to an attachment that does
// not exist: a client would take the packet for an attack, and go.
func checkPlaceholders(text []byte, attachments int) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("%w: %v", errFormat, err)
	}
	if !placeholdersWithin(v, attachments) {
		return fmt.Errorf("%w: placeholder without attachment", errFormat)
	}
	return nil
}

func placeholdersWithin(v any, attachments int) bool {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if !placeholdersWithin(item, attachments) {
				return false
			}
		}
	case map[string]any:
		if v["_placeholder"] == true {
			number, _ := v["num"].(json.Number)
			n, err := strconv.Atoi(number.String())
			return err == nil && n >= 0 && n < attachments
		}
		for _, item := range v {
			if !placeholdersWithin(item, attachments) {
				return false
			}
		}
	}
	return true
}

// answer returns the arguments of a callback, and the number of the question.
func (m *message) answer() (id uint64, p *adapter.Packet, err error) {
	if id, err = strconv.ParseUint(string(m.ID), 10, 64); err != nil {
		return 0, nil, fmt.Errorf("%w: callback: %v", errFormat, err)
	}
	args := m.Args
	p = &adapter.Packet{}
	if m.Binary { // of pickled bytes
		if args, p.Attachments, err = readBinary(args); err != nil {
			return 0, nil, err
		}
	}
	if len(args) == 0 || args[0] != '[' {
		return 0, nil, fmt.Errorf("%w: callback without list of args", errFormat)
	}
	p.Args, err = compact(args)
	return id, p, err
}

// socketAndRoom returns the members of a message about one socket.
func (m *message) socketAndRoom() (sid, room string, err error) {
	if sid, err = readName(m.SID); err != nil || sid == "" {
		return "", "", fmt.Errorf("%w: sid", errFormat)
	}
	room, ok := m.Room.one()
	if !ok && m.Method != methodDisconnect {
		return "", "", fmt.Errorf("%w: room", errFormat)
	}
	return sid, room, nil
}
