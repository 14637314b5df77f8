package pysocketio_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy passes connections on to a Redis, until it resets them, swallows what
// Redis says, or ends subscriptions.
type proxy struct {
	net.Listener
	target string
	deaf   atomic.Bool
	wg     sync.WaitGroup

	mu         sync.Mutex
	conns      map[*net.TCPConn]struct{} // of clients
	subscribed map[net.Conn]struct{}     // those to Redis on which something was subscribed to
}

func runProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, target: target, conns: make(map[*net.TCPConn]struct{}), subscribed: make(map[net.Conn]struct{})}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.reset()
		p.wg.Wait()
	})
	return p
}

// reset ends all connections with a TCP reset.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
}

// unsubscribe ends all subscriptions, while the connections go on.
func (p *proxy) unsubscribe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.subscribed {
		_, _ = conn.Write([]byte("*1\r\n$11\r\nUNSUBSCRIBE\r\n"))
	}
}

func (p *proxy) serve(client *net.TCPConn) {
	defer client.Close()
	p.mu.Lock()
	p.conns[client] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
	}()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.wg.Go(func() {
		defer client.Close()
		defer server.Close()
		pass(server, client, func(b []byte) bool {
			if bytes.Contains(b, []byte("subscribe\r\n")) {
				p.mu.Lock()
				p.subscribed[server] = struct{}{}
				p.mu.Unlock()
			}
			return true
		})
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subscribed, server)
	})
	pass(client, server, func([]byte) bool { return !p.deaf.Load() })
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
