//go:build unix

package redis_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
)

// instance is a Redis that a test can take away and bring back.
type instance interface {
	url() string
	stop()
	restart()
}

// embedded is a miniredis.
type embedded struct {
	t    testing.TB
	addr string // stays the same while the server is away
	*miniredis.Miniredis
}

func runEmbedded(t testing.TB) *embedded {
	t.Helper()
	r := miniredis.RunT(t)
	return &embedded{t, r.Addr(), r}
}

func (e *embedded) url() string { return "redis://" + e.addr }
func (e *embedded) stop()       { e.Close() }

func (e *embedded) restart() {
	e.t.Helper()
	if err := e.Restart(); err != nil {
		e.t.Fatal(err)
	}
}

// process is a real redis-server.
type process struct {
	t    testing.TB
	path string
	port int
	args []string

	busPort  int    // in a Redis Cluster
	sentinel string // the configuration of a Sentinel
	cmd      *exec.Cmd

	// probe is how to ask whether it is there.
	probe *goredis.Options
}

// runProcess starts a redis-server with further arguments, or skips the test if
// there is none.
func runProcess(t testing.TB, args ...string) *process {
	t.Helper()
	return runProcessAs(t, func(p *process) { p.args = args })
}

// runProcessAs starts one that is configured by port.
func runProcessAs(t testing.TB, configure func(*process)) *process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("ROOMSPAN_TEST_FULL") == "1" {
			t.Fatal("redis-server is not installed, and ROOMSPAN_TEST_FULL wants it")
		}
		t.Skip("redis-server is not installed")
	}
	p := &process{t: t, path: path, port: freePort(t)}
	p.probe = &goredis.Options{Addr: p.addr()}
	configure(p)
	p.restart()
	t.Cleanup(p.stop)
	return p
}

// ports are those that tests have got, which run side by side.
var ports struct {
	sync.Mutex
	taken map[int]bool
}

func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = make(map[int]bool)
	}
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if !ports.taken[port] {
			ports.taken[port] = true
			return port
		}
	}
}

func (p *process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }
func (p *process) url() string  { return "redis://" + p.addr() }

func (p *process) restart() {
	p.t.Helper()
	args := append([]string{"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", p.t.TempDir()}, p.args...)
	if p.sentinel != "" {
		args = []string{p.sentinel, "--sentinel"}
	}
	p.cmd = exec.Command(p.path, args...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	probe := *p.probe // the client completes it
	client := goredis.NewClient(&probe)
	defer client.Close()
	eventually(p.t, "redis-server answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return client.Ping(ctx).Err() == nil
	})
}

// do runs a command.
func (p *process) do(args ...any) any {
	p.t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: p.addr()})
	defer client.Close()
	reply, err := client.Do(context.Background(), args...).Result()
	if err != nil {
		p.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) pause()  { p.signal(syscall.SIGSTOP) }
func (p *process) resume() { p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
