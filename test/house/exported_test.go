package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// maxServerSymbols bounds what a user of package server can meet: functions, methods, types, constants and variables.
const maxServerSymbols = 160

// interfaceMethods are not for users to call: they make a type an error, an http.Handler or a member of rooms.
var interfaceMethods = []string{"Error", "Unwrap", "ServeHTTP", "Membership"}

// symbol is an exported name with its comment.
type symbol struct {
	name, doc string
	// group is true for a constant or variable whose comment may be that of its group.
	group bool
	pos   token.Position
}

func TestExportedSymbolsAreExplained(t *testing.T) {
	for dir, symbols := range exported(t) {
		for _, s := range symbols {
			if !explains(s) {
				t.Errorf("%s:%d: the comment of %s must begin with its name", path.Join(dir, s.pos.Filename), s.pos.Line, s.name)
			}
		}
	}
}

func TestServerStaysSmall(t *testing.T) {
	// Files for different systems may declare the same symbol.
	names := make(map[string]bool)
	for _, s := range exported(t)["server"] {
		if !slices.Contains(interfaceMethods, s.name[strings.LastIndexByte(s.name, '.')+1:]) {
			names[s.name] = true
		}
	}
	if n := len(names); n >= maxServerSymbols {
		t.Errorf("package server has %d exported symbols, not fewer than %d", n, maxServerSymbols)
	}
}

// explains says if the comment of s begins with its name, an article before it aside.
func explains(s symbol) bool {
	if s.group {
		return s.doc != ""
	}
	words := strings.Fields(s.doc)
	if len(words) > 1 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
		words = words[1:]
	}
	name := s.name[strings.LastIndexByte(s.name, '.')+1:]
	return len(words) > 0 && strings.TrimSuffix(strings.TrimRight(words[0], ",.:;"), "'s") == name
}

// exported returns the exported symbols of the packages that users import, by folder.
func exported(t *testing.T) map[string][]symbol {
	t.Helper()
	found := make(map[string][]symbol)
	for _, name := range files(t) {
		dir := path.Dir(name)
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || outside(dir, "server", "adapter") ||
			slices.Contains(strings.Split(dir, "/"), "internal") || slices.Contains(strings.Split(dir, "/"), "testdata") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path.Base(name), read(t, name), parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if file.Name.Name == "main" {
			continue
		}
		for _, decl := range file.Decls {
			found[dir] = append(found[dir], symbolsOf(fset, decl)...)
		}
	}
	return found
}

func symbolsOf(fset *token.FileSet, decl ast.Decl) []symbol {
	var found []symbol
	add := func(name *ast.Ident, full, doc string, group bool) {
		if name.IsExported() {
			found = append(found, symbol{full, doc, group, fset.Position(name.Pos())})
		}
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		receiver := receiverName(decl)
		if receiver == "" {
			add(decl.Name, decl.Name.Name, decl.Doc.Text(), false)
		} else if ast.IsExported(receiver) {
			add(decl.Name, receiver+"."+decl.Name.Name, decl.Doc.Text(), false)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc.Text()
				if doc == "" && !decl.Lparen.IsValid() {
					doc = decl.Doc.Text()
				}
				add(spec.Name, spec.Name.Name, doc, false)
			case *ast.ValueSpec:
				doc, group := spec.Doc.Text(), false
				if doc == "" {
					// In a group a comment at the end of the line, or that of the group, may do.
					doc, group = spec.Comment.Text()+decl.Doc.Text(), decl.Lparen.IsValid()
				}
				for _, name := range spec.Names {
					add(name, name.Name, doc, group)
				}
			}
		}
	}
	return found
}

// receiverName returns the type that f is a method of, "" for a function.
func receiverName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	x := f.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}
