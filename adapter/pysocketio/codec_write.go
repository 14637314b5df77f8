package pysocketio

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// The marks by which this node knows its own events.
const (
	emitStart = `{"method": "emit", `
	hostKey   = `"host_id": "`
)

// appendEmit appends an event in the form of python-socketio. callback is nil,
// or the number of the question. It reports false for what that form cannot
// hold.
func appendEmit(dst []byte, nsp, hostID string, p *adapter.Packet, sel adapter.Selector, flags adapter.Flags, callback *uint64, as layout) ([]byte, bool) {
	event, args, ok := splitEvent(p.Args)
	if !ok || as == layoutPickled && len(p.Attachments) > 0 {
		return dst, false
	}
	ext := extension{Volatile: flags.Volatile, NoCompress: flags.NoCompress}
	dst = append(dst, emitStart+`"event": `...)
	dst = append(dst, event...)
	dst = append(dst, `, "data": `...)
	if as != layoutAll {
		var n int
		args, n = onlyArgument(args)
		ext.Args = &n
	}
	if len(p.Attachments) > 0 {
		dst = appendBinary(dst, args, p.Attachments)
	} else {
		dst = append(dst, args...)
	}
	dst = append(dst, `, "binary": `...)
	dst = strconv.AppendBool(dst, len(p.Attachments) > 0)
	dst = appendMember(dst, "namespace", nsp)
	dst = appendNames(append(dst, `, "room": `...), sel.Rooms)
	dst = appendNames(append(dst, `, "skip_sid": `...), sel.Except)
	dst = append(dst, `, "callback": `...)
	if callback != nil {
		dst = appendNames(append(dst, '['), sel.Rooms)
		dst = append(dst, ", "...)
		dst = msgpack.AppendString(dst, nsp)
		dst = append(dst, ", "...)
		dst = strconv.AppendUint(dst, *callback, 10)
		dst = append(dst, ']')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `, "roomspan": `...)
	b, err := json.Marshal(ext)
	if err != nil {
		return dst, false
	}
	dst = append(dst, b...)
	dst = append(dst, ", "+hostKey...) // stands last, for echo
	dst = append(dst, hostID...)
	return append(dst, `"}`...), true
}

// appendMember appends a string with its key.
func appendMember(dst []byte, key, value string) []byte {
	dst = append(dst, `, "`...)
	dst = append(dst, key...)
	dst = append(dst, `": `...)
	return msgpack.AppendString(dst, value)
}

// appendNames appends null, a name, or a list, as Python does for room and
// skip_sid.
func appendNames(dst []byte, list []string) []byte {
	switch len(list) {
	case 0:
		return append(dst, "null"...)
	case 1:
		return msgpack.AppendString(dst, list[0])
	}
	dst = append(dst, '[')
	for i, name := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = msgpack.AppendString(dst, name)
	}
	return append(dst, ']')
}

// appendBinary appends data in which placeholders stand, with the attachments
// after it.
func appendBinary(dst, args []byte, attachments [][]byte) []byte {
	dst = append(append(dst, '['), args...)
	for _, a := range attachments {
		dst = append(dst, `, "`...)
		dst = base64.StdEncoding.AppendEncode(dst, a)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

// onlyArgument returns the arguments where there is place for one: null for
// none, one as it is, and several as the list of them, for which JSON has no
// other word. It returns their number too.
func onlyArgument(args []byte) (json.RawMessage, int) {
	var list []json.RawMessage
	if err := json.Unmarshal(args, &list); err != nil || len(list) == 0 {
		return json.RawMessage("null"), 0
	}
	if len(list) == 1 {
		return list[0], 1
	}
	return args, len(list)
}

// appendMethod appends a message about a socket or a room: sid or room may be
// empty, and is left out then.
func appendMethod(dst []byte, method, sid, room, nsp, hostID string) []byte {
	dst = append(append(append(dst, `{"method": "`...), method...), '"')
	if sid != "" {
		dst = appendMember(dst, "sid", sid)
	}
	if room != "" {
		dst = appendMember(dst, "room", room)
	}
	dst = appendMember(dst, "namespace", nsp)
	dst = appendMember(dst, "host_id", hostID)
	return append(dst, '}')
}

// appendCallback appends the answer of a client to a Python node: to hostID,
// with what that node said of the question, and the arguments.
func appendCallback(dst []byte, hostID string, ref callbackRef, args []byte) []byte {
	dst = append(dst, `{"method": "callback"`...)
	dst = appendMember(dst, "host_id", hostID)
	dst = append(append(dst, `, "sid": `...), ref[0]...)
	dst = append(append(dst, `, "namespace": `...), ref[1]...)
	dst = append(append(dst, `, "id": `...), ref[2]...)
	dst = append(append(dst, `, "args": `...), args...)
	return append(dst, '}')
}

// splitEvent takes the arguments of an event apart into its name and the JSON
// array of the others, which is new unless it is empty.
func splitEvent(args []byte) (event, rest []byte, ok bool) {
	event, ok = msgpack.FirstJSON(args)
	if !ok || event[0] != '"' {
		return nil, nil, false
	}
	rest = bytes.TrimLeft(args, " \t\r\n[")[len(event):]
	rest = bytes.TrimSpace(rest)
	if len(rest) == 0 || rest[0] != ',' {
		return event, []byte("[]"), len(rest) > 0
	}
	return event, append([]byte{'['}, rest[1:]...), true
}
