package redis

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// errFormat is the error for messages that do not have the form of the
// protocol.
var errFormat = errors.New("redis: message not understood")

// packetEvent and packetBinaryEvent are the types of Socket.IO packets that
// are broadcast. Node writes the first, whatever the arguments are.
const (
	packetEvent       = 2
	packetBinaryEvent = 5
)

// appendBroadcast appends [uid, packet, opts].
func appendBroadcast(dst []byte, uid, nsp string, m *cluster.Message) ([]byte, error) {
	dst = msgp.AppendArrayHeader(dst, 3)
	dst = msgp.AppendString(dst, uid)
	dst, err := appendPacket(dst, nsp, m.Packet)
	if err != nil {
		return nil, err
	}
	return appendOpts(dst, m), nil
}

func appendPacket(dst []byte, nsp string, p *adapter.Packet) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, 3)
	dst = msgp.AppendString(dst, "type")
	dst = msgp.AppendInt(dst, packetEvent)
	dst = msgp.AppendString(dst, "data")
	dst, err := msgpack.AppendPacketData(dst, p)
	if err != nil {
		return nil, err
	}
	dst = msgp.AppendString(dst, "nsp")
	return msgp.AppendString(dst, nsp), nil
}

func appendOpts(dst []byte, m *cluster.Message) []byte {
	dst = msgp.AppendMapHeader(dst, 3)
	dst = msgp.AppendString(dst, "rooms")
	dst = appendStrings(dst, m.Selector.Rooms)
	dst = msgp.AppendString(dst, "except")
	dst = appendStrings(dst, m.Selector.Except)
	dst = msgp.AppendString(dst, "flags")
	return appendFlags(dst, m.Flags, m.Timeout)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = msgp.AppendArrayHeader(dst, uint32(len(list)))
	for _, s := range list {
		dst = msgp.AppendString(dst, s)
	}
	return dst
}

func appendFlags(dst []byte, flags adapter.Flags, timeout time.Duration) []byte {
	n := uint32(0)
	for _, set := range []bool{flags.Volatile, flags.NoCompress, timeout > 0} {
		if set {
			n++
		}
	}
	dst = msgp.AppendMapHeader(dst, n)
	if flags.Volatile {
		dst = msgp.AppendString(dst, "volatile")
		dst = msgp.AppendBool(dst, true)
	}
	if flags.NoCompress {
		dst = msgp.AppendString(dst, "compress")
		dst = msgp.AppendBool(dst, false)
	}
	if timeout > 0 {
		dst = msgp.AppendString(dst, "timeout")
		dst = msgp.AppendUint64(dst, uint64(timeout.Milliseconds()))
	}
	return dst
}

// broadcastMessage is a broadcast whose arguments have not been looked at.
type broadcastMessage struct {
	uid    string
	packet packetMessage
	opts   optsMessage
}

type packetMessage struct {
	data []byte // the msgpack array; aliases the input
	nsp  string
	kind int
}

type optsMessage struct {
	selector adapter.Selector
	flags    adapter.Flags
	timeout  time.Duration
}

// readBroadcast takes [uid, packet, opts] apart. What other versions leave out
// or add is no error.
func readBroadcast(b []byte) (m broadcastMessage, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n < 2 {
		return m, errFormat
	}
	if m.uid, b, err = readText(b); err != nil {
		return m, err
	}
	if m.packet, b, err = readPacket(b); err != nil {
		return m, err
	}
	if n > 2 {
		m.opts, _, err = readOpts(b)
	}
	return m, err
}

func readPacket(b []byte) (p packetMessage, rest []byte, err error) {
	p = packetMessage{nsp: "/", kind: packetEvent}
	rest, err = readMap(b, func(key, b []byte) (rest []byte, err error) {
		switch string(key) {
		case "data":
			if rest, err = msgpack.Skip(b); err == nil {
				p.data = b[:len(b)-len(rest)]
			}
		case "nsp":
			var nsp string
			if nsp, rest, err = readText(b); err == nil && nsp != "" {
				p.nsp = nsp
			}
		case "type":
			p.kind, rest, err = readInt(b)
		default:
			rest, err = msgpack.Skip(b)
		}
		return rest, err
	})
	if err == nil && (p.data == nil || p.kind != packetEvent && p.kind != packetBinaryEvent) {
		err = errFormat
	}
	return p, rest, err
}

