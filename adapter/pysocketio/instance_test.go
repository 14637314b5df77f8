//go:build unix

package pysocketio_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// process is a real redis-server.
type process struct {
	t    testing.TB
	path string
	port int
	cmd  *exec.Cmd
}

// runProcess starts a redis-server, or skips the test if there is none.
func runProcess(t testing.TB) *process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("ROOMSPAN_TEST_FULL") == "1" {
			t.Fatal("redis-server is not installed, and ROOMSPAN_TEST_FULL wants it")
		}
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, path: path, port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	p.restart()
	t.Cleanup(p.stop)
	return p
}

func (p *process) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }
func (p *process) url() string  { return "redis://" + p.addr() }

func (p *process) restart() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, "--port", strconv.Itoa(p.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", p.t.TempDir())
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	client := goredis.NewClient(&goredis.Options{Addr: p.addr()})
	defer client.Close()
	eventually(p.t, "redis-server answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return client.Ping(ctx).Err() == nil
	})
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
