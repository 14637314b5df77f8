package server

import (
	"context"
	"sync"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// ServerSideEmit sends an event to the handlers of all other nodes of the
// cluster: those of [Namespace.ServerSide] in the same namespace. It
// queues and does not wait. Errors: an argument that cannot be encoded,
// [ErrReservedEvent], a closed server.
func (ns *Namespace) ServerSideEmit(event string, args ...any) error {
	p, err := ns.encodeServerSide(event, args)
	if err != nil {
		return err
	}
	return ns.adapter.ServerSideEmit(p)
}

// ServerSideEmitWithAck does the same and returns the answers of the other
// nodes, in no order. If ctx has no deadline it waits as long as
// [WithAckTimeout] says. When the time is up it returns the answers that came
// and a *[MissingAnswersError]. [CallServers] is the typed form.
func (ns *Namespace) ServerSideEmitWithAck(ctx context.Context, event string, args ...any) ([]*Answer, error) {
	p, err := ns.encodeServerSide(event, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := ns.deadline(ctx)
	defer cancel()
	packets, err := ns.adapter.ServerSideEmitWithAck(ctx, p)
	return ns.answersOf(packets, err)
}

// CallServers asks all other nodes and returns the first value of each answer,
// as [CallAll] does with clients.
func CallServers[R any](ctx context.Context, ns *Namespace, event string, args ...any) ([]R, error) {
	answers, err := ns.ServerSideEmitWithAck(ctx, event, args...)
	return decodeAnswers[R](answers, err)
}

// ServerCount returns the number of nodes of the cluster that are alive, this
// one included.
func (ns *Namespace) ServerCount(ctx context.Context) (int, error) {
	ctx, cancel := ns.deadline(ctx)
	defer cancel()
	return ns.adapter.ServerCount(ctx)
}

// encodeServerSide refuses what Node would not accept from itself.
func (ns *Namespace) encodeServerSide(event string, args []any) (*adapter.Packet, error) {
	if event == "connection" || event == "new_namespace" {
		return nil, ErrReservedEvent
	}
	return ns.encodeEvent(event, args)
}

// ServerSide returns where handlers for the events are registered that other
// nodes send with ServerSideEmit, by [On], [Reply] and their like. Their socket
// is nil; a result answers the node that asks. Handlers run one at a time, in
// order, on a goroutine of the namespace; see [WithNoticeLimit].
func (ns *Namespace) ServerSide() Registrar { return serverSide{ns} }

type serverSide struct{ ns *Namespace }

func (r serverSide) Handle(event string, h func(*Event) error) (remove func()) {
	return r.ns.srv.register(&r.ns.serverSide, event, h, false)
}

// ServerSideEvent implements adapter.Host. An event without a handler goes
// unanswered, as on Node.
func (h host) ServerSideEvent(p *adapter.Packet, reply func(*adapter.Packet)) {
	ev := &Event{ns: h.ns, asks: reply != nil}
	spans, err := parser.Scan(p.Args, len(p.Attachments), parser.Limits{}, ev.values.room[:0])
	if err != nil || len(spans) == 0 {
		return
	}
	ev.values.data, ev.values.spans, ev.values.attachments = p.Args, spans, p.Attachments
	if reply != nil {
		var once sync.Once
		ev.reply = func(p *adapter.Packet) { once.Do(func() { reply(p) }) }
	}
	h.ns.notify(func() {
		for n := h.ns; n != nil; n = n.parent {
			for _, e := range n.serverSide.load().find(ev) {
				if err := ev.guard(func() error { return e.f(ev) }); err != nil {
					h.ns.srv.handlerError(nil, ev.Name(), err)
				}
			}
		}
	})
}
