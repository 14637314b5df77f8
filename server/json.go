package server

import (
	"encoding/json"
	"errors"

	"github.com/roomspan/roomspan/server/internal/args"
)

// A JSONCodec is a JSON library, used in place of encoding/json for the values
// of arguments: what is no string, boolean, number, []byte, nor a map, slice
// or struct that can hold binary, since those are taken apart without it. Its
// methods may be called concurrently; a panic in them is an error of the call.
type JSONCodec interface {
	// Marshal returns the JSON text of a value, with the meaning of tags and
	// the order of map keys of encoding/json.
	Marshal(v any) ([]byte, error)

	// Unmarshal stores a JSON text in what v points to. It must read base64
	// into a []byte.
	Unmarshal(data []byte, v any) error
}

// WithJSON sets the JSON library for the arguments of events and
// acknowledgements. What its Marshal returns is checked to be JSON. Default:
// encoding/json.
func WithJSON(codec JSONCodec) Option { return func(c *config) { c.json, c.jsonSet = codec, true } }

var errNoJSON = errors.New("server: what the codec of WithJSON returned is no JSON")

// argsCodec returns the codec for the arguments of events.
func (c *config) argsCodec() args.Codec {
	if c.json == nil {
		return args.Codec{}
	}
	return args.Codec{
		Marshal: func(v any) ([]byte, error) {
			b, err := c.json.Marshal(v)
			if err == nil && !json.Valid(b) {
				err = errNoJSON
			}
			return b, err
		},
		Unmarshal: c.json.Unmarshal,
	}
}
