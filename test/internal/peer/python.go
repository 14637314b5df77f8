package peer

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Python starts a script of test/python with the Python of the system, which has the packages of Debian.
func Python(t testing.TB, script string, args ...string) *Process {
	t.Helper()
	python := Need(t, "/usr/bin/python3")
	if err := exec.Command(python, "-c", "import socketio.asyncio_manager, aiohttp, redis").Run(); err != nil {
		lack(t, `python-socketio up to 5.9, aiohttp or redis is missing for Python; "make deps" installs them`)
	}
	return spawn(t, python, append([]string{filepath.Join(root(t), "test", "python", script)}, args...)...)
}
