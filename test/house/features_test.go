package house_test

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	featureRow  = regexp.MustCompile(`^\| +(\d+) +\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$`)
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w+)\(`)
	testName    = regexp.MustCompile(`^Test[A-Z]\w+$`)
	namedInText = regexp.MustCompile("`([^`]+)`")
)

// postponed are the rows that may say "later": WebTransport, other HTTP engines, polling without sticky sessions.
var postponed = []int{7, 28, 31}

// TestNamedTestsExist keeps the other documents from naming tests that are gone.
func TestNamedTestsExist(t *testing.T) {
	tests := testFuncs(t)
	for _, name := range files(t) {
		if path.Dir(name) != "docs" || path.Ext(name) != ".md" {
			continue
		}
		for _, m := range namedInText.FindAllStringSubmatch(string(read(t, name)), -1) {
			if testName.MatchString(m[1]) && !tests[m[1]] {
				t.Errorf("%s names %s, which is no test", name, m[1])
			}
		}
	}
}

func testFuncs(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	for _, name := range files(t) {
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range testFunc.FindAllStringSubmatch(string(read(t, name)), -1) {
				tests[m[1]] = true
			}
		}
	}
	return tests
}

// TestFeaturesAreProved keeps docs/features.md from drifting: all rows of the plan's sections 1 to 3 are there, in order, and
// each that says "yes" names a test that exists.
func TestFeaturesAreProved(t *testing.T) {
	tests := testFuncs(t)
	next := 1
	for line := range strings.Lines(string(read(t, path.Join("docs", "features.md")))) {
		m := featureRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		if n <= 87 && n != next {
			t.Errorf("row %d stands where row %d is due", n, next)
		}
		next = n + 1
		proofs := namedInText.FindAllStringSubmatch(m[5], -1)
		switch here := strings.TrimSpace(m[3]); here {
		case "yes", "Go":
			if len(proofs) == 0 {
				t.Errorf("row %d names no test", n)
			}
		case "later":
			if !slices.Contains(postponed, n) {
				t.Errorf("row %d is not among those that come later", n)
			}
		default:
			t.Errorf("row %d says %q", n, here)
		}
		for _, p := range proofs {
			if !tests[p[1]] {
				t.Errorf("row %d names %s, which is no test", n, p[1])
			}
		}
	}
	if next <= 87 {
		t.Errorf("the rows end at %d", next-1)
	}
}
