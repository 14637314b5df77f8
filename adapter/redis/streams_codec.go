package redis

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// clusterType numbers the messages of Node's ClusterAdapter, which are others
// than those of the classic adapter.
type clusterType int

const (
	clusterBroadcast            clusterType = 3
	clusterSocketsJoin          clusterType = 4
	clusterSocketsLeave         clusterType = 5
	clusterDisconnectSockets    clusterType = 6
	clusterFetchSockets         clusterType = 7
	clusterFetchSocketsAnswer   clusterType = 8
	clusterServerSideEmit       clusterType = 9
	clusterServerSideEmitAnswer clusterType = 10
	clusterBroadcastClientCount clusterType = 11
	clusterBroadcastAck         clusterType = 12
	clusterMissing              clusterType = -1
	clusterNone                 clusterType = 0 // has no place in the protocol
)

// clusterTypeOf returns the number of a message. All rooms are found by
// fetching all sockets: the protocol has no question for them.
func clusterTypeOf(t cluster.Type) clusterType {
	switch t {
	case cluster.Broadcast:
		return clusterBroadcast
	case cluster.AddSockets:
		return clusterSocketsJoin
	case cluster.DelSockets:
		return clusterSocketsLeave
	case cluster.DisconnectSockets:
		return clusterDisconnectSockets
	case cluster.FetchSockets, cluster.ListRooms:
		return clusterFetchSockets
	case cluster.FetchAnswer:
		return clusterFetchSocketsAnswer
	case cluster.ServerSideEmit:
		return clusterServerSideEmit
	case cluster.ServerSideEmitAnswer:
		return clusterServerSideEmitAnswer
	case cluster.BroadcastCount:
		return clusterBroadcastClientCount
	case cluster.BroadcastAnswer:
		return clusterBroadcastAck
	default:
		return clusterNone
	}
}

// appendEntryData appends the data of a message that goes into a stream: JSON,
// or base64 of msgpack if there is something binary in it. With plain it is
// always JSON.
func appendEntryData(dst []byte, m *cluster.Message, plain bool) ([]byte, error) {
	if m.Packet != nil && len(m.Packet.Attachments) > 0 {
		if plain {
			inlined := *m
			inlined.Packet = &adapter.Packet{Args: appendBuffers(nil, m.Packet)}
			return appendEntryData(dst, &inlined, plain)
		}
		raw, err := appendClusterData(nil, m)
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.AppendEncode(dst, raw), nil
	}
	switch m.Type {
	case cluster.Broadcast:
		dst = append(append(dst, `{"packet":{"type":2,"data":`...), m.Packet.Args...)
		dst = appendClusterOptsJSON(append(dst, "},"...), m)
	case cluster.AddSockets, cluster.DelSockets:
		dst = appendClusterOptsJSON(append(dst, '{'), m)
		dst = appendStringsJSON(append(dst, `,"rooms":`...), m.Rooms)
	case cluster.DisconnectSockets:
		dst = appendClusterOptsJSON(append(dst, '{'), m)
		dst = strconv.AppendBool(append(dst, `,"close":`...), m.CloseConn)
	case cluster.ServerSideEmit:
		dst = append(append(dst, `{"packet":`...), m.Packet.Args...)
	}
	return append(dst, '}'), nil
}

// appendClusterOptsJSON appends opts with its flags.
func appendClusterOptsJSON(dst []byte, m *cluster.Message) []byte {
	dst = appendStringsJSON(append(dst, `"opts":{"rooms":`...), m.Selector.Rooms)
	dst = appendStringsJSON(append(dst, `,"except":`...), m.Selector.Except)
	dst = append(dst, `,"flags":{`...)
	if m.Flags.Volatile {
		dst = append(dst, `"volatile":true,`...)
	}
	if m.Flags.NoCompress {
		dst = append(dst, `"compress":false,`...)
	}
	if timeout := ackTimeout(m); timeout > 0 {
		dst = strconv.AppendInt(append(dst, `"timeout":`...), timeout.Milliseconds(), 10)
	}
	return append(bytes.TrimSuffix(dst, []byte{','}), `}}`...)
}

// ackTimeout is the time-out that a message names: that of a broadcast whose
// clients are to answer.
func ackTimeout(m *cluster.Message) time.Duration {
	if m.Type != cluster.Broadcast || m.RequestID == "" {
		return 0
	}
	return m.Timeout
}

