package main

import (
	"fmt"
	"strings"
	"time"
)

// work is one thing that all servers do.
type work struct {
	group, name string

	// needs are the abilities without which a peer is left out: "socket.io",
	// "tls", "deflate", "redis", "polling", "many" for very many connections.
	needs []string

	// nodes is how many servers share a Redis; 0 for one without.
	nodes int

	once     bool // takes long, and is steady: one round will do
	settings settings
	run      func(b *bench, servers []*process) (figures, error)
}

func (w work) fits(p *peer) bool {
	for _, n := range w.needs {
		if !p.can(n) {
			return false
		}
	}
	return true
}

// works returns all that is measured.
func works() []work {
	all := []work{
		echoWork(1), echoWork(8),
		broadcastWork(10, 4), broadcastWork(100, 4), broadcastWork(1000, 2), broadcastWork(5000, 1),
		{group: "Rooms", name: "100 rooms of 6 clients, who leave and join", needs: []string{"socket.io"}, run: roomsRun},
		{group: "Echo", name: "4 KB of binary, 100 clients, 4 in flight", needs: []string{"socket.io"}, run: binaryRun},
		{group: "Other transports", name: "echo by long-polling, 50 clients", needs: []string{"socket.io", "polling"}, run: pollingRun},
		{group: "Other transports", name: "echo over TLS, 100 clients, 8 in flight", needs: []string{"tls"}, settings: settings{cert: "yes"}, run: tlsRun},
		{group: "Other transports", name: "broadcast of 2 KB with permessage-deflate to 100, 2 in flight", needs: []string{"deflate"}, settings: settings{deflate: true}, run: deflateRun},
		{group: "Connections", name: "idle, with a heartbeat each 10 s", needs: []string{"many"}, once: true,
			settings: settings{pingInterval: 10 * time.Second}, run: idleRun},
		{group: "Connections", name: "storm: 2,000 clients connect at once", run: stormRun},
	}
	for _, nodes := range []int{2, 3} {
		all = append(all,
			work{group: "Cluster", name: fmt.Sprintf("%d nodes over Redis, broadcast to 200, 4 in flight", nodes), needs: []string{"redis"},
				nodes: nodes, run: clusterRun(200, 4)},
			work{group: "Cluster", name: fmt.Sprintf("%d nodes over Redis, 2 clients, 1 in flight", nodes), needs: []string{"redis"},
				nodes: nodes, run: clusterRun(2, 1)})
	}
	return all
}

func echoWork(inFlight int) work {
	return work{
		group: "Echo",
		name:  fmt.Sprintf("100 clients, %d in flight", inFlight),
		run: func(b *bench, servers []*process) (figures, error) {
			return b.echo(servers, &dialer{addr: servers[0].addr}, 100, inFlight, textForm)
		},
	}
}

func (b *bench) echo(servers []*process, d *dialer, clients, inFlight int, f form) (figures, error) {
	all, err := dialAll(clients, 32, func(int) (*client, error) { return d.dial() })
	if err != nil {
		return figures{}, err
	}
	defer closeAll(all)
	t := new(traffic)
	return t.run(b.duration, servers, t.echo(all, inFlight, f))
}

func broadcastWork(clients, inFlight int) work {
	return work{
		group: "Broadcast",
		name:  fmt.Sprintf("to %d clients, %d in flight", clients, inFlight),
		run: func(b *bench, servers []*process) (figures, error) {
			return b.broadcast(servers, &dialer{addr: servers[0].addr}, clients, inFlight, 0)
		},
	}
}

func (b *bench) broadcast(servers []*process, d *dialer, clients, inFlight, size int) (figures, error) {
	all, err := dialAll(clients, 32, func(int) (*client, error) { return d.dial() })
	if err != nil {
		return figures{}, err
	}
	defer closeAll(all)
	t := new(traffic)
	run := t.broadcast(all, inFlight)
	if size > 0 {
		filling := strings.Repeat(`{\"name\":\"value\",\"list\":[1,2,3]},`, size/38)
		run.message = func(n int) []byte { return fmt.Appendf(nil, `42["bcast",%d,"%s"]`, n, filling) }
		run.counted = d.deflate
	}
	return t.run(b.duration, servers, run.start())
}

