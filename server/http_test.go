package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/server"
)

const (
	pollingHandshake   = "/socket.io/?EIO=4&transport=polling"
	webSocketHandshake = "/socket.io/?EIO=4&transport=websocket"
)

// request makes a request without following redirects or asking for gzip, with
// headers in pairs; one for the transport websocket is a proper handshake.
func request(t testing.TB, n *node, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	nc, err := net.Dial("tcp", n.http.Listener.Addr().String())
	must(t, err)
	defer func() { _ = nc.Close() }()
	if strings.Contains(target, "transport=websocket") {
		header = append(header, "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") // the first of two counts
	} else {
		header = append(header, "Connection", "close")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: example.org\r\n", method, target)
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	_, err = io.WriteString(nc, b.String()+"\r\n")
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	must(t, err)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return res, string(body)
}

// refused fails the test if an answer is not the refusal of Engine.IO.
func refused(t testing.TB, res *http.Response, body string, status, code int, message string) {
	t.Helper()
	var got struct {
		Code    *int
		Message string
	}
	err := json.Unmarshal([]byte(body), &got)
	if err != nil || res.StatusCode != status || got.Code == nil || *got.Code != code || got.Message != message ||
		res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %q, want %d with code %d and %q", res.StatusCode, body, status, code, message)
	}
}

// opened returns the id of the session that a handshake over polling made.
func opened(t testing.TB, body string) string {
	t.Helper()
	var open struct{ Sid string }
	if body == "" || body[0] != '0' || json.Unmarshal([]byte(body[1:]), &open) != nil {
		t.Fatalf("handshake answered with %q", body)
	}
	return open.Sid
}

func TestCookie(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cookie http.Cookie
		want   string // behind name and value
	}{
		{"io", http.Cookie{}, "; Path=/; HttpOnly; SameSite=Lax"},
		{"io", http.Cookie{Value: "ignored", MaxAge: 60}, "; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"},
		{"node", http.Cookie{Name: "node", Path: "/x", Domain: "example.org", Secure: true, SameSite: http.SameSiteNoneMode},
			"; Path=/x; Domain=example.org; HttpOnly; Secure; SameSite=None"},
		{"io", http.Cookie{SameSite: http.SameSiteDefaultMode}, "; Path=/; HttpOnly"},
	} {
		n := start(t, server.WithCookie(tt.cookie))
		res, body := request(t, n, "GET", pollingHandshake)
		sid := opened(t, body)
		if got, want := res.Header.Get("Set-Cookie"), tt.name+"="+sid+tt.want; got != want {
			t.Errorf("polling: cookie %q, want %q", got, want)
		}
		res, _ = request(t, n, "GET", webSocketHandshake)
		if got := res.Header.Get("Set-Cookie"); res.StatusCode != 101 || !strings.HasPrefix(got, tt.name+"=") || !strings.HasSuffix(got, tt.want) {
			t.Errorf("WebSocket: %d, cookie %q", res.StatusCode, got)
		}
		// Only the handshake sets it.
		for _, target := range []string{pollingHandshake + "&sid=" + sid, webSocketHandshake + "&sid=" + sid} {
			method := "GET"
			if strings.Contains(target, "polling") {
				method = "OPTIONS" // a GET would wait
			}
			if res, _ = request(t, n, method, target); res.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s sets a cookie", target)
			}
		}
	}
}

func TestNoCookieByDefault(t *testing.T) {
	n := start(t)
	for _, target := range []string{pollingHandshake, webSocketHandshake} {
		if res, _ := request(t, n, "GET", target); res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", target, res.Header)
		}
	}
}

