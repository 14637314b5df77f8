// Package redistest has what the tests of the back-ends over Redis do to them.
package redistest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between nodes and a Redis, and passes everything on as long as
// the test does not want otherwise. Its methods may be called concurrently.
type Proxy struct {
	// Deaf swallows what Redis says, while it is true.
	Deaf atomic.Bool

	// Accepted counts connections.
	Accepted atomic.Int64

	listener net.Listener
	target   string
	ended    sync.WaitGroup

	mu         sync.Mutex
	conns      map[net.Conn]struct{} // on both sides
	subscribed map[net.Conn]struct{} // those to Redis on which something was subscribed to
}

// RunProxy starts a proxy to an address, which ends with the test.
func RunProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, conns: make(map[net.Conn]struct{}), subscribed: make(map[net.Conn]struct{})}
	p.ended.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.Accepted.Add(1)
			p.ended.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.Reset()
		p.ended.Wait()
	})
	return p
}

// Addr returns the address of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Reset ends all connections with a TCP reset, on both sides.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// Unsubscribe ends all subscriptions, while the connections go on.
func (p *Proxy) Unsubscribe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.subscribed {
		_, _ = conn.Write([]byte("*1\r\n$11\r\nUNSUBSCRIBE\r\n"))
	}
}

// keep takes a connection in, and returns what closes and forgets it.
func (p *Proxy) keep(conn net.Conn) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
		delete(p.subscribed, conn)
		_ = conn.Close()
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.keep(client)()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer p.keep(server)()
	p.ended.Go(func() {
		defer client.Close()
		defer server.Close()
		pass(server, client, func(b []byte) bool {
			if bytes.Contains(b, []byte("subscribe\r\n")) {
				p.note(server)
			}
			return true
		})
	})
	pass(client, server, func([]byte) bool { return !p.Deaf.Load() })
}

// note notes that a connection has subscriptions, if it is still there.
func (p *Proxy) note(server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.conns[server]; open {
		p.subscribed[server] = struct{}{}
	}
}

// pass copies what it may until one of the two ends.
func pass(dst, src net.Conn, may func([]byte) bool) {
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		if !may(buf[:n]) {
			continue
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}
