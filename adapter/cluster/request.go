package cluster

import (
	"bytes"
	"context"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/roomspan/roomspan/adapter"
)

// request is a question to the other nodes, and what they have answered. Its
// methods may be called concurrently.
type request struct {
	id   string
	kind Type          // of the answers that count nodes
	done chan struct{} // closed when there is nothing left to wait for

	mu    sync.Mutex
	ended bool // done is closed, or the caller has gone: answers come too late
	cause error

	// nodes are the other nodes by their senders: those that are waited for
	// and those that have answered. unnamed stands for all that answer
	// without a sender.
	nodes   map[string]*node
	unnamed node

	// expected is how many nodes are to answer, or unknown. answered is how
	// many have. byName says that those to answer are listed in nodes.
	expected, answered int
	byName             bool

	// alone says that the other nodes cannot answer any more.
	alone bool

	// asked is how many clients were asked for an acknowledgement as far as
	// known, lost how many of them will not answer. askedHere says whether
	// those of this node are among them.
	asked, lost int
	askedHere   bool

	packets []*adapter.Packet
	sockets []adapter.SocketInfo
	rooms   []string

	// places are those of the first located of sockets, by their ids; filled
	// when an unnamed node answers.
	places  map[string]int
	located int
}

// unknown is the number of nodes as long as the bus has not told it.
const unknown = math.MaxInt

// maxClients bounds the number of clients that a node can claim to have, so
// that sums of them do not overflow.
const maxClients = 1 << 24

// node is what another node owes to a request.
type node struct {
	listed   bool // known when the request began
	answered bool
	open     int // clients that were asked and have not answered
	last     int // number of the last of their answers, 0 if they have none
}

func newRequest(id string, kind Type) *request {
	return &request{
		id: id, kind: kind, done: make(chan struct{}),
		nodes: make(map[string]*node), expected: unknown,
	}
}

// waitFor names the nodes that are to answer, before the request is published.
func (r *request) waitFor(senders iter.Seq[string]) {
	r.byName, r.expected = true, 0
	for sender := range senders {
		r.nodes[sender] = &node{listed: true}
		r.expected++
	}
}

// receive takes an answer. A second one of the same node is ignored, as far as
// it can be told from that of another, also an acknowledgement beyond the number
// of clients that its node has announced.
func (r *request) receive(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	n := r.node(m.Sender)
	switch {
	case m.Type == BroadcastAnswer && r.kind == BroadcastCount:
		if n.open == 0 || m.Packet == nil || n.repeats(m) {
			return
		}
		n.open--
		r.packets = append(r.packets, m.Packet)
	case m.Type != r.kind || n.answered:
		return
	default:
		r.take(n, m)
	}
	r.check()
}

// node returns the state of the sender of an answer, which is kept when that
// counts. Without a name it is that of all who have none, of whom each answer may
// be another.
func (r *request) node(sender string) *node {
	if sender == "" {
		return &r.unnamed
	}
	if n := r.nodes[sender]; n != nil {
		return n
	}
	return &node{}
}

// repeats reports whether an acknowledgement has come before, and notes it.
func (n *node) repeats(m *Message) bool {
	if m.Sender == "" || m.Count <= 0 {
		return false // nobody can tell
	}
	if m.Count <= n.last {
		return true
	}
	n.last = m.Count
	return false
}

// take adds the answer of a node.
func (r *request) take(n *node, m *Message) {
	switch m.Type {
	case BroadcastCount:
		if m.Count < 0 || m.Count > maxClients {
			return
		}
		n.open += m.Count
		r.asked += m.Count
	case FetchAnswer:
		if n != &r.unnamed {
			r.sockets = append(r.sockets, m.Sockets...)
		} else if !r.takeUnnamed(m.Sockets) {
			return
		}
	case ListRoomsAnswer:
		r.rooms = append(r.rooms, m.Rooms...)
	case ServerSideEmitAnswer:
		if m.Packet == nil {
			return
		}
		r.packets = append(r.packets, m.Packet)
	}
	if n != &r.unnamed {
		n.answered = true
		r.nodes[m.Sender] = n
	}
	r.answered++
	if r.byName && !n.listed {
		// One that came since the request began is welcome, but not in
		// place of another.
		r.expected++
	}
}

