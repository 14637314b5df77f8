package peer

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// builds are the programs that this test binary has built; its lock is held while one is being built.
var builds struct {
	sync.Mutex
	dir      string
	programs map[string]program
}

// program is the outcome of a build: a path, or what the compiler said.
type program struct {
	path, failure string
}

// Build builds the main package pkg, a path relative to the folder of go.mod such as "./test/testserver", and returns
// the path of the program. A test binary builds each package once, with the race detector if it has it itself.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	return built(t, pkg, Race)
}

// BuildForeign is Build for a program whose races are those of another project: it never has the race detector.
func BuildForeign(t testing.TB, pkg string) string {
	t.Helper()
	return built(t, pkg, false)
}

func built(t testing.TB, pkg string, race bool) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	built, ok := builds.programs[pkg]
	if !ok {
		built = build(t, pkg, race)
		builds.programs[pkg] = built
	}
	if built.failure != "" {
		t.Fatal(built.failure)
	}
	return built.path
}

func build(t testing.TB, pkg string, race bool) program {
	t.Helper()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "roomspan-test-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.programs = dir, make(map[string]program)
	}
	path := filepath.Join(builds.dir, filepath.Base(pkg)+strconv.Itoa(len(builds.programs))+".exe")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		return program{failure: "go build " + pkg + ": " + err.Error() + "\n" + string(out)}
	}
	return program{path: path}
}

// Exit ends the test binary with code, after removing what Build has built.
func Exit(code int) {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
	os.Exit(code)
}
