package cluster

import (
	"context"
	"sync"

	"github.com/roomspan/roomspan/adapter"
)

// Broadcast implements [adapter.Adapter].
func (a *Adapter) Broadcast(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) error {
	if err := a.Local.Broadcast(p, sel, flags); err != nil || sel.Local {
		return err
	}
	return a.publish(&Message{Type: Broadcast, Packet: p, Selector: everywhere(sel), Flags: flags})
}

// AddSockets implements [adapter.Adapter].
func (a *Adapter) AddSockets(sel adapter.Selector, rooms []string) error {
	if err := a.Local.AddSockets(sel, rooms); err != nil || sel.Local {
		return err
	}
	return a.publish(&Message{Type: AddSockets, Selector: everywhere(sel), Rooms: rooms})
}

// DelSockets implements [adapter.Adapter].
func (a *Adapter) DelSockets(sel adapter.Selector, rooms []string) error {
	if err := a.Local.DelSockets(sel, rooms); err != nil || sel.Local {
		return err
	}
	return a.publish(&Message{Type: DelSockets, Selector: everywhere(sel), Rooms: rooms})
}

// DisconnectSockets implements [adapter.Adapter].
func (a *Adapter) DisconnectSockets(sel adapter.Selector, closeConn bool) error {
	if err := a.Local.DisconnectSockets(sel, closeConn); err != nil || sel.Local {
		return err
	}
	return a.publish(&Message{Type: DisconnectSockets, Selector: everywhere(sel), CloseConn: closeConn})
}

// ServerSideEmit implements [adapter.Adapter].
func (a *Adapter) ServerSideEmit(p *adapter.Packet) error {
	return a.publish(&Message{Type: ServerSideEmit, Packet: p})
}

// everywhere returns the selector as other nodes are to read it.
func everywhere(sel adapter.Selector) adapter.Selector {
	sel.Remote = false
	return sel
}

func (a *Adapter) receiveBroadcast(m *Message) {
	if m.Packet == nil {
		return
	}
	if m.RequestID != "" {
		a.receiveAsk(m)
		return
	}
	if a.Wanted(m.Selector) {
		_ = a.Local.Broadcast(m.Packet, m.Selector, m.Flags)
	}
}

// receiveAsk delivers a broadcast whose sender wants to know how many clients
// were asked, also if none was, and what each of them answers.
func (a *Adapter) receiveAsk(m *Message) {
	answers := askAnswers{adapter: a, request: m}
	if !a.Wanted(m.Selector) {
		answers.counted(0)
		return
	}
	timeout := m.Timeout
	if timeout <= 0 {
		timeout = a.config.RequestTimeout
	}
	answers.counted(a.host.Ask(m.Packet, m.Flags, a.Sockets(m.Selector), timeout, answers.answer))
}

// askAnswers publishes the answers of the clients of this node, after their
// number: those that come before it is known are kept. Each has a number of its
// own, in whose order they are published, so that one that comes twice is told
// from the answer of another client.
type askAnswers struct {
	adapter *Adapter
	request *Message

	mu    sync.Mutex // held while an answer is published, which does not block
	open  bool
	early []*adapter.Packet
	given int
}

func (w *askAnswers) answer(p *adapter.Packet) {
	if p == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		w.publish(p)
	} else {
		w.early = append(w.early, p)
	}
}

func (w *askAnswers) counted(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.adapter.reply(w.request, &Message{Type: BroadcastCount, Count: n})
	for _, p := range w.early {
		w.publish(p)
	}
	w.open, w.early = true, nil
}

func (w *askAnswers) publish(p *adapter.Packet) {
	w.given++
	w.adapter.reply(w.request, &Message{Type: BroadcastAnswer, Packet: p, Count: w.given})
}

// receiveElsewhere handles a message of a node that this one hears in another
// fleet, where it does what it is asked for. Who counts on an answer here gets
// one. It reports false for what is handled in both: questions that change
// nothing, and answers.
func (a *Adapter) receiveElsewhere(m *Message) bool {
	switch m.Type {
	case Broadcast:
		if m.RequestID != "" {
			a.reply(m, &Message{Type: BroadcastCount})
		}
	case ServerSideEmit:
		if m.RequestID != "" {
			a.reply(m, &Message{Type: ServerSideEmitAnswer, Packet: adapter.Elsewhere()})
		}
	case AddSockets, DelSockets, DisconnectSockets:
	default:
		return false
	}
	return true
}

func (a *Adapter) receiveFetch(m *Message) {
	if m.RequestID == "" {
		return
	}
	sockets, err := a.Local.FetchSockets(context.Background(), m.Selector)
	if err == nil {
		a.reply(m, &Message{Type: FetchAnswer, Sockets: sockets})
	}
}

func (a *Adapter) receiveListRooms(m *Message) {
	if m.RequestID == "" {
		return
	}
	rooms, err := a.Local.Rooms(context.Background())
	if err == nil {
		a.reply(m, &Message{Type: ListRoomsAnswer, Rooms: rooms})
	}
}

func (a *Adapter) receiveServerSideEmit(m *Message) {
	if m.Packet == nil {
		return
	}
	if m.RequestID == "" {
		a.host.ServerSideEvent(m.Packet, nil)
		return
	}
	var once sync.Once
	a.host.ServerSideEvent(m.Packet, func(p *adapter.Packet) {
		if p == nil {
			return
		}
		once.Do(func() { a.reply(m, &Message{Type: ServerSideEmitAnswer, Packet: p}) })
	})
}

// reply publishes an answer. One that is lost is missed by the node that
// asked, which tells its caller.
func (a *Adapter) reply(to, m *Message) {
	m.To, m.RequestID = to.Sender, to.RequestID
	_ = a.publish(m)
}
