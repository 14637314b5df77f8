package server_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

// inflate is a client on WebSocket that joins and returns a function for the next
// packet, which says if it came compressed.
func inflate(t *testing.T, n *node) (next func() (packet string, deflated bool)) {
	t.Helper()
	c, err := tryDial(n)
	must(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	next = func() (string, bool) {
		t.Helper()
		f, err := readFrame(c.conn)
		must(t, err)
		if !f.Header.Rsv1() {
			return string(f.Payload), false
		}
		p, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
		must(t, err)
		return string(p), true
	}
	c.send("40")
	if p, _ := next(); !strings.HasPrefix(p, "40") {
		t.Fatalf("answer %q", p)
	}
	return next
}

func TestDeflate(t *testing.T) {
	n := startDeflate(t, true)
	first, second := inflate(t, n), inflate(t, n)
	n.offers = nil
	plain := inflate(t, n)
	long := strings.Repeat("long ", 1000)
	must(t, n.Emit("x", "short"))
	must(t, n.Emit("x", long))
	must(t, n.Compress(false).Emit("x", long))
	must(t, n.Compress(true).Emit("x", long, []byte(long), []byte("short")))
	for i, next := range []func() (string, bool){first, second, plain} {
		for _, want := range []struct {
			packet   string
			deflated bool
		}{
			{`42["x","short"]`, false},
			{`42["x","` + long + `"]`, true},
			{`42["x","` + long + `"]`, false},
			{`452-["x","` + long + `",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, true},
			{long, true},
			{"short", false},
		} {
			if packet, deflated := next(); packet != want.packet || deflated != (want.deflated && i < 2) {
				t.Errorf("client %d: compressed %v, %.80q", i, deflated, packet)
			}
		}
	}
	if st := n.Stats(); st.Compressions != 3 || st.CompressedTo == 0 || st.CompressedFrom < 10*st.CompressedTo {
		t.Errorf("%d compressions of %d bytes to %d", st.Compressions, st.CompressedFrom, st.CompressedTo)
	}
}

// One socket, and an acknowledgement, are compressed like a broadcast.
func TestDeflateToOne(t *testing.T) {
	n := startDeflate(t, true)
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	next := inflate(t, n)
	s := recv(t, connected)
	long := strings.Repeat("long ", 1000)
	must(t, s.Emit("x", long))
	must(t, s.Compress(false).Emit("x", long))
	for _, want := range []bool{true, false} {
		if packet, deflated := next(); deflated != want || packet != `42["x","`+long+`"]` {
			t.Errorf("compressed %v, %.80q", deflated, packet)
		}
	}
}

// By default polls are compressed, and WebSockets are not.
func TestCompressionDefaults(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for name, tt := range map[string]struct {
		opts     []server.Option
		compress bool
		coding   string
	}{
		"default":     {nil, true, "gzip"},
		"exempt":      {nil, false, ""},
		"off":         {[]server.Option{server.WithCompression(false, true)}, true, ""},
		"longer only": {[]server.Option{server.WithCompressionLevel(1, 10_000)}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, tt.opts...)
			_, sid := gzipped(t, n, http.MethodGet, "", "")
			sid, _, _ = strings.Cut(strings.TrimPrefix(sid, `0{"sid":"`), `"`)
			gzipped(t, n, http.MethodPost, sid, "40")
			if _, joined := gzipped(t, n, http.MethodGet, sid, ""); !strings.HasPrefix(joined, "40") {
				t.Fatalf("answer %q", joined)
			}
			must(t, n.Compress(tt.compress).Emit("x", long))
			if coding, body := gzipped(t, n, http.MethodGet, sid, ""); coding != tt.coding || body != `42["x","`+long+`"]` {
				t.Errorf("coding %q: %.80q", coding, body)
			}
		})
	}
	n := startDeflate(t, false)
	n.OnConnection(func(s *server.Socket) { _ = s.Emit("x", long) })
	if packet, deflated := inflate(t, n)(); deflated || packet != `42["x","`+long+`"]` {
		t.Errorf("compressed %v, %.80q", deflated, packet)
	}
}

// gzipped makes a request that accepts gzip.
func gzipped(t *testing.T, n *node, method, sid, body string) (coding, answer string) {
	t.Helper()
	url := n.http.URL + "/socket.io/?EIO=4&transport=polling"
	if sid != "" {
		url += "&sid=" + sid
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := n.http.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	coding = res.Header.Get("Content-Encoding")
	r := io.Reader(res.Body)
	if coding == "gzip" {
		r, err = gzip.NewReader(r)
		must(t, err)
	}
	b, err := io.ReadAll(r)
	must(t, err)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, b)
	}
	return coding, string(b)
}