// takeUnnamed adds the sockets of an answer without a sender, but for those
// that are known: ids are unique in a cluster. It reports false if all of them
// are known just as they are, since that is the same answer once more. An answer
// without sockets may always be another node's.
func (r *request) takeUnnamed(sockets []adapter.SocketInfo) bool {
	if r.places == nil {
		r.places = make(map[string]int, len(sockets))
	}
	for ; r.located < len(r.sockets); r.located++ {
		r.places[r.sockets[r.located].ID] = r.located
	}
	news := len(sockets) == 0
	for _, s := range sockets {
		if at, known := r.places[s.ID]; known {
			news = news || !sameSocket(r.sockets[at], s)
			continue
		}
		news = true
		r.places[s.ID] = len(r.sockets)
		r.sockets = append(r.sockets, s)
	}
	r.located = len(r.sockets)
	return news
}

func sameSocket(a, b adapter.SocketInfo) bool {
	return a.ID == b.ID && slices.Equal(a.Rooms, b.Rooms) &&
		bytes.Equal(a.Handshake, b.Handshake) && bytes.Equal(a.Data, b.Data)
}

// gone stops waiting for a node that is no longer there. What it has said
// stays.
func (r *request) gone(sender string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[sender]
	if n == nil || r.ended {
		return
	}
	if n.listed && !n.answered {
		r.expected--
	}
	n.answered = true
	r.lost += n.open
	n.open = 0
	r.check()
}

// clientAnswer takes the acknowledgement of a client of this node: nil if
// there will be none.
func (r *request) clientAnswer(p *adapter.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if p == nil {
		r.lost++
	} else {
		r.packets = append(r.packets, p)
	}
	r.check()
}

// clientsAsked says how many clients of this node were asked.
func (r *request) clientsAsked(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked += n
	r.askedHere = true
	r.check()
}

// expect sets how many nodes are to answer.
func (r *request) expect(nodes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = nodes
	r.check()
}

// blame sets why answers will be missing, unless the request has ended.
func (r *request) blame(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.cause = cause
	}
}

// cut stops waiting for the other nodes, whose answers cannot come any more.
// The clients of this node may still answer.
func (r *request) cut(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.cause, r.alone = cause, true
	for _, n := range r.nodes {
		r.lost += n.open
		n.open = 0
	}
	r.lost += r.unnamed.open
	r.unnamed.open = 0
	r.check()
}

// fail ends the request, unless it has ended.
func (r *request) fail(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.cause = cause
		r.end()
	}
}

func (r *request) check() {
	if r.nodesAnswered() && r.clientsAnswered() {
		r.end()
	}
}

func (r *request) nodesAnswered() bool { return r.alone || r.answered >= r.expected }

func (r *request) clientsAnswered() bool {
	return r.kind != BroadcastCount || r.askedHere && len(r.packets)+r.lost >= r.asked
}

func (r *request) end() {
	if !r.ended {
		r.ended = true
		close(r.done)
	}
}

// wait returns when all answers have come, or what is missing when ctx ends.
// After it nothing is added to the answers.
func (r *request) wait(ctx context.Context) error {
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	whole := r.nodesAnswered() && r.clientsAnswered()
	if whole && r.lost == 0 && r.cause == nil {
		return nil
	}
	missing := &adapter.MissingAnswersError{Expected: r.expected, Received: r.answered, Cause: r.cause}
	if r.kind == BroadcastCount {
		missing.Expected, missing.Received = r.asked, len(r.packets)
	}
	if missing.Expected == unknown || missing.Expected <= missing.Received {
		missing.Expected = missing.Received + 1
	}
	if missing.Cause == nil && whole {
		missing.Cause = adapter.ErrNoAnswer
	} else if missing.Cause == nil {
		missing.Cause = ctx.Err()
	}
	return missing
}
