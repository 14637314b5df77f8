// Command floor is the least that a Go program can do for the clients of the
// benchmark: WebSocket frames by github.com/gobwas/ws, one goroutine that
// reads for each connection, one write for each message, no parsing beyond the
// name of the event. It is no Socket.IO server.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"

	"github.com/gobwas/ws"
)

type hub struct {
	mu    sync.RWMutex
	conns map[*conn]struct{}
}

type conn struct {
	mu  sync.Mutex
	net net.Conn
}

func (c *conn) write(payload []byte) {
	frame := ws.MustCompileFrame(ws.NewTextFrame(payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.net.Write(frame)
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening")
	h := &hub{conns: make(map[*conn]struct{})}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go h.serve(c)
	}
}

func (h *hub) serve(nc net.Conn) {
	defer nc.Close()
	if _, err := ws.Upgrade(nc); err != nil {
		return
	}
	c := &conn{net: nc}
	c.write([]byte(`0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	}()
	r := bufio.NewReaderSize(nc, 4096)
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		ws.Cipher(f.Payload, f.Header.Mask, 0)
		h.handle(c, f.Payload)
	}
}

func (h *hub) handle(c *conn, payload []byte) {
	switch {
	case string(payload) == "40":
		c.write([]byte(`40{"sid":"y"}`))
	case bytes.HasPrefix(payload, []byte(`42["echo"`)):
		c.write(payload)
	case bytes.HasPrefix(payload, []byte(`42["bcast"`)):
		out := append([]byte(`42["msg"`), payload[len(`42["bcast"`):]...)
		h.mu.RLock()
		defer h.mu.RUnlock()
		for o := range h.conns {
			o.write(out)
		}
	}
}

func readFrame(r *bufio.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, ws.ErrHeaderLengthUnexpected
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
