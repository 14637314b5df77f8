// Command bench measures Roomspan beside other servers, on one machine in one
// run: what a message, a connection and a node cost in processor time of the
// server, how late messages are, and whether all of them come. It writes the
// document and the figures of docs/benchmarks.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench is one run of the program.
type bench struct {
	duration time.Duration
	rounds   int
	idle     int
	idleFor  time.Duration
	dir      string // where programs are built, and certificates lie
	profiles string // where Roomspan writes profiles; "" for nowhere
	profiled int
	keep     bool // rows of works that are not measured
	peers    []*peer
	works    []work
}

func main() {
	log.SetFlags(0)
	var (
		only  = flag.String("work", "", "measure only works that match this expression")
		who   = flag.String("peer", "", "measure only servers that match this expression")
		out   = flag.String("out", "", "folder for the document and the figures; none: they are only printed")
		b     bench
		quick = flag.Bool("quick", false, "one short round: to see that all works, not to measure")
	)
	flag.DurationVar(&b.duration, "time", 4*time.Second, "how long each work is measured")
	flag.IntVar(&b.rounds, "rounds", 3, "how often; the median counts")
	flag.IntVar(&b.idle, "idle", 15000, "idle connections")
	flag.DurationVar(&b.idleFor, "idle-for", 250*time.Second, "how long they are idle before their memory is looked at: Go collects unasked every two minutes")
	flag.StringVar(&b.profiles, "profiles", "", "folder for profiles of Roomspan, one for each run; none: none")
	flag.BoolVar(&b.keep, "keep", false, "keep in the document what it says of works and servers that are not measured")
	builds := flag.String("builds", "", "programs, with commas between them: compare these builds of test/testserver, and nothing else")
	onlyGrowth := flag.Bool("growth", false, "measure only how the costs of rooms and nodes grow with their number, in this process")
	flag.Parse()
	if *onlyGrowth {
		nodes, err := measureNodes()
		if err == nil {
			err = writeGrowth(*out, append(measureGrowth(), nodes...))
		}
		if err != nil {
			log.Fatal("bench: ", err)
		}
		return
	}
	if *quick {
		b.duration, b.rounds, b.idle, b.idleFor = time.Second, 1, 1000, 3*time.Second
	}
	if *builds != "" {
		for _, program := range strings.Split(*builds, ",") {
			b.peers = append(b.peers, b.self(program, program))
		}
	}
	if err := b.main(*only, *who, *out); err != nil {
		log.Fatal("bench: ", err)
	}
}

func (b *bench) main(only, who, out string) error {
	dir, err := os.MkdirTemp("", "roomspan-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if b.peers == nil {
		if b.peers, err = b.build(); err != nil {
			return err
		}
	}
	b.works = works()
	for _, f := range []struct {
		expression string
		drop       func(*regexp.Regexp)
	}{
		{only, func(re *regexp.Regexp) {
			b.works = slices.DeleteFunc(b.works, func(w work) bool { return !re.MatchString(w.group + ": " + w.name) })
		}},
		{who, func(re *regexp.Regexp) {
			b.peers = slices.DeleteFunc(b.peers, func(p *peer) bool { return !re.MatchString(p.name) })
		}},
	} {
		re, err := regexp.Compile(f.expression)
		if err != nil {
			return err
		}
		f.drop(re)
	}
	if err := writeCertificate(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		return err
	}
	var rows []row
	for _, w := range b.works {
		rows = append(rows, b.measure(w)...)
	}
	if out == "" {
		return nil
	}
	return write(out, rows, b)
}

// measure lets all servers do a work in turn, so often as there are rounds.
func (b *bench) measure(w work) []row {
	rounds := b.rounds
	if w.once {
		rounds = 1
	}
	results := make(map[*peer][]figures)
	failures := make(map[*peer]error)
	for range rounds {
		for _, p := range b.peers {
			if !w.fits(p) {
				continue
			}
			f, err := b.once(w, p)
			if err != nil {
				failures[p] = err
				continue
			}
			results[p] = append(results[p], f)
		}
	}
	var rows []row
	for _, p := range b.peers {
		if !w.fits(p) {
			continue
		}
		r := row{Group: w.group, Work: w.name, Server: p.name, figures: median(results[p])}
		if err := failures[p]; err != nil {
			r.Failure = err.Error()
		}
		fmt.Println(r)
		rows = append(rows, r)
	}
	return rows
}

