package redis

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// requestType numbers the messages on the request and response channels.
type requestType int

const (
	typeSockets              requestType = 0
	typeAllRooms             requestType = 1
	typeRemoteJoin           requestType = 2
	typeRemoteLeave          requestType = 3
	typeRemoteDisconnect     requestType = 4
	typeRemoteFetch          requestType = 5
	typeServerSideEmit       requestType = 6
	typeBroadcast            requestType = 7
	typeBroadcastClientCount requestType = 8
	typeBroadcastAck         requestType = 9

	typeMissing requestType = -1
)

// appendRequest appends a request. Those that carry binary arguments are
// msgpack, and a broadcast always is; all others are JSON.
func appendRequest(dst []byte, uid, nsp string, m *cluster.Message) ([]byte, error) {
	switch m.Type {
	case cluster.Broadcast:
		return appendBroadcastRequest(dst, uid, nsp, m)
	case cluster.AddSockets:
		dst = appendHead(dst, uid, m.RequestID, typeRemoteJoin)
		dst = appendOptsJSON(dst, m.Selector)
		dst = appendStringsJSON(append(dst, `,"rooms":`...), m.Rooms)
	case cluster.DelSockets:
		dst = appendHead(dst, uid, m.RequestID, typeRemoteLeave)
		dst = appendOptsJSON(dst, m.Selector)
		dst = appendStringsJSON(append(dst, `,"rooms":`...), m.Rooms)
	case cluster.DisconnectSockets:
		dst = appendHead(dst, uid, m.RequestID, typeRemoteDisconnect)
		dst = appendOptsJSON(dst, m.Selector)
		dst = strconv.AppendBool(append(dst, `,"close":`...), m.CloseConn)
	case cluster.FetchSockets:
		dst = appendHead(dst, uid, m.RequestID, typeRemoteFetch)
		dst = appendOptsJSON(dst, m.Selector)
	case cluster.ListRooms:
		dst = appendHead(dst, uid, m.RequestID, typeAllRooms)
	case cluster.ServerSideEmit:
		if len(m.Packet.Attachments) > 0 {
			return appendServerSideEmit(dst, uid, m)
		}
		dst = appendHead(dst, uid, m.RequestID, typeServerSideEmit)
		dst = append(append(dst, `,"data":`...), m.Packet.Args...)
	}
	return append(dst, '}'), nil
}

// appendHead begins a JSON request in the order of Node.
func appendHead(dst []byte, uid, requestID string, t requestType) []byte {
	dst = msgpack.AppendString(append(dst, `{"uid":`...), uid)
	if requestID != "" {
		dst = msgpack.AppendString(append(dst, `,"requestId":`...), requestID)
	}
	return strconv.AppendInt(append(dst, `,"type":`...), int64(t), 10)
}

func appendOptsJSON(dst []byte, sel adapter.Selector) []byte {
	dst = appendStringsJSON(append(dst, `,"opts":{"rooms":`...), sel.Rooms)
	dst = appendStringsJSON(append(dst, `,"except":`...), sel.Except)
	return append(dst, '}')
}

func appendStringsJSON(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = msgpack.AppendString(dst, s)
	}
	return append(dst, ']')
}

func appendBroadcastRequest(dst []byte, uid, nsp string, m *cluster.Message) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, 5)
	dst = appendPair(dst, "uid", uid)
	dst = appendPair(dst, "requestId", m.RequestID)
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(typeBroadcast))
	dst, err := appendPacket(msgp.AppendString(dst, "packet"), nsp, m.Packet)
	if err != nil {
		return nil, err
	}
	return appendOpts(msgp.AppendString(dst, "opts"), m), nil
}

func appendServerSideEmit(dst []byte, uid string, m *cluster.Message) ([]byte, error) {
	n := uint32(3)
	if m.RequestID != "" {
		n++
	}
	dst = msgp.AppendMapHeader(dst, n)
	dst = appendPair(dst, "uid", uid)
	if m.RequestID != "" {
		dst = appendPair(dst, "requestId", m.RequestID)
	}
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(typeServerSideEmit))
	return msgpack.AppendPacketData(msgp.AppendString(dst, "data"), m.Packet)
}

func appendPair(dst []byte, key, value string) []byte {
	return msgp.AppendString(msgp.AppendString(dst, key), value)
}

// request is a message of the request or the response channel.
type request struct {
	uid       string
	requestID string
	kind      requestType
	opts      *optsMessage // nil in the legacy forms
	rooms     []string
	hasRooms  bool
	sid, room string // of the legacy forms
	closeConn bool
	count     int
	number    int // of type 9, if its sender numbers them
	sockets   json.RawMessage
	packet    argument // of types 7 and 9
	data      argument // of type 6
}

// argument is a value that has not been looked at: JSON or msgpack, or
// nothing.
type argument struct {
	raw     []byte
	msgpack bool
}

// list returns an argument that is an array as a packet.
func (a argument) list() (*adapter.Packet, error) {
	if a.msgpack {
		p, _, err := msgpack.ReadPacketData(a.raw)
		return p, err
	}
	if text := bytes.TrimSpace(a.raw); len(text) == 0 || text[0] != '[' {
		return nil, errFormat
	}
	return &adapter.Packet{Args: a.raw}, nil
}

// single returns a packet with the argument, or with none if it is absent.
func (a argument) single() (*adapter.Packet, error) {
	switch {
	case a.raw == nil:
		return &adapter.Packet{Args: []byte("[]")}, nil
	case a.msgpack:
		p, _, err := msgpack.ReadArgument(a.raw)
		return p, err
	default:
		args := make([]byte, 0, len(a.raw)+2)
		args = append(append(append(args, '['), a.raw...), ']')
		return &adapter.Packet{Args: args}, nil
	}
}

// packetFields takes the packet of a broadcast apart.
func (a argument) packetFields() (packetMessage, error) {
	if a.msgpack {
		p, _, err := readPacket(a.raw)
		return p, err
	}
	var fields struct {
		Data json.RawMessage `json:"data"`
		NSP  text            `json:"nsp"`
	}
	if err := json.Unmarshal(a.raw, &fields); err != nil || fields.Data == nil {
		return packetMessage{}, errFormat
	}
	if fields.NSP == "" {
		fields.NSP = "/"
	}
	return packetMessage{data: fields.Data, nsp: string(fields.NSP)}, nil
}
