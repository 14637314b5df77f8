package redis

import (
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// The number of an acknowledgement comes back as it was written, in every
// family and form; one without a number has none.
func TestAckNumber(t *testing.T) {
	forms := []struct {
		name string
		read func(*cluster.Message) (number int, err error)
	}{
		{"Pub/Sub", func(m *cluster.Message) (int, error) {
			b, err := appendResponse(nil, "u", m)
			if err != nil {
				return 0, err
			}
			r, err := readRequest(b)
			if err != nil {
				return 0, err
			}
			return r.number, nil
		}},
		{"sharded", func(m *cluster.Message) (int, error) {
			b, err := appendClusterMessage(nil, envelope{"u", "/"}, m)
			return clusterNumber(b, err, readClusterMessage)
		}},
		{"streams", func(m *cluster.Message) (int, error) {
			b, err := appendEnvelope(nil, "u", "/", 0, m)
			return clusterNumber(b, err, readEnvelope)
		}},
	}
	packets := map[string]*adapter.Packet{
		"nothing": packet(`[]`),
		"text":    packet(`["pong"]`),
		"binary":  packet(`[{"_placeholder":true,"num":0}]`, "\x01"),
	}
	for _, f := range forms {
		for name, p := range packets {
			for _, number := range []int{0, 1, 70_000} {
				got, err := f.read(&cluster.Message{Type: cluster.BroadcastAnswer, RequestID: "q", Packet: p, Count: number})
				if got != number || err != nil {
					t.Errorf("%s, %s: number %d, %v, want %d", f.name, name, got, err, number)
				}
			}
		}
	}
}

func clusterNumber(b []byte, err error, read func([]byte) (*clusterMessage, error)) (int, error) {
	if err != nil {
		return 0, err
	}
	in, err := read(b)
	if err != nil {
		return 0, err
	}
	m, err := in.message()
	if err != nil {
		return 0, err
	}
	return m.Count, nil
}
