package servertest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// listener is the listener of a server for a single client: it accepts one end
// of a pipe.
type listener struct {
	conns  chan net.Conn // has the connection until it is accepted
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return pipeEnd{}.LocalAddr() }

// pipeEnd is the server's end of a pipe, with addresses that handlers can take
// apart as they do those of TCP. They are those of httptest, reserved for
// documentation.
type pipeEnd struct{ net.Conn }

func (pipeEnd) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 80} }
func (pipeEnd) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }

// dial opens a WebSocket to a handler. The server of net/http is needed only
// until the connection has been taken over from it. early, unless it is nil,
// reads conn from the start; else nothing has been read yet.
func dial(h http.Handler, cfg *config) (conn net.Conn, early *bufio.Reader, err error) {
	client, end := net.Pipe()
	l := &listener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- pipeEnd{end}
	srv := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	defer func() {
		if err != nil {
			_ = client.Close()
		}
		_ = srv.Close()
		<-served
	}()
	if err := client.SetDeadline(time.Now().Add(cfg.timeout)); err != nil {
		return nil, nil, err
	}
	early, err = upgrade(client, cfg)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = context.DeadlineExceeded
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		err = server.ErrDisconnected
	}
	if err != nil {
		return nil, nil, err
	}
	_ = client.SetDeadline(time.Time{}) // the reader will see if it is closed already
	return client, early, nil
}

// upgrade makes the handshake of RFC 6455.
func upgrade(conn net.Conn, cfg *config) (*bufio.Reader, error) {
	header := cfg.header.Clone()
	d := ws.Dialer{Host: header.Get("Host")}
	header.Del("Host")
	d.Header = ws.HandshakeHeaderHTTP(header)
	var refused *HandshakeError
	d.OnStatusError = func(status int, _ []byte, resp io.Reader) {
		refused = &HandshakeError{StatusCode: status}
		r, err := http.ReadResponse(bufio.NewReader(resp), nil)
		if err != nil {
			return
		}
		defer func() { _ = r.Body.Close() }()
		body, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		refused.Body = string(body)
	}
	early, _, err := d.Upgrade(conn, cfg.url())
	if refused != nil {
		return nil, refused
	}
	return early, err
}
