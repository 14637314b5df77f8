// Package peer starts the programs that tests of Roomspan talk to: a real Redis, real Socket.IO clients and servers on
// Node, and servers built from this repository. A program belongs to the test that started it, and is ended with it.
//
// A test package that calls [Build] lets [Exit] end its TestMain:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(peer.Exit)) }
package peer

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Full says if every test has to run: the environment variable ROOMSPAN_TEST_FULL is 1. A test that lacks a program
// fails then, and is skipped otherwise.
func Full() bool { return os.Getenv("ROOMSPAN_TEST_FULL") == "1" }

// Need returns the path of a program that the test cannot do without.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		lack(t, program+` is missing; "make deps" installs it`)
	}
	return path
}

// lack ends a test that has not got what it needs.
func lack(t testing.TB, what string) {
	t.Helper()
	if Full() {
		t.Fatal(what)
	}
	t.Skip(what)
}

// FreePort returns a TCP port of the loopback interface that nothing listened on a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// loopback returns the address of a port of the loopback interface.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// root returns the folder of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod in the working folder or above it")
		}
		dir = parent
	}
}
