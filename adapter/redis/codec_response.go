package redis

import (
	"encoding/json"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// appendResponse appends an answer. The arguments of an acknowledgement shrink
// to the first, for the protocol has room for one value. Unlike those of Node it
// says whose answer it is, so that one which comes twice is known as such; Node
// does not look at that.
func appendResponse(dst []byte, uid string, m *cluster.Message) ([]byte, error) {
	switch m.Type {
	case cluster.BroadcastCount:
		dst = appendAnswerHead(append(dst, `{"type":8,`...), m.RequestID)
		dst = strconv.AppendInt(append(dst, `,"clientCount":`...), int64(m.Count), 10)
	case cluster.BroadcastAnswer:
		return appendAck(dst, uid, typeBroadcastAck, "packet", m)
	case cluster.FetchAnswer:
		dst = appendAnswerHead(append(dst, '{'), m.RequestID)
		dst = appendSockets(append(dst, `,"sockets":`...), m.Sockets)
	case cluster.ListRoomsAnswer:
		dst = appendAnswerHead(append(dst, '{'), m.RequestID)
		dst = appendStringsJSON(append(dst, `,"rooms":`...), m.Rooms)
	case cluster.ServerSideEmitAnswer:
		if m.Packet != nil && len(m.Packet.Attachments) > 0 {
			return appendAck(dst, uid, typeServerSideEmit, "data", m)
		}
		dst = appendAnswerHead(append(dst, `{"type":6,`...), m.RequestID)
		if m.Packet != nil {
			if first, ok := msgpack.FirstJSON(m.Packet.Args); ok {
				dst = append(append(dst, `,"data":`...), first...)
			}
		}
	}
	return appendAnswerTail(dst, uid), nil
}

func appendAnswerHead(dst []byte, requestID string) []byte {
	return msgpack.AppendString(append(dst, `"requestId":`...), requestID)
}

func appendAnswerTail(dst []byte, uid string) []byte {
	return append(msgpack.AppendString(append(dst, `,"uid":`...), uid), '}')
}

// numberField is the key of the number that tells the acknowledgements of
// clients of one node apart.
const numberField = "number"

// appendAck appends an answer in msgpack. A value that is not there is left
// out, as Node does with undefined. So is the number of an answer that has none;
// Node does not look at it.
func appendAck(dst []byte, uid string, t requestType, key string, m *cluster.Message) ([]byte, error) {
	present := false
	if m.Packet != nil {
		_, present = msgpack.FirstJSON(m.Packet.Args)
	}
	n := uint32(3)
	if present {
		n++
	}
	if m.Count > 0 {
		n++
	}
	dst = msgp.AppendMapHeader(dst, n)
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(t))
	dst = appendPair(dst, "requestId", m.RequestID)
	dst = appendPair(dst, "uid", uid)
	if m.Count > 0 {
		dst = msgp.AppendInt(msgp.AppendString(dst, numberField), m.Count)
	}
	if !present {
		return dst, nil
	}
	dst, _, err := msgpack.AppendFirst(msgp.AppendString(dst, key), m.Packet)
	return dst, err
}

func appendSockets(dst []byte, sockets []adapter.SocketInfo) []byte {
	dst = append(dst, '[')
	for i, s := range sockets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = msgpack.AppendString(append(dst, `{"id":`...), s.ID)
		dst = appendRaw(append(dst, `,"handshake":`...), s.Handshake)
		dst = appendStringsJSON(append(dst, `,"rooms":`...), s.Rooms)
		dst = appendRaw(append(dst, `,"data":`...), s.Data)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendRaw appends JSON that is there already, or an empty object: readers
// look into it.
func appendRaw(dst []byte, text json.RawMessage) []byte {
	if len(text) == 0 {
		return append(dst, "{}"...)
	}
	return append(dst, text...)
}

// appendSocketIDs appends the answer to the old request for ids.
func appendSocketIDs(dst []byte, uid string, m *cluster.Message) []byte {
	dst = appendAnswerHead(append(dst, '{'), m.RequestID)
	dst = append(dst, `,"sockets":[`...)
	for i, s := range m.Sockets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = msgpack.AppendString(dst, s.ID)
	}
	return appendAnswerTail(append(dst, ']'), uid)
}

// readSockets reads the sockets of an answer. Rooms may be numbers.
func readSockets(raw json.RawMessage) ([]adapter.SocketInfo, error) {
	var in []struct {
		ID        text            `json:"id"`
		Handshake json.RawMessage `json:"handshake"`
		Rooms     []text          `json:"rooms"`
		Data      json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, errFormat
	}
	out := make([]adapter.SocketInfo, len(in))
	for i, s := range in {
		out[i] = adapter.SocketInfo{ID: string(s.ID), Handshake: s.Handshake, Rooms: texts(s.Rooms), Data: s.Data}
	}
	return out, nil
}
