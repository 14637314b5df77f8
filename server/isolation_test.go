package server_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// letter is an event's content: one letter, many times, that nobody else sends.
type letter struct {
	who  byte
	seq  int
	fill string
}

func (l letter) check() error {
	if strings.Trim(l.fill, string(l.who)) != "" {
		return fmt.Errorf("client %c, event %d: foreign bytes in %.40q, %d bytes", l.who, l.seq, strings.Trim(l.fill, string(l.who)), len(l.fill))
	}
	return nil
}

// Clients of every kind send and receive at once, in memory that is used again
// by all of them. Nobody gets a byte of another, all comes in order, and what
// the program keeps does not change. It says most with -tags poison.
func TestClientsDoNotShareBytes(t *testing.T) {
	const events = 150
	n := start(t, server.WithEIO3(), server.WithCompression(true, true), server.WithCompressionLevel(1, 200),
		server.WithQueueLimit(1<<20, 64<<20), server.WithInboundLimit(16, 1<<16))
	var mu sync.Mutex
	var kept []func() error
	n.Handle("m", func(e *server.Event) error {
		var who string
		var seq int
		var fill any
		if err := e.Decode(&who, &seq, &fill); err != nil {
			t.Error(err)
			return err
		}
		text, isText := fill.(string)
		if !isText {
			text = string(fill.([]byte))
		}
		l := letter{who[0], seq, text}
		if err := l.check(); err != nil {
			t.Errorf("server: %v", err)
		}
		if seq%8 == 0 {
			mu.Lock()
			kept = append(kept, func() error {
				var w string
				var s int
				var f any
				if err := e.Decode(&w, &s, &f); err != nil {
					return err
				}
				if b, ok := f.([]byte); ok {
					f = string(b)
				}
				if w != who || s != seq || f != text || e.Name() != "m" {
					return fmt.Errorf("a kept event has changed: %s %d", w, s)
				}
				return l.check()
			})
			mu.Unlock()
		}
		s := e.Socket()
		must(t, ignore(s.Emit("m", who, seq, fill)))
		if e.WantsAck() {
			must(t, ignore(e.Ack(who, seq, text[:min(len(text), 50)])))
		}
		if seq%16 == 0 {
			_ = s.Volatile().Emit("v", who, seq, fill)
			_ = n.Emit("all", who, seq, text[:min(len(text), 3000)])
		}
		if seq%50 == 49 {
			_ = n.Volatile().Emit("all", who, seq, fill)
		}
		return nil
	})
	var clients sync.WaitGroup
	for i, kind := range []string{"plain", "plain", "deflate", "deflate", "slow", "slow", "polling", "polling", "v3", "leaves", "leaves"} {
		clients.Go(func() { (&ledger{t: t, n: n, kind: kind, who: byte('a' + i)}).run(events) })
	}
	clients.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, again := range kept {
		if err := again(); err != nil {
			t.Error(err)
		}
	}
}

// ignore lets pass that a client has gone.
func ignore(err error) error {
	if err == server.ErrDisconnected {
		return nil
	}
	return err
}

// ledger is a client that sends events and looks at all that it gets.
type ledger struct {
	t       *testing.T
	n       *node
	kind    string
	who     byte
	next    int      // event that is to come
	pending []string // placeholder's packet, while its attachment is awaited
}

func (l *ledger) packets(seq int, v3 bool) []string {
	size := rand.IntN(200)
	switch rand.IntN(6) {
	case 0:
		size = rand.IntN(30_000)
	case 1:
		size = 3000 + rand.IntN(3000)
	}
	fill := strings.Repeat(string(l.who), size)
	id := ""
	if seq%3 == 0 {
		id = fmt.Sprint(seq)
	}
	if seq%4 == 1 {
		b := "b" + fill
		if v3 {
			b = "b\x04" + fill
		}
		return []string{fmt.Sprintf(`451-%s["m","%c",%d,{"_placeholder":true,"num":0}]`, id, l.who, seq), b}
	}
	return []string{fmt.Sprintf(`42%s["m","%c",%d,"%s"]`, id, l.who, seq, fill)}
}