func roomsRun(b *bench, servers []*process) (figures, error) {
	d := &dialer{addr: servers[0].addr}
	all, err := dialAll(600, 32, func(int) (*client, error) { return d.dial() })
	if err != nil {
		return figures{}, err
	}
	defer closeAll(all)
	t := new(traffic)
	return t.run(b.duration, servers, t.rooms(all))
}

func binaryRun(b *bench, servers []*process) (figures, error) {
	return b.echo(servers, &dialer{addr: servers[0].addr}, 100, 4, binaryForm(4096))
}

func tlsRun(b *bench, servers []*process) (figures, error) {
	return b.echo(servers, &dialer{addr: servers[0].addr, tls: true}, 100, 8, textForm)
}

func deflateRun(b *bench, servers []*process) (figures, error) {
	return b.broadcast(servers, &dialer{addr: servers[0].addr, deflate: true}, 100, 2, 2048)
}

func pollingRun(b *bench, servers []*process) (figures, error) {
	d := &dialer{addr: servers[0].addr}
	clients := make([]*pollClient, 50)
	for i := range clients {
		c, err := d.dialPolling()
		if err != nil {
			return figures{}, err
		}
		clients[i] = c
	}
	t := new(traffic)
	return t.run(b.duration, servers, t.poll(clients))
}

// idleRun measures what a connection costs to make, and to keep.
func idleRun(b *bench, servers []*process) (figures, error) {
	d := &dialer{addr: servers[0].addr}
	before, cpu, began := servers[0].resident(), servers[0].cpu(), time.Now()
	all, err := dialAll(b.idle, 64, func(int) (*client, error) { return d.dial() })
	if err != nil {
		return figures{}, err
	}
	defer closeAll(all)
	elapsed, cpu := time.Since(began), servers[0].cpu()-cpu
	lost := make(chan error, len(all))
	for _, c := range all {
		go func() {
			_, err := c.read() // answers pings until it is closed
			lost <- err
		}()
	}
	select {
	case err := <-lost:
		return figures{}, fmt.Errorf("an idle connection ended: %w", err)
	case <-time.After(b.idleFor): // long enough for a runtime to give back what connecting took
	}
	return figures{
		PerSecond:     float64(b.idle) / elapsed.Seconds(),
		CPU:           float64(cpu.Microseconds()) / float64(b.idle),
		PerConnection: float64(servers[0].resident()-before) / float64(b.idle),
	}, nil
}

// stormRun measures what those who are connected feel of it.
func stormRun(b *bench, servers []*process) (figures, error) {
	d := &dialer{addr: servers[0].addr}
	settled, err := dialAll(10, 10, func(int) (*client, error) { return d.dial() })
	if err != nil {
		return figures{}, err
	}
	defer closeAll(settled)
	t := new(traffic)
	wait := t.echo(settled, 1, textForm)
	time.Sleep(500 * time.Millisecond)
	t.measured.Store(true)
	const newcomers = 2000
	cpu, began := cpuOf(servers), time.Now()
	all, err := dialAll(newcomers, 500, func(int) (*client, error) { return d.dial() })
	elapsed := time.Since(began)
	cpu = cpuOf(servers) - cpu
	t.measured.Store(false)
	t.ending.Store(true)
	wait()
	if err != nil {
		return figures{}, err
	}
	closeAll(all)
	f, err := t.summary()
	f.PerSecond = newcomers / elapsed.Seconds()
	f.CPU = float64(cpu.Microseconds()) / newcomers
	return f, err
}

// clusterRun spreads the clients over the nodes; the first one sends.
func clusterRun(clients, inFlight int) func(*bench, []*process) (figures, error) {
	return func(b *bench, servers []*process) (figures, error) {
		dialers := make([]*dialer, len(servers))
		for i, s := range servers {
			dialers[i] = &dialer{addr: s.addr}
		}
		all, err := dialAll(clients, 32, func(i int) (*client, error) { return dialers[i%len(servers)].dial() })
		if err != nil {
			return figures{}, err
		}
		defer closeAll(all)
		time.Sleep(500 * time.Millisecond) // until the nodes hear each other
		t := new(traffic)
		return t.run(b.duration, servers, t.broadcast(all, inFlight).start())
	}
}
