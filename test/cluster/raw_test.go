package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// wsConn is a Socket.IO client over WebSocket that is cheap, since it shares the machine with what it measures: it parses
// no JSON, and its mask is zero. One goroutine reads and another one writes.
type wsConn struct {
	net.Conn
	r *bufio.Reader
}

// dialRaw connects a client and joins it to the main namespace.
func dialRaw(addr string) (*wsConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, r, _, err := ws.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = bufio.NewReader(conn)
	}
	c := &wsConn{conn, r}
	_ = conn.SetDeadline(time.Now().Add(patience))
	for _, step := range []struct{ wait, send string }{{"0{", "40"}, {"40{", ""}} {
		text, err := c.read()
		if err == nil && !strings.HasPrefix(text, step.wait) {
			err = fmt.Errorf("%.60q where %s was due", text, step.wait)
		}
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		if step.send != "" {
			c.send(step.send)
		}
	}
	return c, conn.SetDeadline(time.Time{})
}

// send writes a message. That the connection has ended shows when it is read.
func (c *wsConn) send(text string) {
	frame := ws.NewTextFrame([]byte(text))
	_ = ws.WriteFrame(c.Conn, ws.MaskFrameInPlaceWith(frame, [4]byte{}))
}

// read returns the next message, and answers pings.
func (c *wsConn) read() (string, error) {
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return "", err
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, p); err != nil {
			return "", err
		}
		switch {
		case h.OpCode == ws.OpClose:
			return "", io.EOF
		case bytes.Equal(p, []byte("2")):
			c.send("3")
		default:
			return string(p), nil
		}
	}
}
