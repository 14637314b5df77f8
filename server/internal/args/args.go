// Package args turns Go values into the canonical form of arguments, JSON with
// binary attachments, and back.
package args

import (
	"encoding/json"

	"github.com/roomspan/roomspan/adapter"
)

// Codec is the JSON library in use. The zero value is encoding/json.
type Codec struct {
	Marshal   func(any) ([]byte, error)
	Unmarshal func([]byte, any) error
}

func (c Codec) EncodeEvent(event string, args []any) (*adapter.Packet, error) {
	return c.EncodeArgs(append([]any{event}, args...))
}

func (c Codec) EncodeArgs(args []any) (*adapter.Packet, error) {
	if args == nil {
		args = []any{}
	}
	b, err := json.Marshal(args)
	return &adapter.Packet{Args: b}, err
}

func (c Codec) Decode(raw []byte, attachments [][]byte, dst any) error {
	return json.Unmarshal(raw, dst)
}
