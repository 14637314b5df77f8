package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout bounds how long a program may take to say that it listens; a loaded machine is slow.
	startTimeout = time.Minute
	// stopTimeout is how long a program has for ending after SIGTERM, before it is killed.
	stopTimeout = 10 * time.Second
	// maxLine is the longest line of output, in bytes.
	maxLine = 1 << 20
)

// Process is a program that a test has started. Its standard output is read as lines, its standard error is shown if
// the test fails. Its methods may be called concurrently, but for Listening.
type Process struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	addr  string
	// ended is closed when the program is gone and all its output is read; err, its exit status, is set before.
	ended chan struct{}
	err   error

	mu     sync.Mutex
	lines  []string
	stderr tail
	// more is closed and replaced when a line came.
	more chan struct{}
}

// Start starts a program and waits until it has printed "listening on ADDR".
func Start(t testing.TB, bin string, args ...string) *Process {
	t.Helper()
	p := spawn(t, bin, args...)
	p.Listening()
	return p
}

// Node starts a script of test/node, or one whose path is absolute, with Node.
func Node(t testing.TB, script string, args ...string) *Process {
	t.Helper()
	node := Need(t, "node")
	if !filepath.IsAbs(script) {
		dir := filepath.Join(root(t), "test", "node")
		if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
			lack(t, `the npm packages of test/node are missing; "make deps" installs them`)
		}
		script = filepath.Join(dir, script)
	}
	return spawn(t, node, append([]string{script}, args...)...)
}

// spawn starts a program that ends with the test.
func spawn(t testing.TB, bin string, args ...string) *Process {
	t.Helper()
	p := &Process{
		t:     t,
		name:  strings.Join(append([]string{filepath.Base(bin)}, args...), " "),
		cmd:   exec.Command(bin, args...),
		ended: make(chan struct{}),
		more:  make(chan struct{}),
	}
	p.cmd.SysProcAttr = attributes()
	p.cmd.Stderr = writer(func(b []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stderr.write(b)
	})
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout)
	t.Cleanup(p.end)
	return p
}

// read takes in the output of the program until it has ended.
func (p *Process) read(stdout io.Reader) {
	scanner := bufio.NewScanner(stdout)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	err := scanner.Err()
	// A line beyond the bound must not block the program.
	io.Copy(io.Discard, stdout)
	p.err = errors.Join(err, p.cmd.Wait())
	close(p.ended)
}

// end stops the program with its test, and shows what it said if the test has failed.
func (p *Process) end() {
	p.Stop()
	if p.t.Failed() {
		p.t.Logf("%s: %v\n%s", p.name, p.err, p.Stderr())
	}
}

// ReadLine returns the next line of the program's standard output, without its end. At the end of the output the error
// is io.EOF.
func (p *Process) ReadLine(ctx context.Context) (string, error) {
	for {
		p.mu.Lock()
		if len(p.lines) > 0 {
			line := p.lines[0]
			p.lines = p.lines[1:]
			p.mu.Unlock()
			return line, nil
		}
		more := p.more
		p.mu.Unlock()
		select {
		case <-more:
		case <-p.ended:
			p.mu.Lock()
			rest := len(p.lines)
			p.mu.Unlock()
			if rest == 0 {
				return "", io.EOF
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// WriteLine writes a line to the program's standard input.
func (p *Process) WriteLine(line string) error {
	_, err := io.WriteString(p.stdin, line+"\n")
	return err
}

// Listening waits for the line "listening on ADDR" and returns ADDR. It drops the lines before.
func (p *Process) Listening() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		line, err := p.ReadLine(ctx)
		if err != nil {
			p.t.Fatalf("%s does not listen: %v", p.name, err)
		}
		if addr, ok := strings.CutPrefix(line, "listening on "); ok {
			p.addr = addr
			return addr
		}
	}
}

// Addr returns the address that the program listens on.
func (p *Process) Addr() string { return p.addr }

// URL returns the HTTP URL of the program, without a path.
func (p *Process) URL() string { return "http://" + p.addr }

// Stderr returns the end of what the program has written to its standard error.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// Wait waits for the end of the program and returns an error if its exit status is not 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("%s is still running: %w", p.name, ctx.Err())
	}
}

// Stop ends the program with SIGTERM, or with SIGKILL if it does not follow within ten seconds, and waits for its end.
func (p *Process) Stop() {
	p.stdin.Close()
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C:
		}
	}
	p.Kill()
}

// Kill ends the program with SIGKILL and waits for its end.
func (p *Process) Kill() {
	// The only error is that the program has ended already.
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// writer is a function as an io.Writer.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// tail keeps the last bytes written to it, at most maxTail.
type tail struct{ kept []byte }

const maxTail = 32 << 10

func (t *tail) write(b []byte) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - maxTail; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
}

func (t *tail) String() string { return string(t.kept) }
