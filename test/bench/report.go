package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// row is what one server did in one work.
type row struct {
	Group, Work, Server string
	figures
	Failure string `json:",omitempty"`
}

func (r row) String() string {
	if r.Failure != "" {
		return fmt.Sprintf("%s: %s: %s: FAILED: %s", r.Group, r.Work, r.Server, r.Failure)
	}
	return fmt.Sprintf("%s: %s: %s: %.0f/s, %.2f µs, p50 %.3f ms, p99 %.3f ms, %.1f KiB",
		r.Group, r.Work, r.Server, r.PerSecond, r.CPU, r.P50, r.P99, r.PerConnection)
}

func write(dir string, rows []row, b *bench) error {
	if err := os.MkdirAll(filepath.Join(dir, "benchmarks"), 0o755); err != nil {
		return err
	}
	if b.keep {
		var err error
		if rows, err = kept(dir, rows); err != nil {
			return err
		}
	}
	figures, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "benchmarks", "figures.json"), append(figures, '\n'), 0o644); err != nil {
		return err
	}
	var doc strings.Builder
	fmt.Fprintf(&doc, head, runtime.NumCPU(), b.duration, b.rounds, b.idleFor)
	for _, group := range groups(rows) {
		fmt.Fprintf(&doc, "\n## %s\n\n", group)
		plot := strings.ToLower(strings.ReplaceAll(group, " ", "-")) + ".svg"
		if err := os.WriteFile(filepath.Join(dir, "benchmarks", plot), []byte(chart(group, rows)), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&doc, "![%s: server CPU by server](benchmarks/%s)\n\n", group, plot)
		table(&doc, group, rows)
	}
	doc.WriteString("\n" + notes)
	return os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(doc.String()), 0o644)
}

// kept returns the rows that were written before, with those of the works that
// were measured now in their places.
func kept(dir string, rows []row) ([]row, error) {
	text, err := os.ReadFile(filepath.Join(dir, "benchmarks", "figures.json"))
	if err != nil {
		return nil, err
	}
	var before []row
	if err := json.Unmarshal(text, &before); err != nil {
		return nil, err
	}
	for _, r := range rows {
		same := func(o row) bool { return o.Group == r.Group && o.Work == r.Work && o.Server == r.Server }
		if i := slices.IndexFunc(before, same); i >= 0 {
			before[i] = r
		} else {
			before = append(before, r)
		}
	}
	return before, nil
}

const head = `# Benchmarks

Written by ` + "`make bench`" + `, which builds and starts every server in turn and drives it with the same clients: raw
WebSocket frames on loopback, clients and server on the same %d cores. So the time that counts is the processor time
that the server spends for a message that is delivered, not the throughput: that is bounded by what the clients leave of
the machine. Each figure is the median of rounds in which all servers took their turn, each measured for %v, %d rounds;
idle connections are looked at after %v;
"x best peer" is that time as a share of the best other Socket.IO server's in the same run. A message is 64 bytes of text
where nothing else is said. Every client checks that every message comes once and in order: a server that loses one has
failed, and has no figure. "bare Go WebSocket" is no Socket.IO server, but a floor: it parses nothing and writes each
message by itself. Where Roomspan stands without GOGC, Go's collector has its default, which for a small heap runs often.
`

// notes say where the time goes, in particular where it is more than was aimed
// at.
//
//go:embed notes.md
var notes string

func groups(rows []row) []string {
	var names []string
	for _, r := range rows {
		if len(names) == 0 || names[len(names)-1] != r.Group {
			known := false
			for _, n := range names {
				known = known || n == r.Group
			}
			if !known {
				names = append(names, r.Group)
			}
		}
	}
	return names
}

func table(doc *strings.Builder, group string, rows []row) {
	unit := "messages"
	if group == "Connections" {
		unit = "connects"
	}
	fmt.Fprintf(doc, "| work | server | µs of CPU | x best peer | %s/s | p50 ms | p99 ms | KiB per connection |\n", unit)
	doc.WriteString("| --- | --- | --: | --: | --: | --: | --: | --: |\n")
	for _, r := range rows {
		if r.Group != group {
			continue
		}
		if r.Failure != "" {
			fmt.Fprintf(doc, "| %s | %s | failed: %s | | | | | |\n", r.Work, r.Server, strings.ReplaceAll(r.Failure, "|", "/"))
			continue
		}
		fmt.Fprintf(doc, "| %s | %s | %.2f | %s | %.0f | %s | %s | %s |\n", r.Work, r.Server, r.CPU,
			ratio(r, rows), r.PerSecond, some(r.P50, 3), some(r.P99, 3), some(r.PerConnection, 1))
	}
}

func some(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// ratio returns the cost beside that of the best other Socket.IO server.
func ratio(r row, rows []row) string {
	best := 0.0
	for _, o := range rows {
		if o.Work == r.Work && o.Group == r.Group && o.Failure == "" && !own(o.Server) && (best == 0 || o.CPU < best) {
			best = o.CPU
		}
	}
	if best == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", r.CPU/best)
}

func own(server string) bool {
	return strings.HasPrefix(server, "Roomspan") || server == "bare Go WebSocket"
}
