package server

import (
	"context"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/parser"
	"github.com/roomspan/roomspan/server/internal/wheel"
)

// An Answer is the acknowledgement of a client.
type Answer struct {
	values values
	codec  args.Codec
}

// Len returns the number of values in the answer.
func (a *Answer) Len() int { return len(a.values.spans) }

// Decode stores the values of the answer, as [Event.Decode] does arguments.
func (a *Answer) Decode(dst ...any) error { return a.values.decode(a.codec, 0, dst) }

func (a *Answer) packet() *adapter.Packet {
	return &adapter.Packet{Args: a.values.data, Attachments: a.values.attachments}
}

// answerOf reads an answer that an adapter brought.
func (ns *Namespace) answerOf(p *adapter.Packet) (*Answer, error) {
	a := &Answer{codec: ns.srv.cfg.codec}
	spans, err := parser.Scan(p.Args, len(p.Attachments), parser.Limits{}, a.values.room[:0])
	if err != nil {
		return nil, err
	}
	a.values.data, a.values.spans, a.values.attachments = p.Args, spans, p.Attachments
	return a, nil
}

// pendingAck is an acknowledgement that is waited for. done is called once,
// without a lock, and does not block.
type pendingAck struct {
	socket *Socket
	id     uint64
	done   func(*Answer, error)
	timer  wheel.Timer
}

// Expire implements wheel.Owner.
func (p *pendingAck) Expire(*wheel.Timer) { p.socket.forget(p.id, ErrAckTimeout) }

// expect prepares for an acknowledgement. It reports false, and never calls
// done, if the socket is not connected. timeout 0 sets no time.
func (s *Socket) expect(id uint64, timeout time.Duration, done func(*Answer, error)) bool {
	p := &pendingAck{socket: s, id: id, done: done}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != stateConnected {
		return false
	}
	if s.acks == nil {
		s.acks = make(map[uint64]*pendingAck)
	}
	s.acks[id] = p
	c.asked++
	c.signalLocked() // see askedFactor
	if timeout > 0 {
		c.srv.engine.Wheel().Set(&p.timer, p, timeout)
	}
	return true
}

// forget gives up on an acknowledgement.
func (s *Socket) forget(id uint64, err error) {
	if p := s.takeAck(id); p != nil {
		p.done(nil, err)
	}
}

func (s *Socket) takeAck(id uint64) *pendingAck {
	c := s.conn
	c.mu.Lock()
	p := s.acks[id]
	if p != nil {
		delete(s.acks, id)
		c.asked--
	}
	c.mu.Unlock()
	if p != nil {
		c.srv.engine.Wheel().Stop(&p.timer)
	}
	return p
}

// acknowledged takes the answer of a client. It runs on the reading goroutine,
// so that no handler keeps an answer from whoever waits for it. An answer that
// nobody waits for is ignored, as on Node.
func (s *Socket) acknowledged(packet *parser.Packet, attachments [][]byte) {
	p := s.takeAck(packet.ID)
	if p == nil {
		return
	}
	a := &Answer{codec: s.ns.srv.cfg.codec}
	a.values.keep(nil, packet)
	a.values.attachments = attachments
	p.done(a, nil)
}

// EmitWithAck sends an event and waits for the acknowledgement of the client.
// If ctx has no deadline it waits as long as [WithAckTimeout] says. It may be
// called from a handler of the same socket. Errors: [ErrAckTimeout],
// [ErrDisconnected], that of ctx, and those of Emit. [Call] is the typed form.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (*Answer, error) {
	return s.emitWithAck(ctx, adapter.Flags{}, event, args)
}

func (s *Socket) emitWithAck(ctx context.Context, flags adapter.Flags, event string, args []any) (*Answer, error) {
	packet, err := s.ns.encodeEvent(event, args)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	timeout := s.ns.srv.cfg.ackTimeout
	if _, ok := ctx.Deadline(); ok {
		timeout = 0
	}
	type result struct {
		answer *Answer
		err    error
	}
	results := make(chan result, 1)
	id := s.ns.ackIDs.Add(1)
	if !s.expect(id, timeout, func(a *Answer, err error) { results <- result{a, err} }) {
		return nil, ErrDisconnected
	}
	m, err := s.ns.message(packet, flags, &id)
	if err == nil {
		err = s.send(m, packet)
	}
	if err != nil {
		s.forget(id, err)
	}
	s.conn.session.FlushNow()
	select {
	case r := <-results:
		return r.answer, r.err
	case <-ctx.Done():
		s.forget(id, ctx.Err())
		r := <-results
		return r.answer, r.err
	}
}

// Call asks a client and returns the first value of its acknowledgement, the
// zero value if there is none. See [Socket.EmitWithAck]; the error may also be
// a *[DecodeError].
func Call[R any](ctx context.Context, s *Socket, event string, args ...any) (R, error) {
	var r R
	a, err := s.EmitWithAck(ctx, event, args...)
	if err != nil {
		return r, err
	}
	err = a.Decode(&r)
	return r, err
}

// CallAll asks all clients of a target, on all nodes, and returns the first
// value of each acknowledgement. When some did not answer in time, or answered
// with what is no R, the rest is returned with a *[MissingAnswersError]. See
// [Target.EmitWithAck].
func CallAll[R any](ctx context.Context, t Target, event string, args ...any) ([]R, error) {
	answers, err := t.EmitWithAck(ctx, event, args...)
	return decodeAnswers[R](answers, err)
}

// decodeAnswers returns the first value of each answer.
func decodeAnswers[R any](answers []*Answer, err error) ([]R, error) {
	all := make([]R, 0, len(answers))
	var bad error
	for _, a := range answers {
		var r R
		if derr := a.Decode(&r); derr != nil {
			bad = derr
			continue
		}
		all = append(all, r)
	}
	return all, missing(err, len(answers), len(all), bad)
}
