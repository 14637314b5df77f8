package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// client is a Socket.IO client over WebSocket that is cheap: it neither parses
// JSON nor masks (its mask is zero), since it shares the machine with what is
// measured.
type client struct {
	net net.Conn
	r   *bufio.Reader
	buf []byte // of the payload read last
	out []byte // frames to be written

	compressed bool // what was read last
}

// dialer says how clients connect.
type dialer struct {
	addr    string
	tls     bool
	deflate bool
	dialed  atomic.Uint32
}

// connect opens a TCP or TLS connection. Source addresses change, since one
// address has only some 28,000 ports, and those of the work before are taken
// for another minute.
func (d *dialer) connect() (net.Conn, error) {
	n := d.dialed.Add(1)
	nd := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%200))},
		Timeout:   30 * time.Second,
	}
	c, err := nd.Dial("tcp", d.addr)
	if err != nil || !d.tls {
		return c, err
	}
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true}), nil // the certificate is made for the run
}

// welcome is what the test server sends to everybody first.
var welcome = []byte(`42["auth"`)

const upgradeRequest = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n" +
	"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// dial connects a client and joins it to the main namespace.
func (d *dialer) dial() (*client, error) {
	nc, err := d.connect()
	if err != nil {
		return nil, err
	}
	c := &client{net: nc, r: bufio.NewReaderSize(nc, 4096)}
	if err := c.open(d.deflate); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) open(deflate bool) error {
	request := upgradeRequest
	if deflate {
		// Without context takeover a message can be read alone.
		request += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	_ = c.net.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(c.net, request+"\r\n"); err != nil {
		return err
	}
	status, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	if !bytes.Contains([]byte(status), []byte(" 101 ")) {
		return fmt.Errorf("upgrade refused: %s", status)
	}
	for line := status; line != "\r\n"; {
		if line, err = c.r.ReadString('\n'); err != nil {
			return err
		}
	}
	// As a real client does, it waits for the handshake: not every server
	// takes a packet before.
	for _, step := range []struct{ wait, send string }{{"0{", "40"}, {"40{", ""}} {
		p, err := c.read()
		if err == nil && c.compressed {
			p, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
		}
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(p, []byte(step.wait)) {
			return fmt.Errorf("%.60q where %s was due", p, step.wait)
		}
		if err := c.send([]byte(step.send)); err != nil {
			return err
		}
	}
	return c.net.SetDeadline(time.Time{})
}

// read returns the payload of the next message, valid until the next read. It
// answers pings of Engine.IO. A compressed message is returned as it is.
func (c *client) read() ([]byte, error) {
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return nil, err
		}
		if int64(cap(c.buf)) < h.Length {
			c.buf = make([]byte, h.Length)
		}
		p := c.buf[:h.Length]
		c.compressed = h.Rsv1()
		if _, err := io.ReadFull(c.r, p); err != nil {
			return nil, err
		}
		switch {
		case h.OpCode == ws.OpClose:
			return nil, io.EOF
		case h.OpCode == ws.OpText && len(p) == 1 && p[0] == '2':
			if err := c.send([]byte("3")); err != nil {
				return nil, err
			}
		case bytes.HasPrefix(p, welcome):
		case h.OpCode == ws.OpText || h.OpCode == ws.OpBinary:
			return p, nil
		}
	}
}

// idle reports whether nothing more has come that read would return at once.
func (c *client) idle() bool { return c.r.Buffered() == 0 }

func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		panic("longer than the benchmark needs")
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// queue adds a message to the frames that flush writes.
func (c *client) queue(payload []byte) { c.out = appendFrame(c.out, ws.OpText, payload) }

func (c *client) queueBinary(payload []byte) { c.out = appendFrame(c.out, ws.OpBinary, payload) }

func (c *client) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *client) send(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	c.queue(payload)
	return c.flush()
}

func (c *client) close() { _ = c.net.Close() }

// dialAll connects n clients, so many at a time.
func dialAll(n, atOnce int, dial func(i int) (*client, error)) ([]*client, error) {
	clients := make([]*client, n)
	errs := make(chan error, atOnce)
	var next atomic.Int64
	for range atOnce {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					errs <- nil
					return
				}
				c, err := dial(i)
				if err != nil {
					errs <- fmt.Errorf("client %d: %w", i, err)
					return
				}
				clients[i] = c
			}
		}()
	}
	var first error
	for range atOnce {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		closeAll(clients)
	}
	return clients, first
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.close()
		}
	}
}
