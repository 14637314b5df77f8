package main

import (
	"fmt"
	"sync"
	"time"
)

// form is how an echo is asked for and what comes back.
type form struct {
	ask func(c *client, n int)

	// answer returns the number of the echo that has come, or -1 for a
	// message that is only a part of one.
	answer func(p []byte) (int, error)
}

var textForm = form{
	ask:    func(c *client, n int) { c.queue(numbered(`42["echo","`, n, payloadSize)) },
	answer: func(p []byte) (int, error) { return numberAfter(p, `42["echo","`) },
}

func binaryForm(size int) form {
	return form{
		ask: func(c *client, n int) {
			c.queue([]byte(`451-["echo",{"_placeholder":true,"num":0}]`))
			b := make([]byte, size)
			copy(b, fmt.Sprintf("%010d ", n))
			c.queueBinary(b)
		},
		answer: func(p []byte) (int, error) {
			if len(p) > 0 && p[0] == '4' {
				return -1, nil
			}
			return numberAfter(p, "")
		},
	}
}

// echo lets every client keep so many echoes in flight, and checks that each
// comes back once and in order.
func (t *traffic) echo(clients []*client, inFlight int, f form) (wait func()) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			latencies, err := t.echoes(c, inFlight, f)
			if err != nil {
				t.fail(err)
			}
			t.keep(latencies)
		})
	}
	return wg.Wait
}

func (t *traffic) echoes(c *client, inFlight int, f form) (latencies []time.Duration, err error) {
	asked := make([]time.Time, inFlight)
	sent, got := 0, 0
	for ; sent < inFlight; sent++ {
		asked[sent] = time.Now()
		f.ask(c, sent)
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	for got < sent {
		p, err := c.read()
		if err != nil {
			return nil, fmt.Errorf("after %d of %d echoes: %w", got, sent, err)
		}
		n, err := f.answer(p)
		if err != nil {
			return nil, err
		}
		if n == -1 {
			continue
		}
		if n >= 0 && n != got {
			return nil, fmt.Errorf("echo %d came where %d was due", n, got)
		}
		t.count.Add(1)
		now := time.Now()
		if t.measured.Load() {
			latencies = append(latencies, now.Sub(asked[got%inFlight]))
		}
		got++
		if !t.ending.Load() {
			asked[sent%inFlight] = now
			f.ask(c, sent)
			sent++
		}
		if c.idle() {
			if err := c.flush(); err != nil {
				return nil, err
			}
		}
	}
	return latencies, nil
}

// rooms lets every client send to its room of six again and again, as soon as
// its own message has come back, and leave and join it at every tenth.
func (t *traffic) rooms(clients []*client) (wait func()) {
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			if err := t.inRoom(c, i); err != nil {
				t.fail(err)
			}
		})
	}
	return wg.Wait
}

func (t *traffic) inRoom(c *client, i int) error {
	room := fmt.Sprintf("r%d", i/6)
	c.queue(fmt.Appendf(nil, `42["join","%s"]`, room))
	prefix := fmt.Sprintf(`42["msg",0,"%d:`, i)
	for n := 0; !t.ending.Load(); n++ {
		if n%10 == 9 {
			c.queue(fmt.Appendf(nil, `42["leave","%s"]`, room))
			c.queue(fmt.Appendf(nil, `42["join","%s"]`, room))
		}
		c.queue(numbered(fmt.Sprintf(`42["room","%s","%d:`, room, i), n, payloadSize))
		if err := c.flush(); err != nil {
			return err
		}
		for {
			p, err := c.read()
			if err != nil {
				return err
			}
			t.count.Add(1)
			if m, err := numberAfter(p, prefix); err == nil {
				if m != n {
					return fmt.Errorf("message %d came where %d was due", m, n)
				}
				break
			}
		}
	}
	return nil
}