// take looks at one Socket.IO packet, or an attachment with a "b" before it.
func (l *ledger) take(p string) {
	fill := ""
	if p[0] == 'b' {
		if len(l.pending) == 0 {
			l.t.Errorf("%c: attachment without a packet", l.who)
			return
		}
		fill, p, l.pending = p[1:], l.pending[0], nil
		p = p[strings.IndexByte(p, '-')+1:]
	} else if p[0] == '5' || p[0] == '6' {
		l.pending = []string{p}
		return
	} else {
		p = p[1:]
	}
	ack := p[0] != '['
	var v []any
	if err := json.Unmarshal([]byte(p[strings.IndexByte(p, '['):]), &v); err != nil {
		l.t.Errorf("%c: %v in %.60q", l.who, err, p)
		return
	}
	name := "ack"
	if !ack {
		name = v[0].(string)
		v = v[1:]
	}
	got := letter{v[0].(string)[0], int(v[1].(float64)), fill}
	if s, ok := v[2].(string); ok {
		got.fill = s
	}
	if err := got.check(); err != nil {
		l.t.Errorf("%c received: %v", l.who, err)
	}
	switch {
	case name != "all" && got.who != l.who:
		l.t.Errorf("%c received %s of %c", l.who, name, got.who)
	case name == "m":
		if got.seq != l.next {
			l.t.Errorf("%c received %d, want %d", l.who, got.seq, l.next)
		}
		l.next = got.seq + 1
	}
}

func (l *ledger) run(events int) {
	if l.kind == "polling" {
		l.poll(events)
		return
	}
	n := *l.n
	version := "4"
	switch l.kind {
	case "deflate":
		n.offers = []httphead.Option{{Name: []byte("permessage-deflate")}}
	case "v3":
		version = "3"
	}
	c, err := tryDialVersion(&n, version)
	if err != nil {
		l.t.Error(err)
		return
	}
	defer c.conn.Close()
	if tcp, ok := c.conn.(*net.TCPConn); ok && l.kind == "slow" {
		_ = tcp.SetReadBuffer(8 << 10)
	}
	if version == "4" {
		c.send("40")
	}
	joined := func() {
		for i := range events {
			c.send(l.packets(i, version == "3")...)
			if l.kind == "leaves" && i == events/2 {
				_ = c.conn.Close()
				return
			}
		}
	}
	r := bufio.NewReader(c.conn)
	for l.next < events {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		f, err := readFrame(r)
		if err != nil {
			if l.kind != "leaves" {
				l.t.Errorf("%c (%s) at %d: %v", l.who, l.kind, l.next, err)
			}
			return
		}
		p := string(f.Payload)
		if f.Header.Rsv1() {
			b, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
			if err != nil {
				l.t.Errorf("%c: %v", l.who, err)
			}
			p = string(b)
		}
		switch {
		case f.Header.OpCode == ws.OpBinary && version == "3":
			l.take("b" + p[1:])
		case f.Header.OpCode == ws.OpBinary:
			l.take("b" + p)
		case f.Header.OpCode == ws.OpText && strings.HasPrefix(p, "40"):
			go joined()
		case f.Header.OpCode == ws.OpText && p[0] == '4':
			l.take(p[1:])
		case f.Header.OpCode == ws.OpText && p[0] == '2':
			c.send("3")
		default:
			l.t.Errorf("%c: frame %v %.40q", l.who, f.Header.OpCode, p)
		}
		if l.kind == "slow" && l.next%10 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

func (l *ledger) poll(events int) {
	p := poll(l.t, l.n)
	p.post("40")
	if body, _ := p.get(); !strings.HasPrefix(body, "40") {
		l.t.Errorf("answer %q", body)
	}
	go func() {
		for i := range events {
			packets := l.packets(i, false)
			if len(packets) == 2 {
				packets[1] = "b" + base64.StdEncoding.EncodeToString([]byte(packets[1][1:]))
			}
			p.post(packets...)
		}
	}()
	for l.next < events {
		body, status := p.get()
		if status != 200 {
			l.t.Errorf("%c: status %d", l.who, status)
			return
		}
		for packet := range strings.SplitSeq(body, "\x1e") {
			switch packet[0] {
			case '4':
				l.take(packet[1:])
			case 'b':
				b, err := base64.StdEncoding.DecodeString(packet[1:])
				if err != nil {
					l.t.Error(err)
				}
				l.take("b" + string(b))
			case '2':
				p.post("3")
			}
		}
	}
}
