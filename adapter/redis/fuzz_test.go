package redis

import (
	"encoding/json"
	"testing"

	"github.com/roomspan/roomspan/internal/msgpack"
)

// FuzzReadBroadcast checks that no broadcast panics, and that what is accepted
// ends in valid JSON.
func FuzzReadBroadcast(f *testing.F) {
	for _, text := range poison {
		f.Add(unhex(f, text))
	}
	f.Add(unhex(f, "93a661626331323383a47479706502a46461746192a568656c6c6fa5776f726c64a36e7370a12f83a5726f6f6d7391a27231a665786365707490a5666c61677381a8766f6c6174696c65c3"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := readBroadcast(in)
		if err != nil {
			return
		}
		if p, _, err := msgpack.ReadPacketData(m.packet.data); err == nil && !json.Valid(p.Args) {
			t.Fatalf("invalid JSON: %q", p.Args)
		}
	})
}

// FuzzReadRequest checks the same for requests and responses.
func FuzzReadRequest(f *testing.F) {
	for _, text := range poison {
		f.Add(unhex(f, text))
	}
	for _, text := range []string{
		`{"uid":"u","requestId":"q","type":5,"opts":{"rooms":["r1",2],"except":[]}}`, `{"type":6,"data":["a",{"b":1}]}`,
		`{"requestId":"q","sockets":[{"id":"x","handshake":{},"rooms":["x"],"data":{}}]}`, `{"type":7,"packet":{"data":["a"]}}`,
		"\x83\xa4type\x09\xa9requestId\xa6req001\xa6packet\xa4pong", "\x81\xa7sockets\x91\x81\xa2id\xa1a",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := readRequest(in)
		if err != nil {
			return
		}
		if p, err := r.packet.single(); err == nil && !json.Valid(p.Args) {
			t.Fatalf("invalid JSON: %q", p.Args)
		}
		if p, err := r.data.list(); err == nil && !json.Valid(p.Args) {
			t.Fatalf("invalid JSON: %q", p.Args)
		}
		_, _ = readSockets(r.sockets)
		if p, err := r.packet.packetFields(); err == nil {
			_, _ = argument{p.data, r.packet.msgpack}.list()
		}
	})
}

// FuzzReadClusterMessage checks the same for messages of the sharded family.
func FuzzReadClusterMessage(f *testing.F) {
	for _, text := range poison {
		f.Add(unhex(f, text))
	}
	f.Add(unhex(f, "84a47479706503a46461746182a67061636b657482a47479706502a46461746192a362696ec403010203a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b030313233343536373839616263646566a36e7370a12f"))
	for _, text := range []string{
		`{"type":3,"data":{"packet":{"type":2,"data":["hello"]},"opts":{"rooms":["r1",2],"except":[],"flags":{"timeout":5}}},"uid":"u","nsp":"/"}`,
		`{"type":8,"data":{"requestId":"q","sockets":[{"id":"x","handshake":{},"rooms":["x"],"data":{}}]},"uid":"u","nsp":"/"}`,
		`{"type":9,"data":{"requestId":"q","packet":["ask"]},"uid":"u","nsp":"/"}`, `{"type":12,"data":{"requestId":"q"}}`, `{"type":13}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := readClusterMessage(in)
		if err != nil {
			return
		}
		m, err := c.message()
		if err != nil || m == nil {
			return
		}
		if m.Packet != nil && !json.Valid(m.Packet.Args) {
			t.Fatalf("invalid JSON: %q", m.Packet.Args)
		}
	})
}
