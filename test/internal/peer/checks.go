package peer

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"
)

// Check is the outcome of a named check in a script of test/node: a line of JSON on its standard output.
type Check struct {
	Check string
	// Operation and Direction are what it has checked, as docs/interop.md names it.
	Operation, Direction string

	OK    bool
	Error string
	// MS is how long the check took, or what it measured, in milliseconds.
	MS int
}

// Checks runs a script of test/node whose output is one Check a line, each of which becomes a subtest, and returns them.
// The script must end within limit.
func Checks(t *testing.T, limit time.Duration, script string, args ...string) []Check {
	t.Helper()
	return ReadChecks(t, limit, Node(t, script, args...), script)
}

// ReadChecks does the same with a program that has been started.
func ReadChecks(t *testing.T, limit time.Duration, p *Process, script string) []Check {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var checks []Check
	for {
		check, err := p.ReadCheck(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		checks = append(checks, check)
		t.Run(check.Check, func(t *testing.T) {
			if !check.OK {
				t.Errorf("after %d ms: %s", check.MS, check.Error)
			}
		})
	}
	if err := p.Wait(ctx); err != nil {
		t.Errorf("%s: %v", script, err)
	}
	if len(checks) == 0 {
		t.Errorf("%s has checked nothing", script)
	}
	return checks
}

// ReadCheck reads a line of the program's standard output as a Check. At the end of the output the error is io.EOF.
func (p *Process) ReadCheck(ctx context.Context) (Check, error) {
	line, err := p.ReadLine(ctx)
	if err != nil {
		return Check{}, err
	}
	var check Check
	err = json.Unmarshal([]byte(line), &check)
	return check, err
}
