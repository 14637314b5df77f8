package cluster_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/test/internal/peer"
)

var update = flag.Bool("update", false, "write what the scenarios have said into docs/interop.md")

// table is one of docs/interop.md. Its rows are the operations and directions that scenarios name.
type table struct {
	title   string
	columns []*column

	// operations and directions are in the order of the rows.
	operations []string
	directions []direction
}

// direction is who does something to whom, as a script says it and as the document does.
type direction struct{ said, shown string }

// column is one kind of fleet, with what scenarios have said of it in this run. It may be used concurrently.
type column struct {
	head string
	// lacks says, by operation, in one direction or in all, why it cannot be, or what comes of it instead. Of a
	// scenario that holds just that, the result is not shown.
	lacks map[row]string

	mu      sync.Mutex
	results map[row]bool
	tests   map[string]bool
}

// row is what one line of a table is about. Without a direction it is about all that the operation has.
type row struct{ operation, direction string }

// record takes in what a script has said in a test. For no column it does nothing.
func (c *column) record(t *testing.T, checks []peer.Check) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results, c.tests = make(map[row]bool), make(map[string]bool)
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	c.tests[test] = true
	for _, check := range checks {
		r := row{check.Operation, check.Direction}
		before, known := c.results[r]
		c.results[r] = check.OK && (before || !known)
	}
}

// hold records, at its end, if the test has passed.
func (c *column) hold(t *testing.T, operation, direction string) {
	t.Cleanup(func() {
		if !t.Skipped() {
			c.record(t, []peer.Check{{Operation: operation, Direction: direction, OK: !t.Failed()}})
		}
	})
}

// why is the reason why there is no result for the row, "" if there has to be one.
func (c *column) why(r row) string { return cmp.Or(c.lacks[r], c.lacks[row{operation: r.operation}]) }