func TestAllowRequest(t *testing.T) {
	var asked atomic.Int32
	refusals := make(chan server.ConnectionError, 10)
	reported := make(chan error, 10)
	n := start(t, server.WithAllowRequest(func(r *http.Request) error {
		asked.Add(1)
		switch r.Header.Get("X-Test") {
		case "banned":
			return fmt.Errorf("wrapped: %w", server.Errorf("you are banned"))
		case "secret":
			return errors.New("database is down")
		case "panic":
			panic("no")
		}
		return nil
	}), server.WithConnectionErrorHandler(func(e server.ConnectionError) {
		e.Request = nil
		refusals <- e
	}), server.WithErrorHandler(func(s *server.Socket, event string, err error) {
		if s != nil || event != "" {
			t.Errorf("socket %v, event %q", s, event)
		}
		reported <- err
	}))
	for _, tt := range []struct{ header, message string }{
		{"banned", "you are banned"},
		{"secret", "Forbidden"},
		{"panic", "Forbidden"},
	} {
		for _, target := range []string{pollingHandshake, webSocketHandshake} {
			res, body := request(t, n, "GET", target, "X-Test", tt.header)
			refused(t, res, body, 403, 4, tt.message)
			if e := recv(t, refusals); e.Code != 4 || e.Message != tt.message || e.Err == nil || e.Context != "" {
				t.Errorf("reported %+v", e)
			}
			if tt.header == "panic" {
				var p *server.PanicError
				if err := recv(t, reported); !errors.As(err, &p) {
					t.Errorf("reported %v", err)
				}
			}
		}
	}
	if asked.Load() != 6 || n.Stats().Sessions != 0 || n.Stats().Panics != 2 || len(reported) != 0 {
		t.Errorf("asked %d times, %+v", asked.Load(), n.Stats())
	}
	// Cheap checks come first, and later requests of a session are let through.
	for _, target := range []string{"/", "/?transport=polling&EIO=3", pollingHandshake + "&sid=x"} {
		request(t, n, "GET", target, "X-Test", "banned")
	}
	_, body := request(t, n, "GET", pollingHandshake)
	request(t, n, "POST", pollingHandshake+"&sid="+opened(t, body), "X-Test", "banned", "Content-Length", "0")
	if asked.Load() != 7 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// A hook may wait; the client that goes away ends the wait.
func TestAllowRequestBlocks(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	n := start(t, server.WithAllowRequest(func(r *http.Request) error {
		if r.Header.Get("X-Wait") == "" {
			return nil
		}
		close(started)
		<-r.Context().Done()
		close(ended)
		return r.Context().Err()
	}))
	nc, err := net.Dial("tcp", n.http.Listener.Addr().String())
	must(t, err)
	_, err = fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n", pollingHandshake)
	must(t, err)
	recv(t, started)
	join(t, n) // others are let in meanwhile
	must(t, nc.Close())
	recv(t, ended)
}

func TestConnectionErrors(t *testing.T) {
	errs := make(chan server.ConnectionError, 1)
	n := start(t, server.WithOrigins("https://example.com"), server.WithConnectionErrorHandler(func(e server.ConnectionError) {
		if e.Request == nil || e.Request.Method == "" {
			t.Error("no request")
		}
		e.Request = nil
		errs <- e
	}))
	_, body := request(t, n, "GET", pollingHandshake)
	sid := "&sid=" + opened(t, body)
	for _, tt := range []struct {
		method, target, origin string
		status                 int
		want                   server.ConnectionError
	}{
		{"GET", "/socket.io/", "", 400, server.ConnectionError{Code: 0, Message: "Transport unknown"}},
		{"GET", pollingHandshake + "&sid=none", "", 400, server.ConnectionError{Code: 1, Message: "Session ID unknown"}},
		{"POST", pollingHandshake, "", 400, server.ConnectionError{Code: 2, Message: "Bad handshake method"}},
		{"GET", "/?EIO=4&transport=polling&transport=x", "", 400, server.ConnectionError{Code: 0, Message: "Transport unknown"}},
		{"GET", "/?EIO=3&transport=polling" + sid, "", 400, server.ConnectionError{Code: 3, Message: "Bad request", Context: "PROTOCOL_MISMATCH"}},
		{"PUT", pollingHandshake + sid, "", 400, server.ConnectionError{Code: 2, Message: "Bad handshake method"}},
		{"GET", pollingHandshake, "https://evil.example", 403, server.ConnectionError{Code: 4, Message: "Forbidden", Context: "FOREIGN_ORIGIN"}},
		{"GET", "/?EIO=3&transport=polling", "", 400, server.ConnectionError{Code: 5, Message: "Unsupported protocol version"}},
		{"GET", "/?transport=polling", "", 400, server.ConnectionError{Code: 5, Message: "Unsupported protocol version"}},
	} {
		var header []string
		if tt.origin != "" {
			header = []string{"Origin", tt.origin}
		}
		res, body := request(t, n, tt.method, tt.target, header...)
		refused(t, res, body, tt.status, tt.want.Code, tt.want.Message)
		if got := recv(t, errs); got != tt.want {
			t.Errorf("%s %s: reported %+v", tt.method, tt.target, got)
		}
	}
	checkHandshakeErrors(t, n, errs, sid)
}

func checkHandshakeErrors(t *testing.T, n *node, errs chan server.ConnectionError, sid string) {
	t.Helper()
	// A WebSocket transport without an upgrade, and an upgrade for polling.
	for _, target := range []string{"/?EIO=4&transport=websocke%74", "/?EIO=4&transport=websocke%74" + sid} {
		res, body := request(t, n, "GET", target)
		refused(t, res, body, 400, 3, "Bad request")
		want := "TRANSPORT_HANDSHAKE_ERROR"
		if strings.Contains(target, "sid") {
			want = "TRANSPORT_MISMATCH"
		}
		if got := recv(t, errs); got.Code != 3 || got.Context != want {
			t.Errorf("reported %+v", got)
		}
	}
	// A handshake that is not that of RFC 6455 is answered by the codec.
	res, _ := request(t, n, "GET", webSocketHandshake, "Sec-WebSocket-Key", "short")
	if got := recv(t, errs); res.StatusCode != 400 || got.Code != 3 || got.Context != "TRANSPORT_HANDSHAKE_ERROR" || got.Err == nil {
		t.Errorf("%d, reported %+v", res.StatusCode, got)
	}
	if st := n.Stats(); st.Refused != 12 || st.Sessions != 1 {
		t.Errorf("%d refused, %d sessions", st.Refused, st.Sessions)
	}
}

// What middlewares set is part of every answer, also of the one that becomes a
// WebSocket.
func TestHeadersOfMiddleware(t *testing.T) {
	n := start(t)
	n.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-All", "1")
		if !r.URL.Query().Has("sid") {
			w.Header().Set("X-Initial", "1")
		}
		n.ServeHTTP(w, r)
	})
	res, body := request(t, n, "GET", pollingHandshake)
	sid := "&sid=" + opened(t, body)
	if res.Header.Get("X-All") != "1" || res.Header.Get("X-Initial") != "1" {
		t.Errorf("polling: %v", res.Header)
	}
	if res, _ = request(t, n, "GET", webSocketHandshake); res.StatusCode != 101 || res.Header.Get("X-Initial") != "1" || res.Header.Get("X-All") != "1" {
		t.Errorf("WebSocket: %d %v", res.StatusCode, res.Header)
	}
	for _, target := range []string{webSocketHandshake + sid, "/?" + sid} {
		if res, _ = request(t, n, "GET", target); res.Header.Get("X-All") != "1" || res.Header.Get("X-Initial") != "" {
			t.Errorf("%s: %v", target, res.Header)
		}
	}
}
