package redis

import (
	"encoding/json"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// envelope is what stands around the data of every message of a namespace.
type envelope struct{ uid, nsp string }

// appendClusterMessage appends {type, data, uid, nsp} in the order of Node: as
// JSON, or as msgpack if there are binary arguments. The arguments of an
// acknowledgement shrink to the first, for the protocol has room for one value.
func appendClusterMessage(dst []byte, e envelope, m *cluster.Message) ([]byte, error) {
	if m.Packet != nil && len(m.Packet.Attachments) > 0 {
		return appendClusterMsgpack(dst, e, m)
	}
	dst = strconv.AppendInt(append(dst, `{"type":`...), int64(clusterTypeOf(m.Type)), 10)
	dst = append(dst, `,"data":{`...)
	switch m.Type {
	case cluster.Broadcast:
		dst = append(append(dst, `"packet":{"type":2,"data":`...), m.Packet.Args...)
		dst = append(dst, `},`...)
		if m.RequestID != "" {
			dst = append(appendAnswerHead(dst, m.RequestID), ',')
		}
		dst = appendClusterOptsJSON(dst, m)
	case cluster.AddSockets, cluster.DelSockets:
		dst = append(appendClusterOptsJSON(dst, m), `,"rooms":`...)
		dst = appendStringsJSON(dst, m.Rooms)
	case cluster.DisconnectSockets:
		dst = append(appendClusterOptsJSON(dst, m), `,"close":`...)
		dst = strconv.AppendBool(dst, m.CloseConn)
	case cluster.FetchSockets:
		dst = append(appendClusterOptsJSON(dst, m), ',')
		dst = appendAnswerHead(dst, m.RequestID)
	case cluster.FetchAnswer:
		dst = append(appendAnswerHead(dst, m.RequestID), `,"sockets":`...)
		dst = appendSockets(dst, m.Sockets)
	case cluster.ServerSideEmit:
		if m.RequestID != "" {
			dst = append(appendAnswerHead(dst, m.RequestID), ',')
		}
		dst = append(append(dst, `"packet":`...), m.Packet.Args...)
	case cluster.BroadcastCount:
		dst = append(appendAnswerHead(dst, m.RequestID), `,"clientCount":`...)
		dst = strconv.AppendInt(dst, int64(m.Count), 10)
	case cluster.ServerSideEmitAnswer, cluster.BroadcastAnswer:
		dst = appendAnswerHead(dst, m.RequestID)
		if m.Count > 0 {
			dst = strconv.AppendInt(append(dst, `,"`+numberField+`":`...), int64(m.Count), 10)
		}
		if first, ok := firstArg(m.Packet); ok {
			dst = append(append(dst, `,"packet":`...), first...)
		}
	}
	return append(dst, e.tailJSON()...), nil
}

// tailJSON is how every JSON message of a namespace ends.
func (e envelope) tailJSON() string {
	tail := msgpack.AppendString([]byte(`},"uid":`), e.uid)
	return string(append(msgpack.AppendString(append(tail, `,"nsp":`...), e.nsp), '}'))
}

// tailMsgpack is how every msgpack message of a namespace ends.
func (e envelope) tailMsgpack() string {
	return string(appendPair(appendPair(nil, "uid", e.uid), "nsp", e.nsp))
}

// firstArg returns the value of an acknowledgement. One that is not there is
// left out, as Node does with undefined.
func firstArg(p *adapter.Packet) ([]byte, bool) {
	if p == nil {
		return nil, false
	}
	return msgpack.FirstJSON(p.Args)
}

func appendClusterMsgpack(dst []byte, e envelope, m *cluster.Message) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, 4)
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(clusterTypeOf(m.Type)))
	dst = msgp.AppendString(dst, "data")
	fields := uint32(1)
	if m.RequestID != "" {
		fields++
	}
	var err error
	switch m.Type {
	case cluster.Broadcast:
		dst = msgp.AppendString(msgp.AppendMapHeader(dst, fields+1), "packet")
		dst = msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(dst, 2), "type"), packetEvent)
		if dst, err = msgpack.AppendPacketData(msgp.AppendString(dst, "data"), m.Packet); err != nil {
			return nil, err
		}
		if m.RequestID != "" {
			dst = appendPair(dst, "requestId", m.RequestID)
		}
		opts := *m
		opts.Timeout = ackTimeout(m)
		dst = appendOpts(msgp.AppendString(dst, "opts"), &opts)
	case cluster.ServerSideEmit:
		dst = msgp.AppendMapHeader(dst, fields)
		if m.RequestID != "" {
			dst = appendPair(dst, "requestId", m.RequestID)
		}
		dst, err = msgpack.AppendPacketData(msgp.AppendString(dst, "packet"), m.Packet)
	default:
		_, present := firstArg(m.Packet)
		if !present {
			fields--
		}
		if m.Count > 0 {
			fields++
		}
		dst = appendPair(msgp.AppendMapHeader(dst, fields), "requestId", m.RequestID)
		if m.Count > 0 {
			dst = msgp.AppendInt(msgp.AppendString(dst, numberField), m.Count)
		}
		if present {
			dst, _, err = msgpack.AppendFirst(msgp.AppendString(dst, "packet"), m.Packet)
		}
	}
	if err != nil {
		return nil, err
	}
	return append(dst, e.tailMsgpack()...), nil
}

// readClusterMessage takes a message apart. As in Node, the first byte tells
// JSON from msgpack. Arguments alias b.
func readClusterMessage(b []byte) (*clusterMessage, error) {
	if len(b) == 0 || b[0] != '{' {
		return readEnvelope(b)
	}
	var in struct {
		Type int          `json:"type"`
		UID  text         `json:"uid"`
		NSP  text         `json:"nsp"`
		Data *requestJSON `json:"data"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, errFormat
	}
	m := &clusterMessage{kind: clusterType(in.Type), uid: string(in.UID), nsp: string(in.NSP), data: &request{}}
	if in.Data != nil {
		m.data = in.Data.request()
	}
	return m, nil
}
