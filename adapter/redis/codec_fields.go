package redis

import (
	"encoding/json"
	"strconv"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// readRequest reads a message of the request or response channel. As in Node,
// the first byte tells JSON from msgpack, and either is read for every type.
// Arguments alias b.
func readRequest(b []byte) (*request, error) {
	if len(b) == 0 {
		return nil, errFormat
	}
	if b[0] == '{' {
		return readRequestJSON(b)
	}
	r := &request{kind: typeMissing}
	rest, err := readFields(b, r)
	if err != nil || len(rest) > 0 {
		return nil, errFormat
	}
	return r, nil
}

// readFields sets what a map in msgpack says, and returns what follows it.
func readFields(b []byte, r *request) ([]byte, error) {
	return readMap(b, func(key, b []byte) ([]byte, error) {
		rest, err := msgpack.Skip(b)
		if err != nil {
			return b, err
		}
		return rest, r.setField(string(key), b[:len(b)-len(rest)])
	})
}

// setField sets what the value of a key in msgpack says.
func (r *request) setField(key string, value []byte) (err error) {
	n := 0
	switch key {
	case "uid":
		r.uid, _, err = readText(value)
	case "requestId":
		r.requestID, _, err = readText(value)
	case "type":
		n, _, err = readInt(value)
		r.kind = requestType(n)
	case "opts":
		var opts optsMessage
		opts, _, err = readOpts(value)
		r.opts = &opts
	case "rooms":
		r.rooms, _, err = readTexts(value)
		r.hasRooms = true
	case "sid":
		r.sid, _, err = readText(value)
	case "room":
		r.room, _, err = readText(value)
	case "close":
		r.closeConn = isBool(value, true)
	case "clientCount":
		r.count, _, err = readInt(value)
	case numberField:
		r.number, _, err = readInt(value)
	case "sockets":
		r.sockets, _, err = msgpack.AppendJSON(nil, value)
	case "packet":
		r.packet = argument{value, true}
	case "data":
		r.data = argument{value, true}
	}
	return err
}

// text is a string of a JSON message, for which JavaScript may also have a
// number, or null.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*t = text(s)
		return err
	}
	if string(b) == "null" {
		*t = ""
		return nil
	}
	if _, err := strconv.ParseFloat(string(b), 64); err != nil {
		return errFormat
	}
	*t = text(b)
	return nil
}

func texts(list []text) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

// requestJSON is the form of a request for encoding/json.
type requestJSON struct {
	UID         text            `json:"uid"`
	RequestID   text            `json:"requestId"`
	Type        *int            `json:"type"`
	Opts        *optsJSON       `json:"opts"`
	Rooms       *[]text         `json:"rooms"`
	SID         text            `json:"sid"`
	Room        text            `json:"room"`
	Close       bool            `json:"close"`
	ClientCount int             `json:"clientCount"`
	Number      int             `json:"number"`
	Sockets     json.RawMessage `json:"sockets"`
	Packet      json.RawMessage `json:"packet"`
	Data        json.RawMessage `json:"data"`
}

type optsJSON struct {
	Rooms  []text `json:"rooms"`
	Except []text `json:"except"`
	Flags  struct {
		Volatile bool  `json:"volatile"`
		Compress *bool `json:"compress"`
		Timeout  int   `json:"timeout"`
	} `json:"flags"`
}

func readRequestJSON(b []byte) (*request, error) {
	var in requestJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, errFormat
	}
	return in.request(), nil
}

func (in *requestJSON) request() *request {
	r := &request{
		uid:       string(in.UID),
		requestID: string(in.RequestID),
		kind:      typeMissing,
		sid:       string(in.SID),
		room:      string(in.Room),
		closeConn: in.Close,
		count:     in.ClientCount,
		number:    in.Number,
		sockets:   in.Sockets,
		packet:    argument{raw: in.Packet},
		data:      argument{raw: in.Data},
	}
	if in.Type != nil {
		r.kind = requestType(*in.Type)
	}
	if in.Rooms != nil {
		r.rooms, r.hasRooms = texts(*in.Rooms), true
	}
	if in.Opts != nil {
		r.opts = &optsMessage{
			selector: adapter.Selector{Rooms: texts(in.Opts.Rooms), Except: texts(in.Opts.Except)},
			flags: adapter.Flags{
				Volatile:   in.Opts.Flags.Volatile,
				NoCompress: in.Opts.Flags.Compress != nil && !*in.Opts.Flags.Compress,
			},
			timeout: milliseconds(in.Opts.Flags.Timeout),
		}
	}
	return r
}
