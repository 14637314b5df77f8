package pysocketio

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/roomspan/roomspan/adapter/cluster"
)

// bus carries the messages of one namespace between the nodes of Roomspan. An
// event goes once for all nodes, in the form of Python, if that can hold it.
type bus struct{ n *namespace }

// Publish implements [cluster.Bus].
func (b bus) Publish(m *cluster.Message) error {
	n, conn, config := b.n, b.n.backend.conn, &b.n.backend.config
	if m.Selector.Local {
		return nil
	}
	if m.Flags.Volatile {
		if _, err := conn.Reachable(); err != nil {
			conn.CountDropped()
			return nil // it is for those who can take it now
		}
	}
	if text, ok := strings.CutPrefix(m.RequestID, refPrefix); ok && m.To != "" {
		return b.answerPython(m, text)
	}
	if m.Type == cluster.Broadcast && m.RequestID == "" {
		if expressible(m.Selector) {
			size := 256 + len(m.Packet.Args)
			for _, a := range m.Packet.Attachments {
				size += len(a)*4/3 + 8
			}
			payload, ok := appendEmit(make([]byte, 0, size), n.name, n.hostID, m.Packet, m.Selector, m.Flags, nil, config.layout)
			if ok {
				return conn.Publish(config.channel, payload)
			}
		}
		conn.CountDropped() // for the clients of Python nodes
	}
	if ownTypes[m.Type] == "" {
		return nil // Redis counts the nodes, which need no heartbeats
	}
	payload, err := writeOwn(n.name, m)
	if err != nil {
		return err
	}
	if m.To != "" {
		return conn.Publish(config.answerChannel(m.To), payload)
	}
	return conn.Publish(config.ownChannel(), payload)
}

// answerPython sends the answer of a client to the Python node that asked.
func (b bus) answerPython(m *cluster.Message, text string) error {
	n := b.n
	if m.Type != cluster.BroadcastAnswer {
		return nil // Python does not count clients
	}
	var ref callbackRef
	if err := json.Unmarshal([]byte(text), &ref); err != nil {
		return err
	}
	if len(m.Packet.Attachments) > 0 {
		n.backend.conn.CountDropped() // JSON has no place for them here
		return nil
	}
	return n.backend.conn.Publish(n.backend.config.channel, appendCallback(nil, m.To, ref, m.Packet.Args))
}

// ServerCount implements [cluster.Counter]: these are the nodes that answer
// requests.
func (b bus) ServerCount(ctx context.Context) (int, error) {
	own := b.n.backend.config.ownChannel()
	counts, err := b.n.backend.conn.Listeners(ctx, own)
	return b.n.backend.atLeastSelf(counts[own]), err
}

// Reachable implements [cluster.Reacher].
func (b bus) Reachable() (<-chan struct{}, error) { return b.n.backend.conn.Reachable() }

// Close implements [cluster.Bus].
func (b bus) Close() error {
	b.n.close()
	return nil
}
