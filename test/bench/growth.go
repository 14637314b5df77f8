package main

import (
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// growth is how a cost changes with a number.
type growth struct {
	name, of, unit string
	points         []point
}

type point struct{ n, cost float64 }

// member is a socket that only counts what it gets.
type member struct {
	id         string
	membership adapter.Membership
}

func (m *member) ID() string                      { return m.id }
func (m *member) Membership() *adapter.Membership { return &m.membership }

// counter is a namespace whose sockets only count.
type counter struct {
	adapter.Host
	delivered int
}

func (c *counter) Deliver(_ *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
		c.delivered++
	}
}

// timed returns nanoseconds for one call, the least of five runs.
func timed(calls int, do func(i int)) float64 {
	best := math.Inf(1)
	for range 5 {
		began := time.Now()
		for i := range calls {
			do(i)
		}
		best = min(best, float64(time.Since(began).Nanoseconds())/float64(calls))
	}
	return best
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func members(n int) []*member {
	all := make([]*member, n)
	for i := range all {
		all[i] = &member{id: fmt.Sprintf("socket%014d", i)}
	}
	return all
}

// measureGrowth measures the index of rooms on one node.
func measureGrowth() []growth {
	sizes := []int{10, 100, 1000, 10_000, 100_000}
	join := growth{name: "join and leave a room", of: "members of the room", unit: "ns"}
	broadcast := growth{name: "find the receivers of a broadcast to a room", of: "members of the room", unit: "ns for each"}
	few := growth{name: "broadcast to a room of 10", of: "other rooms", unit: "ns"}
	rooms := growth{name: "memory of a socket in a room of its own", of: "sockets", unit: "bytes"}
	many := growth{name: "memory of one membership", of: "rooms of a socket", unit: "bytes"}
	packet := &adapter.Packet{Args: []byte(`["x"]`)}
	for _, n := range sizes {
		host := new(counter)
		l := adapter.NewLocal(host)
		all := members(n)
		for _, m := range all {
			l.Add(m, "room")
		}
		one := &member{id: "the one that moves"}
		l.Add(one)
		join.points = append(join.points, point{float64(n), timed(20_000, func(int) {
			l.Add(one, "room")
			l.Del(one, "room")
		})})
		sel := adapter.Selector{Rooms: []string{"room"}}
		cost := timed(max(10, 200_000/n), func(int) { _ = l.Broadcast(packet, sel, adapter.Flags{}) })
		broadcast.points = append(broadcast.points, point{float64(n), cost / float64(n)})

		l = adapter.NewLocal(host)
		for _, m := range members(10) {
			l.Add(m, "room")
		}
		all = members(n)
		before := heap()
		for i, m := range all {
			l.Add(m)
			l.Add(m, fmt.Sprintf("room%d", i))
		}
		rooms.points = append(rooms.points, point{float64(n), (heap() - before) / float64(n)})
		few.points = append(few.points, point{float64(n), timed(20_000, func(int) { _ = l.Broadcast(packet, sel, adapter.Flags{}) })})
		runtime.KeepAlive(all)
	}
	for _, k := range []int{1, 10, 100, 1000} {
		l := adapter.NewLocal(new(counter))
		names := make([]string, k)
		for i := range names {
			names[i] = fmt.Sprintf("room%d", i)
		}
		all := members(1000)
		for _, m := range all {
			l.Add(m)
		}
		before := heap()
		for _, m := range all {
			l.Add(m, names...)
		}
		many.points = append(many.points, point{float64(k), (heap() - before) / 1000 / float64(k)})
		runtime.KeepAlive(l)
	}
	return []growth{join, broadcast, few, rooms, many}
}

func writeGrowth(dir string, all []growth) error {
	for _, g := range all {
		fmt.Printf("%s, by %s:", g.name, g.of)
		for _, p := range g.points {
			fmt.Printf(" %.0f: %.1f", p.n, p.cost)
		}
		fmt.Println(" ", g.unit)
	}
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "benchmarks"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "benchmarks", "growth.svg"), []byte(growthChart(all)), 0o644)
}

// growthChart draws each cost against its number, both logarithmic.
func growthChart(all []growth) string {
	const width, height, left = 400, 220, 60
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">
<rect width="100%%" height="100%%" fill="white"/>
`, 2*width, (len(all)+1)/2*height)
	for i, g := range all {
		x0, y0 := i%2*width+left, i/2*height+30
		w, h := width-left-30, height-80
		x := func(n float64) float64 { return float64(x0) + math.Log10(n)/5*float64(w) }
		y := func(cost float64) float64 {
			return float64(y0+h) - math.Log10(max(cost, 1))/5*float64(h)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", x0, y0-10, g.name)
		for e := range 6 {
			v := math.Pow(10, float64(e))
			fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
				x0, y(v), w, x0-6, y(v)+4, v)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n", x(v), y0+h+16, v)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s; %s</text>`+"\n", x0+w/2, y0+h+34, g.of, g.unit)
		var line []string
		for _, p := range g.points {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(p.n), y(p.cost)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#d9622b"/>`+"\n", x(p.n), y(p.cost))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="#d9622b" stroke-width="2"/>`+"\n", strings.Join(line, " "))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
