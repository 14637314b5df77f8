package house_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is what "go list -json" says of a package.
type listed struct {
	ImportPath                               string
	Standard                                 bool
	Imports, TestImports, XTestImports, Deps []string
}

// path is the import path relative to the module, "" for a package outside it.
func (p listed) path() string {
	rel, _ := strings.CutPrefix(p.ImportPath, module+"/")
	if rel == p.ImportPath {
		return ""
	}
	return rel
}

// list returns all packages of the module, and those they depend on, by import path.
func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-buildvcs=false",
		"-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := make(map[string]listed)
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// within says if path is folder or below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// outside says if path is below none of the folders.
func outside(path string, folders ...string) bool {
	return !slices.ContainsFunc(folders, func(f string) bool { return within(path, f) })
}

func TestArrowsOfImport(t *testing.T) {
	packages := list(t)
	rules := []struct {
		name string
		// from picks the packages of the module that the rule is about, by path relative to the module.
		from func(path string) bool
		// tests says if their tests' own imports are held too.
		tests bool
		// may says if such a package may depend on dep, whose path is "" if it is not of the module.
		may func(dep listed) bool
	}{
		{
			name: "adapter imports the standard library alone",
			from: func(path string) bool { return path == "adapter" },
			may:  func(dep listed) bool { return dep.Standard },
		}, {
			name: "adapter/cluster imports the standard library and adapter",
			from: func(path string) bool { return path == "adapter/cluster" },
			may:  func(dep listed) bool { return dep.Standard || dep.path() == "adapter" },
		}, {
			name: "server knows no adapter but the in-memory one",
			from: func(path string) bool { return within(path, "server") },
			may:  func(dep listed) bool { return dep.path() == "adapter" || outside(dep.path(), "adapter") },
		}, {
			name: "server needs no Redis client",
			from: func(path string) bool { return within(path, "server") },
			may:  func(dep listed) bool { return !within(dep.ImportPath, "github.com/redis/go-redis") },
		}, {
			name:  "an adapter never imports server",
			from:  func(path string) bool { return within(path, "adapter") },
			tests: true,
			may:   func(dep listed) bool { return outside(dep.path(), "server") },
		}, {
			name: "nothing but adapter/zishang520 needs zishang520",
			from: func(path string) bool { return outside(path, "adapter/zishang520", "test") },
			may: func(dep listed) bool {
				return !within(dep.ImportPath, "github.com/zishang520") && dep.path() != "adapter/zishang520"
			},
		}, {
			name:  "nothing but examples and test imports them",
			from:  func(path string) bool { return outside(path, "examples", "test") },
			tests: true,
			may:   func(dep listed) bool { return outside(dep.path(), "examples", "test") },
		},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, p := range packages {
				if p.path() == "" || !rule.from(p.path()) {
					continue
				}
				deps := p.Deps
				if rule.tests {
					deps = slices.Concat(deps, p.TestImports, p.XTestImports)
				}
				for _, dep := range deps {
					d, ok := packages[dep]
					if !ok {
						// What only tests import is not among the dependencies that go list reports in full.
						d = listed{ImportPath: dep}
					}
					if d.ImportPath != p.ImportPath && !rule.may(d) {
						t.Errorf("%s depends on %s", p.path(), dep)
					}
				}
			}
		})
	}
}