// appendEnvelope appends a message that goes by Pub/Sub: always msgpack. after
// is the number of the entry that its sender sent before it, which Node does
// not look at; 0 if that does not matter.
func appendEnvelope(dst []byte, uid, nsp string, after uint64, m *cluster.Message) ([]byte, error) {
	size := uint32(4)
	if after > 0 {
		size++
	}
	dst = msgp.AppendMapHeader(dst, size)
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(clusterTypeOf(m.Type)))
	dst, err := appendClusterData(msgp.AppendString(dst, "data"), m)
	if err != nil {
		return nil, err
	}
	dst = appendPair(dst, "uid", uid)
	dst = appendPair(dst, "nsp", nsp)
	if after > 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "after"), after)
	}
	return dst, nil
}

// appendClusterData appends the data of a message as a map.
func appendClusterData(dst []byte, m *cluster.Message) ([]byte, error) {
	switch m.Type {
	case cluster.Broadcast:
		dst = appendDataHead(dst, 2, m.RequestID)
		dst = msgp.AppendMapHeader(msgp.AppendString(dst, "packet"), 2)
		dst = msgp.AppendInt(msgp.AppendString(dst, "type"), packetEvent)
		dst, err := msgpack.AppendPacketData(msgp.AppendString(dst, "data"), m.Packet)
		if err != nil {
			return nil, err
		}
		return appendOpts(msgp.AppendString(dst, "opts"), m), nil
	case cluster.FetchSockets, cluster.ListRooms:
		dst = appendDataHead(dst, 1, m.RequestID)
		return appendOpts(msgp.AppendString(dst, "opts"), m), nil
	case cluster.ServerSideEmit:
		dst = appendDataHead(dst, 1, m.RequestID)
		return msgpack.AppendPacketData(msgp.AppendString(dst, "packet"), m.Packet)
	case cluster.BroadcastCount:
		dst = appendDataHead(dst, 1, m.RequestID)
		return msgp.AppendInt(msgp.AppendString(dst, "clientCount"), m.Count), nil
	case cluster.FetchAnswer:
		dst = appendDataHead(dst, 1, m.RequestID)
		return appendSocketsMsgpack(msgp.AppendString(dst, "sockets"), m.Sockets)
	default: // the acknowledgement of a client, or the answer of a node
		return appendAckData(dst, m)
	}
}

// appendDataHead begins a map of n pairs, and one more for a request id.
func appendDataHead(dst []byte, n uint32, requestID string) []byte {
	if requestID == "" {
		return msgp.AppendMapHeader(dst, n)
	}
	return appendPair(msgp.AppendMapHeader(dst, n+1), "requestId", requestID)
}

// appendAckData appends an answer, whose arguments shrink to the first: the
// protocol has room for one value. One that is not there is left out.
func appendAckData(dst []byte, m *cluster.Message) ([]byte, error) {
	_, present := firstArg(m.Packet)
	fields := uint32(0)
	if present {
		fields++
	}
	if m.Count > 0 {
		fields++
	}
	dst = appendDataHead(dst, fields, m.RequestID)
	if m.Count > 0 {
		dst = msgp.AppendInt(msgp.AppendString(dst, numberField), m.Count)
	}
	if !present {
		return dst, nil
	}
	dst, _, err := msgpack.AppendFirst(msgp.AppendString(dst, "packet"), m.Packet)
	return dst, err
}

