package server

import "encoding/json"

// SetData attaches a value to the socket, in place of the one before. [Data]
// returns it; other nodes see its JSON form in the result of Fetch. The value
// may be encoded at any time, from any goroutine: do not change it afterwards,
// set another one.
func (s *Socket) SetData(v any) { s.data.Store(&v) }

// Data returns the value that [Socket.SetData] has attached, and whether there
// is one of type T. What has come as JSON, with a socket that was recovered
// from another node, is decoded into T.
func Data[T any](s *Socket) (T, bool) {
	var v T
	p := s.data.Load()
	if p == nil {
		return v, false
	}
	if v, ok := (*p).(T); ok {
		return v, true
	}
	text, ok := (*p).(json.RawMessage)
	if !ok || s.guard(func() error { return json.Unmarshal(text, &v) }) != nil {
		var zero T
		return zero, false
	}
	decoded := any(v)
	s.data.CompareAndSwap(p, &decoded)
	return v, true
}