// without returns the operations that the column lacks.
func (c *column) without() []string {
	var names []string
	for r := range c.lacks {
		names = append(names, r.operation)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// rows returns those that any column has.
func (t *table) rows() []row {
	all := make(map[row]bool)
	for _, c := range t.columns {
		maps.Insert(all, maps.All(c.results))
	}
	for _, c := range t.columns {
		for r := range c.lacks {
			if r.direction != "" || t.directions == nil {
				all[r] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b row) int {
		place := func(r row) int { return slices.Index(t.operations, r.operation)<<8 + t.direction(r) }
		return cmp.Or(place(a)-place(b), strings.Compare(a.direction, b.direction))
	})
}

// direction is the index of that of the row.
func (t *table) direction(r row) int {
	return slices.IndexFunc(t.directions, func(d direction) bool { return d.said == r.direction })
}

// gaps are the rows that have no name in the document, and the cells that nothing stands in.
func (t *table) gaps() (unnamed, blank []string) {
	for _, r := range t.rows() {
		if !slices.Contains(t.operations, r.operation) || (r.direction != "" && t.direction(r) < 0) {
			unnamed = append(unnamed, fmt.Sprintf("%q, direction %q, in %q", r.operation, r.direction, t.title))
		}
	}
	for _, c := range t.columns {
		if len(c.results) == 0 {
			blank = append(blank, fmt.Sprintf("all of %q in %q", c.head, t.title))
			continue
		}
		for _, r := range t.rows() {
			if _, ok := c.results[r]; !ok && c.why(r) == "" {
				blank = append(blank, fmt.Sprintf("%q, direction %q, of %q in %q", r.operation, r.direction, c.head, t.title))
			}
		}
	}
	return unnamed, blank
}

// text is the table in Markdown, with its notes.
func (t *table) text() string {
	var b strings.Builder
	var notes []string
	line := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	fmt.Fprintf(&b, "### %s\n\n", t.title)
	head, rule, tests := []string{"operation", "direction"}, []string{"---", "---"}, []string{"held by", ""}
	for _, c := range t.columns {
		head, rule = append(head, c.head), append(rule, "---")
		tests = append(tests, "`"+strings.Join(slices.Sorted(maps.Keys(c.tests)), "` `")+"`")
	}
	if t.directions == nil {
		head, rule, tests = slices.Delete(head, 1, 2), slices.Delete(rule, 1, 2), slices.Delete(tests, 1, 2)
	}
	line(head...)
	line(rule...)
	for _, l := range t.lines(&notes) {
		line(l...)
	}
	line(tests...)
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// lines are the rows as they are written: directions of an operation that say the same have one line.
func (t *table) lines(notes *[]string) [][]string {
	var lines [][]string
	var last []string
	for _, r := range t.rows() {
		cells := make([]string, len(t.columns))
		for i, c := range t.columns {
			cells[i] = c.cell(r, notes)
		}
		if t.directions == nil {
			lines = append(lines, append([]string{r.operation}, cells...))
			continue
		}
		direction := t.directions[t.direction(r)].shown
		if last != nil && last[0] == r.operation && slices.Equal(last[2:], cells) {
			last[1] += "; " + direction
			continue
		}
		last = append([]string{r.operation, direction}, cells...)
		lines = append(lines, last)
	}
	return lines
}

// cell is what stands in the row of the column.
func (c *column) cell(r row, notes *[]string) string {
	ok, tried := c.results[r]
	if why := c.why(r); why != "" && (ok || !tried) {
		i := slices.Index(*notes, why)
		if i < 0 {
			i = len(*notes)
			*notes = append(*notes, why)
		}
		return fmt.Sprintf("– (%d)", i+1)
	}
	if !ok {
		return "**fail**"
	}
	return "pass"
}

const (
	beginTables = "<!-- What follows is written by: go test ./test/cluster -update -->\n\n"
	endTables   = "<!-- What precedes is written by: go test ./test/cluster -update -->\n"
)

// documented is the tests of this package, and docs/interop.md, which must say what they have said.
type documented struct{ *testing.M }

// Run implements goleak.TestingM.
func (m documented) Run() int {
	code := m.M.Run()
	name := filepath.Join("..", "..", "docs", "interop.md")
	if err := document(name, tables, code == 0); err != nil {
		fmt.Printf("FAIL: docs/interop.md: %v\n", err)
		return 1
	}
	return code
}

// document holds the file to the tables, or writes them into it. It does neither if something stands in their place that
// this run did not try, which is an error if it was to run all tests.
func document(name string, tables []*table, passed bool) error {
	var unnamed, blank []string
	var b strings.Builder
	for _, t := range tables {
		u, e := t.gaps()
		unnamed, blank = append(unnamed, u...), append(blank, e...)
		b.WriteString(t.text())
	}
	switch {
	case len(unnamed) > 0:
		return fmt.Errorf("these have no place:\n\t%s", strings.Join(unnamed, "\n\t"))
	case len(blank) > 0 && (*update || passed && runsAll()):
		return fmt.Errorf("no scenario has said what to write for:\n\t%s", strings.Join(blank, "\n\t"))
	case len(blank) > 0, !passed && !*update:
		return nil
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(file), beginTables)
	old, tail, ended := strings.Cut(rest, endTables)
	switch {
	case !ok || !ended:
		return errors.New("there is no place for the tables")
	case old == b.String():
		return nil
	case *update:
		return os.WriteFile(name, []byte(head+beginTables+b.String()+endTables+tail), 0o644)
	}
	return errors.New("it does not say what the tests have said; go test ./test/cluster -update writes it")
}

// runsAll says if this run was to leave nothing out.
func runsAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return peer.Full() && !testing.Short()
}

// TestTables holds that nothing stands in a table but what was tried, or has a note.
func TestTables(t *testing.T) {
	passed := &column{head: "one"}
	broken := without("other", "why", "c").but(map[row]string{{"b", "y"}: "because"})
	tab := &table{
		title: "Title", operations: []string{"a", "b", "c", "d"}, directions: []direction{{"x", "there"}, {"y", "back"}},
		columns: []*column{passed, broken},
	}
	say := func(c *column, operation, direction string, ok bool) {
		c.record(t, []peer.Check{{Operation: operation, Direction: direction, OK: ok}})
	}
	for _, r := range []row{{"a", "x"}, {"b", "x"}, {"b", "y"}, {"c", "y"}} {
		say(passed, r.operation, r.direction, true)
	}
	say(broken, "a", "x", true)
	say(broken, "a", "x", false)
	say(broken, "a", "x", true)
	if unnamed, blank := tab.gaps(); len(unnamed) != 0 || len(blank) != 1 || !strings.Contains(blank[0], `"b", direction "x", of "other"`) {
		t.Errorf("unnamed %q, blank %q", unnamed, blank)
	}
	say(broken, "b", "x", true)
	for _, c := range tab.columns {
		say(c, "d", "x", true)
		say(c, "d", "y", true)
	}
	want := `### Title

| operation | direction | one | other |
| --- | --- | --- | --- |
| a | there | pass | **fail** |
| b | there | pass | pass |
| b | back | pass | – (1) |
| c | back | pass | – (2) |
| d | there; back | pass | pass |
| held by |  | ` + "`TestTables` | `TestTables`" + ` |

1. because
2. why

`
	if got := tab.text(); got != want {
		t.Errorf("%s", got)
	}
	name := filepath.Join(t.TempDir(), "doc.md")
	for text, good := range map[string]bool{want: true, strings.Replace(want, "**fail**", "pass", 1): false} {
		if err := os.WriteFile(name, []byte("head\n"+beginTables+text+endTables), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := document(name, []*table{tab}, true); (err == nil) != good && !*update {
			t.Errorf("said %v of\n%s", err, text)
		}
	}
	say(broken, "e", "x", true)
	if err := document(name, []*table{tab}, true); err == nil || !strings.Contains(err.Error(), `"e"`) {
		t.Errorf("an operation without a place: %v", err)
	}
	if got := broken.without(); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("without %q", got)
	}
}
