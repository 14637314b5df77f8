// Command report turns the JSON stream of "go test -json" on its standard input into the ordinary output of "go test",
// and ends with status 1 if a test failed or was skipped. It lists the skipped tests.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	ok, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// key names a test; Test is empty for the package as a whole.
type key struct{ Package, Test string }

// report copies the outcome of each package and the output of each test that failed or was skipped to w.
// It returns false if there was one.
func report(r io.Reader, w io.Writer) (bool, error) {
	ok := true
	output := make(map[key]*strings.Builder)
	var skipped []key
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && !one(line, w, output, &skipped) {
			ok = false
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if len(skipped) > 0 {
		fmt.Fprintln(w, "FAIL: these tests were skipped, and none may be:")
		for _, k := range skipped {
			fmt.Fprintf(w, "\t%s %s\n", k.Package, k.Test)
		}
	}
	return ok && len(skipped) == 0, nil
}

// one handles a line and returns false if it tells of a failure.
func one(line []byte, w io.Writer, output map[key]*strings.Builder, skipped *[]key) bool {
	var e event
	if json.Unmarshal(line, &e) != nil {
		// The go command itself writes what it has to say between the events.
		w.Write(line)
		return true
	}
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(w, e.Output)
	case "output":
		if e.Test == "" {
			packageOutput(w, e.Output)
			return true
		}
		b := output[k]
		if b == nil {
			b = new(strings.Builder)
			output[k] = b
		}
		b.WriteString(e.Output)
	case "pass":
		delete(output, k)
	case "skip":
		if e.Test != "" {
			*skipped = append(*skipped, k)
			flush(w, output, k)
		}
	case "fail":
		if e.Test != "" {
			flush(w, output, k)
			return false
		}
		// A test that was running when its program ended has no end of its own: a panic is in its output.
		for other := range output {
			if other.Package == e.Package {
				flush(w, output, other)
			}
		}
		return false
	case "build-fail":
		return false
	}
	return true
}

// packageOutput writes a line that belongs to no test, but for PASS: the "ok" line of the package tells the same.
func packageOutput(w io.Writer, line string) {
	if line != "PASS\n" {
		io.WriteString(w, line)
	}
}

// flush writes what the test k printed, without the lines that only announce that it runs.
func flush(w io.Writer, output map[key]*strings.Builder, k key) {
	b := output[k]
	if b == nil {
		return
	}
	delete(output, k)
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "=== ") {
			io.WriteString(w, line)
		}
	}
}
