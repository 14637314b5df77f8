// Package house_test holds the rules that no compiler holds: who may import whom, and what files, names and comments
// look like. A rule about a folder that does not exist holds.
package house_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/roomspan/roomspan"

// root is the folder of go.mod, relative to that of this package.
const root = "../.."

// files returns the slash-separated paths, relative to root, of all files that are or may become part of the
// repository: what git tracks or would add; without git, all but installed npm packages.
func files(t *testing.T) []string {
	t.Helper()
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	if out, err := git.Output(); err == nil {
		var found []string
		for name := range strings.SplitSeq(string(bytes.TrimRight(out, "\x00")), "\x00") {
			// A file may be gone from the folder and still be in the index.
			if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
				found = append(found, name)
			}
		}
		return found
	}
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		found = append(found, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
