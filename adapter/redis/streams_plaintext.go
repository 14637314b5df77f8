package redis

import (
	"strconv"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// appendBuffers appends the arguments of a packet, a JSON array, with what
// Node's JSON.stringify makes of a Buffer in place of its attachments.
func appendBuffers(dst []byte, p *adapter.Packet) []byte {
	return msgpack.AppendFilled(dst, p, func(dst, attachment []byte) []byte {
		dst = append(dst, `{"type":"Buffer","data":[`...)
		for i, b := range attachment {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendUint(dst, uint64(b), 10)
		}
		return append(dst, "]}"...)
	})
}
