package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pollClient is a Socket.IO client over HTTP long-polling.
type pollClient struct {
	http *http.Client
	url  string
}

func (d *dialer) dialPolling() (*pollClient, error) {
	c := &pollClient{
		http: &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: 2,
			DisableCompression:  true,
			DialContext:         func(context.Context, string, string) (net.Conn, error) { return d.connect() },
		}},
		url: "http://" + d.addr + "/socket.io/?EIO=4&transport=polling",
	}
	open, err := c.get()
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(open), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if !ok {
		return nil, fmt.Errorf("no handshake: %.100q", open)
	}
	c.url += "&sid=" + sid
	if err := c.post([]byte("40")); err != nil {
		return nil, err
	}
	for {
		p, err := c.get()
		if err != nil {
			return nil, err
		}
		if bytes.Contains(p, []byte("40{")) {
			return c, nil
		}
	}
}

func (c *pollClient) get() ([]byte, error) {
	resp, err := c.http.Get(c.url)
	if err != nil {
		return nil, err
	}
	return body(resp)
}

func (c *pollClient) post(payload []byte) error {
	resp, err := c.http.Post(c.url, "text/plain;charset=UTF-8", bytes.NewReader(payload))
	if err != nil {
		return err
	}
	_, err = body(resp)
	return err
}

func body(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.100q", resp.StatusCode, b)
	}
	return b, err
}

// poll lets every client keep one echo in flight.
func (t *traffic) poll(clients []*pollClient) (wait func()) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			if err := t.polls(c); err != nil {
				t.fail(err)
			}
			c.http.CloseIdleConnections()
		})
	}
	return wg.Wait
}

func (t *traffic) polls(c *pollClient) error {
	var latencies []time.Duration
	defer func() { t.keep(latencies) }()
	for n := 0; !t.ending.Load(); n++ {
		began := time.Now()
		if err := c.post(numbered(`42["echo","`, n, payloadSize)); err != nil {
			return err
		}
		for came := false; !came; {
			p, err := c.get()
			if err != nil {
				return err
			}
			for packet := range bytes.SplitSeq(p, []byte{0x1e}) {
				if string(packet) == "2" {
					if err := c.post([]byte("3")); err != nil {
						return err
					}
				} else if bytes.HasPrefix(packet, welcome) {
					continue
				} else if m, err := numberAfter(packet, `42["echo","`); err != nil {
					return err
				} else if m != n {
					return fmt.Errorf("echo %d came where %d was due", m, n)
				} else {
					came = true
				}
			}
		}
		t.count.Add(1)
		if t.measured.Load() {
			latencies = append(latencies, time.Since(began))
		}
	}
	return nil
}
