package pysocketio_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// An emitter is counted by nobody and waited for by nobody, also while it asks
// clients of Python nodes, whose answers it hears on the channel of all.
func TestEmitterIsNoNode(t *testing.T) {
	t.Parallel()
	r := miniredis.RunT(t)
	p := newPeer(t, r)
	url := "redis://" + r.Addr()
	a, b := start(t, pysocketio.New(url)), start(t, pysocketio.New(url))
	e := startEmitter(t, pysocketio.New(url))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	check := func(when string) {
		t.Helper()
		for name, n := range map[string]*node{"node": a, "emitter": e} {
			if got, err := n.ServerCount(ctx); got != 3 || err != nil {
				t.Errorf("%s: the %s counts %d servers, %v", when, name, got, err)
			}
		}
		a.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return event(`["a"]`) })
		b.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return event(`["b"]`) })
		for n, want := range map[*node]int{a: 1, e: 2} {
			if answers, err := n.ServerSideEmitWithAck(ctx, event(`["question"]`)); len(answers) != want || err != nil {
				t.Errorf("%s: %d nodes answer, %v; want %d", when, len(answers), err, want)
			}
			if infos, err := n.FetchSockets(ctx, adapter.Selector{}); len(infos) != 2 || err != nil {
				t.Errorf("%s: %d sockets, %v", when, len(infos), err)
			}
		}
	}
	check("at rest")

	asked := make(chan error, 1)
	go func() {
		packets, err := e.BroadcastWithAck(ctx, event(`["q"]`), rooms(theirSID), adapter.Flags{})
		if err == nil && (len(packets) != 1 || string(packets[0].Args) != `["there"]`) {
			err = fmt.Errorf("%d answers", len(packets))
		}
		asked <- err
	}()
	_, question := p.hear()
	check("while it asks")
	p.say(fmt.Sprintf(`{"method": "callback", "host_id": "%s", "sid": "x", "namespace": "/", "id": %v, "args": ["there"]}`,
		question["host_id"], question["callback"].([]any)[2]))
	if err := <-asked; err != nil {
		t.Error(err)
	}
	check("afterwards")
	eventually(t, "the emitter hears the channel no more", func() bool { return r.PubSubNumPat() == 0 })
	if s := e.backend.Stats(); s.Malformed != 0 {
		t.Errorf("%+v", s)
	}
}

// Clients of nodes of both kinds answer an emitter that asks many times at
// once.
func TestEmitterAsksAtOnce(t *testing.T) {
	t.Parallel()
	r := miniredis.RunT(t)
	p := newPeer(t, r)
	url := "redis://" + r.Addr()
	n := start(t, pysocketio.New(url))
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event(`["here"]`) })
	e := startEmitter(t, pysocketio.New(url))
	const questions = 20
	var asking sync.WaitGroup
	defer asking.Wait()
	for range questions {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			packets, err := e.BroadcastWithAck(ctx, event(`["q"]`), rooms(theirSID), adapter.Flags{})
			if len(packets) != 1 || err != nil {
				t.Errorf("%d answers, %v", len(packets), err)
			}
			packets, err = e.BroadcastWithAck(ctx, event(`["own"]`), rooms(sid), adapter.Flags{})
			if len(packets) != 1 || err != nil {
				t.Errorf("%d answers of a client here, %v", len(packets), err)
			}
		})
	}
	for answered := 0; answered < questions; {
		_, m := p.hear()
		if m["event"] != "q" {
			continue
		}
		answered++
		p.say(fmt.Sprintf(`{"method": "callback", "host_id": "%s", "sid": "x", "namespace": "/", "id": %v, "args": ["there"]}`,
			m["host_id"], m["callback"].([]any)[2]))
	}
}

// An emitter that is alone has nobody to wait for, and none but its own
// questions concern it.
func TestEmitterAlone(t *testing.T) {
	t.Parallel()
	r := miniredis.RunT(t)
	e := startEmitter(t, pysocketio.New("redis://"+r.Addr()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := e.ServerCount(ctx); got != 0 || err != nil {
		t.Errorf("%d servers, %v", got, err)
	}
	if infos, err := e.FetchSockets(ctx, adapter.Selector{}); len(infos) != 0 || err != nil {
		t.Errorf("%d sockets, %v", len(infos), err)
	}
	if packets, err := e.BroadcastWithAck(ctx, event(`["q"]`), adapter.Selector{}, adapter.Flags{}); len(packets) != 0 || err != nil {
		t.Errorf("%d answers, %v", len(packets), err)
	}
	for _, channel := range []string{"socketio", "socketio:roomspan"} {
		if n := r.PubSubNumSub(channel)[channel]; n != 0 {
			t.Errorf("%d listen to %s", n, channel)
		}
	}
}

// What an emitter says while Redis is away is sent when the nodes hear again,
// which may take longer than it does.
func TestEmitterOutage(t *testing.T) {
	t.Parallel()
	r := miniredis.RunT(t)
	n := start(t, pysocketio.New("redis://"+r.Addr()))
	e := startEmitter(t, pysocketio.New("redis://"+r.Addr()))
	emit := func(number int) {
		t.Helper()
		if err := e.Broadcast(event(fmt.Sprintf(`["n",%d]`, number)), adapter.Selector{}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
	}
	emit(0)
	want := []string{`["n",0]`}
	n.await(want...)
	for round := 1; round < 5; round++ {
		r.Close()
		eventually(t, "the loss is noticed", func() bool { return !e.backend.Stats().Connected && !n.backend.Stats().Connected })
		if _, err := e.BroadcastWithAck(t.Context(), event(`["q"]`), adapter.Selector{}, adapter.Flags{}); !errors.Is(err, adapter.ErrUnreachable) {
			t.Errorf("asking meanwhile: %v", err)
		}
		emit(round)
		// The pauses of both grow, and part.
		time.Sleep(time.Second)
		if err := r.Restart(); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf(`["n",%d]`, round))
		n.await(want...)
	}
	eventually(t, "all are counted", func() bool { return e.backend.Stats().Published == 5 })
	if s := e.backend.Stats(); s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}
