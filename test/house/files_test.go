package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the length of a Go file above which it is more than one thing.
const maxLines = 500

func TestFilesAreShort(t *testing.T) {
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	for _, name := range files(t) {
		if path.Ext(name) != ".go" {
			continue
		}
		content := read(t, name)
		if lines := bytes.Count(content, []byte("\n")); lines > maxLines && !generated.Match(content) {
			t.Errorf("%s has %d lines, more than %d", name, lines, maxLines)
		}
	}
}

func TestNamesSayWhatIsInside(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "misc"}
	for _, name := range files(t) {
		for part := range strings.SplitSeq(name, "/") {
			stem, _, _ := strings.Cut(strings.TrimPrefix(part, "."), ".")
			stem = strings.TrimSuffix(stem, "_test")
			if slices.Contains(empty, strings.ToLower(stem)) {
				t.Errorf("%s: %q says nothing of what is inside", name, part)
			}
		}
	}
}

func TestNoPathsOfOneMachine(t *testing.T) {
	personal := regexp.MustCompile(`(^|[^\w./-])/(work|root|home)/[^\s]`)
	for _, name := range files(t) {
		content := read(t, name)
		if bytes.IndexByte(content, 0) >= 0 {
			continue
		}
		number := 0
		for line := range bytes.Lines(content) {
			number++
			if personal.Match(line) {
				t.Errorf("%s:%d: a path of one machine: %s", name, number, bytes.TrimSpace(line))
			}
		}
	}
}

func TestPackagesWithTestsLookForLeaks(t *testing.T) {
	packages := make(map[string]bool)
	for _, name := range files(t) {
		if !strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") {
			continue
		}
		dir := path.Dir(name)
		packages[dir] = packages[dir] || verifiesLeaks(t, name)
	}
	for dir, verifies := range packages {
		if !verifies {
			t.Errorf("%s has tests, but no TestMain that calls goleak.VerifyTestMain", dir)
		}
	}
}

// verifiesLeaks says if the file has a TestMain that calls goleak.VerifyTestMain.
func verifiesLeaks(t *testing.T, name string) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, read(t, name), parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "TestMain" {
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if ok && sel.Sel.Name == "VerifyTestMain" {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "goleak" {
						found = true
					}
				}
				return true
			})
		}
	}
	return found
}
