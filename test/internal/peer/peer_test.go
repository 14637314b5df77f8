package peer_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/test/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(peer.Exit)) }

// limit is a context that only a test that hangs outlives.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestBuildAndStart(t *testing.T) {
	bin := peer.Build(t, "./test/internal/peer/testdata/listener")
	if again := peer.Build(t, "./test/internal/peer/testdata/listener"); again != bin {
		t.Errorf("built twice: %s and %s", bin, again)
	}
	p := peer.Start(t, bin)
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if want := "http://" + p.Addr(); p.URL() != want {
		t.Errorf("URL = %s, want %s", p.URL(), want)
	}
	p.Stop()
	if err := p.Wait(limit(t)); err != nil {
		t.Errorf("status after Stop: %v", err)
	}
	if line, err := p.ReadLine(limit(t)); err != nil || line != "told to end" {
		t.Errorf("last line = %q, %v", line, err)
	}
	if _, err := p.ReadLine(limit(t)); err != io.EOF {
		t.Errorf("after the last line: %v", err)
	}
	if got := p.Stderr(); got != "about to listen\n" {
		t.Errorf("Stderr = %q", got)
	}
	p.Stop() // Once more does no harm.
}

func TestKill(t *testing.T) {
	p := peer.Start(t, peer.Build(t, "./test/internal/peer/testdata/listener"))
	p.Kill()
	if err := p.Wait(limit(t)); err == nil {
		t.Error("a killed program ended well")
	}
}

func TestNode(t *testing.T) {
	script, err := filepath.Abs("testdata/lines.mjs")
	if err != nil {
		t.Fatal(err)
	}
	p := peer.Node(t, script, "one", "two")
	for _, line := range []string{"three", "end"} {
		if err := p.WriteLine(line); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"one", "two", "read three", "read end"} {
		if line, err := p.ReadLine(limit(t)); err != nil || line != want {
			t.Errorf("line = %q, %v; want %q", line, err, want)
		}
	}
	var status *exec.ExitError
	if err := p.Wait(limit(t)); !errors.As(err, &status) || status.ExitCode() != 3 {
		t.Errorf("Wait = %v, want status 3", err)
	}
}

func TestReadLineEndsWithItsContext(t *testing.T) {
	p := peer.Start(t, peer.Build(t, "./test/internal/peer/testdata/listener"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.ReadLine(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadLine = %v", err)
	}
	if err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v", err)
	}
}

func TestRedisComesBackOnItsPort(t *testing.T) {
	r := peer.Redis(t)
	if want := "redis://" + r.Addr(); r.URL() != want {
		t.Errorf("URL = %s, want %s", r.URL(), want)
	}
	ping := func() (string, error) {
		conn, err := net.Dial("tcp", r.Addr())
		if err != nil {
			return "", err
		}
		defer conn.Close()
		io.WriteString(conn, "PING\r\n")
		return bufio.NewReader(conn).ReadString('\n')
	}
	for name, end := range map[string]func(){"stop": r.Stop, "kill": r.Kill} {
		if answer, err := ping(); answer != "+PONG\r\n" {
			t.Fatalf("before %s: %q, %v", name, answer, err)
		}
		end()
		if answer, err := ping(); err == nil {
			t.Fatalf("after %s: %q", name, answer)
		}
		r.Start()
	}
	if answer, err := ping(); answer != "+PONG\r\n" {
		t.Fatalf("at the end: %q, %v", answer, err)
	}
}

// lacking is a test that notes how it was ended.
type lacking struct {
	testing.TB
	outcome string
}

func (l *lacking) Fatal(args ...any) { l.end("failed: ", args) }
func (l *lacking) Skip(args ...any)  { l.end("skipped: ", args) }
func (l *lacking) end(how string, args []any) {
	l.outcome = how + args[0].(string)
	runtime.Goexit()
}

func TestNeed(t *testing.T) {
	if path := peer.Need(t, "go"); !strings.Contains(path, "go") {
		t.Errorf("Need(go) = %q", path)
	}
	for full, want := range map[string]string{"": "skipped: no-such-program is missing", "1": "failed: no-such-program is missing"} {
		t.Setenv("ROOMSPAN_TEST_FULL", full)
		l := &lacking{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			peer.Need(l, "no-such-program")
		}()
		<-done
		if !strings.HasPrefix(l.outcome, want) {
			t.Errorf("with ROOMSPAN_TEST_FULL=%s: %q, want %q", full, l.outcome, want)
		}
	}
}

func TestFreePort(t *testing.T) {
	if a, b := peer.FreePort(t), peer.FreePort(t); a <= 0 || b <= 0 {
		t.Errorf("ports %d and %d", a, b)
	}
}