func appendSocketsMsgpack(dst []byte, sockets []adapter.SocketInfo) ([]byte, error) {
	dst = msgp.AppendArrayHeader(dst, uint32(len(sockets)))
	for _, s := range sockets {
		var err error
		dst = appendPair(msgp.AppendMapHeader(dst, 4), "id", s.ID)
		if dst, err = appendRawMsgpack(msgp.AppendString(dst, "handshake"), s.Handshake); err != nil {
			return nil, err
		}
		dst = appendStrings(msgp.AppendString(dst, "rooms"), s.Rooms)
		if dst, err = appendRawMsgpack(msgp.AppendString(dst, "data"), s.Data); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendRawMsgpack appends a JSON value, or an empty map: readers look into it.
func appendRawMsgpack(dst, text []byte) ([]byte, error) {
	list := make([]byte, 0, len(text)+2)
	list = append(append(append(list, '['), text...), ']')
	dst, ok, err := msgpack.AppendFirst(dst, &adapter.Packet{Args: list})
	if err == nil && !ok {
		dst = msgp.AppendMapHeader(dst, 0)
	}
	return dst, err
}

// clusterMessage is a message whose data has been taken apart as far as
// readRequest does.
type clusterMessage struct {
	uid, nsp string
	kind     clusterType
	after    uint64   // number of the entry that was sent before
	data     *request // empty if there was none
	binary   bool     // the data is msgpack
}

// readEnvelope reads a message that came by Pub/Sub.
func readEnvelope(b []byte) (*clusterMessage, error) {
	m := &clusterMessage{kind: clusterMissing}
	var data []byte
	rest, err := readMap(b, func(key, b []byte) (rest []byte, err error) {
		switch string(key) {
		case "uid":
			m.uid, rest, err = readText(b)
		case "nsp":
			m.nsp, rest, err = readText(b)
		case "type":
			var n int
			n, rest, err = readInt(b)
			m.kind = clusterType(n)
		case "after":
			m.after, rest, err = msgp.ReadUint64Bytes(b)
		case "data":
			if rest, err = msgpack.Skip(b); err == nil {
				data = b[:len(b)-len(rest)]
			}
		default:
			rest, err = msgpack.Skip(b)
		}
		return rest, err
	})
	if err != nil || len(rest) > 0 {
		return nil, errFormat
	}
	return m, m.setData(data)
}

// readEntryData reads the data of an entry of a stream.
func (m *clusterMessage) readEntryData(text string) error {
	if text == "" || text[0] == '{' {
		return m.setData([]byte(text))
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return errFormat
	}
	return m.setData(raw)
}

func (m *clusterMessage) setData(raw []byte) error {
	if len(raw) == 0 || len(raw) == 1 && raw[0] == 0xc0 {
		m.data = &request{}
		return nil
	}
	m.binary = raw[0] != '{'
	data, err := readRequest(raw)
	m.data = data
	return err
}

// message returns what the adapter understands: nil if there is nothing to do.
func (m *clusterMessage) message() (out *cluster.Message, err error) {
	d := m.data
	out = &cluster.Message{Sender: m.uid, RequestID: d.requestID, Rooms: d.rooms, CloseConn: d.closeConn, Count: d.count}
	if d.opts != nil {
		out.Selector, out.Flags, out.Timeout = d.opts.selector, d.opts.flags, d.opts.timeout
	}
	switch m.kind {
	case clusterBroadcast:
		out.Type = cluster.Broadcast
		out.Packet, err = m.broadcastPacket()
	case clusterSocketsJoin:
		out.Type = cluster.AddSockets
	case clusterSocketsLeave:
		out.Type = cluster.DelSockets
	case clusterDisconnectSockets:
		out.Type = cluster.DisconnectSockets
	case clusterFetchSockets:
		out.Type = cluster.FetchSockets
	case clusterFetchSocketsAnswer:
		out.Type = cluster.FetchAnswer
		out.Sockets, err = readSockets(d.sockets)
	case clusterServerSideEmit:
		out.Type = cluster.ServerSideEmit
		out.Packet, err = d.packet.list()
	case clusterServerSideEmitAnswer:
		out.Type = cluster.ServerSideEmitAnswer
		out.Packet, err = d.packet.single()
	case clusterBroadcastClientCount:
		out.Type = cluster.BroadcastCount
	case clusterBroadcastAck:
		out.Type, out.Count = cluster.BroadcastAnswer, d.number
		out.Packet, err = d.packet.single()
	default:
		// Heartbeats of older versions, and what newer ones may add.
		return nil, nil
	}
	if err == nil && d.opts == nil && m.kind >= clusterBroadcast && m.kind <= clusterFetchSockets {
		err = errFormat
	}
	return out, err
}

func (m *clusterMessage) broadcastPacket() (*adapter.Packet, error) {
	if m.data.packet.raw == nil {
		return nil, errFormat
	}
	fields, err := m.data.packet.packetFields()
	if err != nil {
		return nil, err
	}
	return argument{fields.data, m.binary}.list()
}

// appendOffset returns the packet with one more argument.
func appendOffset(p *adapter.Packet, id string) *adapter.Packet {
	end := len(p.Args) - 1
	for end > 0 && p.Args[end] != ']' {
		end-- // white space
	}
	if end <= 0 {
		return p
	}
	args := make([]byte, 0, len(p.Args)+len(id)+3)
	args = append(args, p.Args[:end]...)
	if _, ok := msgpack.FirstJSON(p.Args); ok {
		args = append(args, ',')
	}
	args = append(append(append(args, '"'), id...), `"]`...)
	return &adapter.Packet{Args: args, Attachments: p.Attachments}
}
