package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is a server that is measured.
type peer struct {
	name string

	// command returns the program, which reads its settings from the
	// environment and prints a line that begins with "listening".
	command func(s settings) *exec.Cmd

	// lacks are the abilities that works need and the peer has not.
	lacks []string
}

// settings are what a work wants of a server.
type settings struct {
	port         int
	redis        string
	cert, key    string
	deflate      bool
	pingInterval time.Duration
}

func (s settings) env() []string {
	env := append(os.Environ(), "PORT="+strconv.Itoa(s.port), "PYTHONUNBUFFERED=1",
		"PING_INTERVAL="+strconv.FormatInt(s.pingInterval.Milliseconds(), 10))
	if s.redis != "" {
		env = append(env, "REDIS="+s.redis)
	}
	if s.cert != "" {
		env = append(env, "TLS_CERT="+s.cert, "TLS_KEY="+s.key)
	}
	if s.deflate {
		env = append(env, "DEFLATE=1")
	}
	return env
}

func (p *peer) can(ability string) bool {
	for _, l := range p.lacks {
		if l == ability {
			return false
		}
	}
	return true
}

// process is a program that was started.
type process struct {
	cmd    *exec.Cmd
	addr   string
	writes bool // profiles, when it is asked to end
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start starts a server and waits until it serves.
func (p *peer) start(s settings) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.port = port
	if s.pingInterval == 0 {
		s.pingInterval = 25 * time.Second
	}
	cmd := p.command(s)
	if cmd.Env == nil {
		cmd.Env = s.env()
	}
	return launch(cmd, fmt.Sprintf("127.0.0.1:%d", port), "listening")
}

// launch starts a program and waits for a line with that word.
func launch(cmd *exec.Cmd, addr, word string) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pr := &process{cmd: cmd, addr: addr}
	up := make(chan bool, 1)
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if strings.Contains(sc.Text(), word) {
				up <- true
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		close(up)
	}()
	select {
	case ok := <-up:
		if ok {
			return pr, nil
		}
		err = errors.New("it ended before it listened")
	case <-time.After(30 * time.Second):
		err = errors.New("it does not listen after 30 s")
	}
	pr.stop()
	return nil, fmt.Errorf("%s: %w", cmd.Path, err)
}

// stop ends the program: at once, unless it has something to write first.
func (p *process) stop() {
	if !p.writes {
		_ = p.cmd.Process.Kill()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
		defer kill.Stop()
	}
	_ = p.cmd.Wait()
}

// cpu returns the processor time that the program has used.
func (p *process) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// resident returns the resident memory in KiB.
func (p *process) resident() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}