func readOpts(b []byte) (o optsMessage, rest []byte, err error) {
	rest, err = readMap(b, func(key, b []byte) (rest []byte, err error) {
		switch string(key) {
		case "rooms":
			o.selector.Rooms, rest, err = readTexts(b)
		case "except":
			o.selector.Except, rest, err = readTexts(b)
		case "flags":
			o.flags, o.timeout, rest, err = readFlags(b)
		default:
			rest, err = msgpack.Skip(b)
		}
		return rest, err
	})
	return o, rest, err
}

func readFlags(b []byte) (flags adapter.Flags, timeout time.Duration, rest []byte, err error) {
	rest, err = readMap(b, func(key, b []byte) ([]byte, error) {
		switch string(key) {
		case "volatile":
			flags.Volatile = isBool(b, true)
		case "compress":
			flags.NoCompress = isBool(b, false)
		case "timeout":
			if ms, _, err := readInt(b); err == nil {
				timeout = milliseconds(ms)
			}
		}
		return msgpack.Skip(b)
	})
	return flags, timeout, rest, err
}

// maxTimeout bounds what a peer may ask us to remember.
const maxTimeout = 24 * time.Hour

func milliseconds(ms int) time.Duration {
	return time.Duration(min(max(ms, 0), int(maxTimeout/time.Millisecond))) * time.Millisecond
}

func isBool(b []byte, want bool) bool {
	got, _, err := msgp.ReadBoolBytes(b)
	return err == nil && got == want
}

// readMap calls each for the pairs of a map with the key, which may be
// anything if it is no string, and the bytes from the value on; each returns
// those after the value. Nil counts as an empty map.
func readMap(b []byte, each func(key, b []byte) ([]byte, error)) ([]byte, error) {
	if len(b) > 0 && msgp.NextType(b) == msgp.NilType {
		return b[1:], nil
	}
	n, b, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return b, errFormat
	}
	for range n {
		rest, err := msgpack.Skip(b)
		if err != nil {
			return b, err
		}
		key, _, err := msgp.ReadStringZC(b)
		if err != nil {
			key = nil
		}
		if b, err = each(key, rest); err != nil {
			return b, err
		}
	}
	return b, nil
}

// readText reads a string, for which JavaScript may also have a number, or
// nil.
func readText(b []byte) (text string, rest []byte, err error) {
	if len(b) == 0 {
		return "", b, errFormat
	}
	switch msgp.NextType(b) {
	case msgp.NilType:
		return "", b[1:], nil
	case msgp.StrType:
		text, rest, err = msgp.ReadStringBytes(b)
	case msgp.IntType, msgp.UintType:
		var n int
		n, rest, err = readInt(b)
		text = strconv.Itoa(n)
	default:
		err = errFormat
	}
	if err != nil {
		return "", b, errFormat
	}
	return text, rest, nil
}

// readTexts reads an array of strings, or nil.
func readTexts(b []byte) (list []string, rest []byte, err error) {
	if len(b) > 0 && msgp.NextType(b) == msgp.NilType {
		return nil, b[1:], nil
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || uint64(n) > uint64(len(rest)) {
		return nil, b, errFormat
	}
	// What is declared is at most what is there; it still may be a lie worth
	// sixteen times its size.
	list = slices.Grow(list, int(min(n, 64)))
	for range n {
		var text string
		if text, rest, err = readText(rest); err != nil {
			return nil, b, err
		}
		list = append(list, text)
	}
	return list, rest, nil
}

// readInt reads a number that has an integer value.
func readInt(b []byte) (n int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, b, errFormat
	}
	if v, rest, err := msgp.ReadInt64Bytes(b); err == nil {
		return int(v), rest, nil
	}
	f, rest, err := msgp.ReadFloat64Bytes(b)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, b, errFormat
	}
	return int(f), rest, nil
}
