//go:build unix

package peer

import "syscall"

// Pause stops the server without ending it: it keeps its connections, takes new ones and answers nothing.
func (r *RedisServer) Pause() { r.signal(syscall.SIGSTOP) }

// Resume lets the server go on after Pause.
func (r *RedisServer) Resume() { r.signal(syscall.SIGCONT) }

func (r *RedisServer) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.process.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}
