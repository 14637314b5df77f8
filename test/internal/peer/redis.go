package peer

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// RedisServer is a redis-server of its own for one test, without persistence: what it held is gone after Stop or Kill.
// Its methods are for one goroutine.
type RedisServer struct {
	t       testing.TB
	bin     string
	dir     string
	port    int
	process *Process
}

// Redis starts redis-server on a free port of the loopback interface. It is stopped with the test.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	r := &RedisServer{t: t, bin: Need(t, "redis-server"), dir: t.TempDir(), port: FreePort(t)}
	r.Start()
	return r
}

// Start starts the server again, on the same port, after Stop or Kill.
func (r *RedisServer) Start() {
	r.t.Helper()
	r.process = spawn(r.t, r.bin, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", r.dir)
	for deadline := time.Now().Add(startTimeout); !r.answers(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-r.process.ended:
			r.t.Fatalf("redis-server has ended: %v\n%v", r.process.err, r.process.lines)
		default:
		}
		if time.Now().After(deadline) {
			r.t.Fatal("redis-server does not answer")
		}
	}
}

// answers says if the server replies to a PING.
func (r *RedisServer) answers() bool {
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

// Stop ends the server with SIGTERM: it closes its connections itself.
func (r *RedisServer) Stop() { r.process.Stop() }

// Kill ends the server with SIGKILL.
func (r *RedisServer) Kill() { r.process.Kill() }

// Addr returns the host and port of the server.
func (r *RedisServer) Addr() string { return loopback(r.port) }

// URL returns the redis:// URL of the server.
func (r *RedisServer) URL() string { return "redis://" + r.Addr() }