func (b *bench) once(w work, p *peer) (figures, error) {
	s := w.settings
	if s.cert != "" {
		s.cert, s.key = filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
	}
	if w.nodes > 0 {
		redis, url, err := startRedis()
		if err != nil {
			return figures{}, err
		}
		defer redis.stop()
		s.redis = url
	}
	var servers []*process
	defer func() {
		for _, pr := range servers {
			pr.stop()
		}
	}()
	for range max(w.nodes, 1) {
		pr, err := p.start(s)
		if err != nil {
			return figures{}, err
		}
		pr.writes = b.profiles != "" && strings.HasPrefix(p.name, "Roomspan")
		servers = append(servers, pr)
	}
	return w.run(b, servers)
}

func startRedis() (*process, string, error) {
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1")
	pr, err := launch(cmd, "", "Ready to accept connections")
	return pr, fmt.Sprintf("redis://127.0.0.1:%d", port), err
}

// median returns the figures of the round whose cost is in the middle.
func median(all []figures) figures {
	if len(all) == 0 {
		return figures{}
	}
	slices.SortFunc(all, func(a, b figures) int { return cmp.Compare(a.CPU, b.CPU) })
	return all[len(all)/2]
}

// build builds and installs the servers.
func (b *bench) build() ([]*peer, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, errors.New("run it in the repository")
	}
	peers := filepath.Join(strings.TrimSpace(string(root)), "test", "bench", "peers")
	run := func(dir string, name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
		return nil
	}
	bin := func(name string) string { return filepath.Join(b.dir, name) }
	if err := errors.Join(
		run("", "go", "build", "-o", bin("roomspan"), "./test/testserver"),
		run("", "go", "build", "-o", bin("floor"), "./test/bench/peers/floor"),
		run(filepath.Join(peers, "zishang"), "go", "build", "-o", bin("zishang"), "."),
		run(peers, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"),
	); err != nil {
		return nil, err
	}
	simple := func(args ...string) func(settings) *exec.Cmd {
		return func(settings) *exec.Cmd { return exec.Command(args[0], args[1:]...) }
	}
	buns, _ := filepath.Glob(filepath.Join(peers, "node_modules", "@oven", "bun-*", "bin", "bun"))
	if len(buns) == 0 {
		return nil, errors.New("the package bun has no program for this machine")
	}
	return []*peer{
		b.self("Roomspan", bin("roomspan")),
		b.self("Roomspan, GOGC=400", bin("roomspan"), "GOGC=400"),
		{name: "Node, socket.io 4.8", command: simple("node", filepath.Join(peers, "node.mjs"))},
		{name: "Bun, bun-engine", command: simple(buns[0], filepath.Join(peers, "bun.mjs")), lacks: []string{"deflate"}},
		{name: "zishang520 v2.5", command: simple(bin("zishang")), lacks: []string{"deflate", "redis"}},
		{name: "python-socketio", command: simple("/usr/bin/python3", filepath.Join(peers, "python.py")), lacks: []string{"deflate"}},
		{name: "bare Go WebSocket", command: simple(bin("floor")), lacks: []string{"socket.io", "tls", "deflate", "redis", "polling"}},
	}, nil
}

// self returns a build of test/testserver as a peer.
func (b *bench) self(name, bin string, env ...string) *peer {
	return &peer{name: name, command: func(s settings) *exec.Cmd {
		cmd := b.roomspan(bin, s)
		cmd.Env = append(s.env(), env...)
		return cmd
	}}
}

func (b *bench) roomspan(bin string, s settings) *exec.Cmd {
	args := []string{"-addr", fmt.Sprintf("127.0.0.1:%d", s.port), "-ping-interval", s.pingInterval.String()}
	if s.redis != "" {
		args = append(args, "-redis", s.redis)
	}
	if s.cert != "" {
		args = append(args, "-tls-cert", s.cert, "-tls-key", s.key)
	}
	if s.deflate {
		args = append(args, "-compress")
	}
	if b.profiles != "" {
		b.profiled++
		name := filepath.Join(b.profiles, strconv.Itoa(b.profiled))
		args = append(args, "-cpuprofile", name+".cpu", "-heapprofile", name+".heap")
	}
	return exec.Command(bin, args...)
}
