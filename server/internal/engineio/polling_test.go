package engineio_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

func TestHandshake(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	if len(o.SID) != 20 || o.SID != rec.session.ID() {
		t.Errorf("sid %q, session %q", o.SID, rec.session.ID())
	}
	if fmt.Sprint(o.Upgrades) != "[websocket]" || o.PingInterval != 25000 || o.PingTimeout != 20000 || o.MaxPayload != 1000 {
		t.Errorf("open packet %+v", o)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		name, method, query string
		status, code        int
	}{
		{"no transport", "GET", "EIO=4", 400, 0},
		{"unknown transport", "GET", "EIO=4&transport=abc", 400, 0},
		{"transport of an object's prototype", "GET", "EIO=4&transport=__proto__", 400, 0},
		{"constructor", "GET", "EIO=4&transport=constructor", 400, 0},
		{"empty transport", "GET", "EIO=4&transport=", 400, 0},
		{"transport twice", "GET", "EIO=4&transport=polling&transport=polling", 400, 0},
		{"unknown sid", "GET", "EIO=4&transport=polling&sid=abc", 400, 1},
		{"empty sid", "GET", "EIO=4&transport=polling&sid=", 400, 1},
		{"sid with NUL", "POST", "EIO=4&transport=polling&sid=%00%00", 400, 1},
		{"long sid", "GET", "EIO=4&transport=polling&sid=" + strings.Repeat("x", 100_000), 400, 1},
		{"POST as handshake", "POST", "EIO=4&transport=polling", 400, 2},
		{"OPTIONS without CORS", "OPTIONS", "EIO=4&transport=polling", 400, 2},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket", 400, 3},
		{"EIO 3", "GET", "EIO=3&transport=polling", 400, 5},
		{"EIO missing", "GET", "transport=polling", 400, 5},
		{"EIO no number", "GET", "EIO=abc&transport=polling", 400, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := r.do(tt.method, tt.query, "")
			checkRefusal(t, status, body, tt.status, tt.code)
		})
	}
	if n := len(r.accepted); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestRequestsOfASession(t *testing.T) {
	r := newRig(t, nil)
	o, _ := r.open()
	for _, tt := range []struct {
		name, method, query string
		code                int
	}{
		{"another version", "GET", "EIO=3&transport=polling&sid=" + o.SID, 3},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket&sid=" + o.SID, 3},
		{"another method", "PUT", polling(o.SID), 2},
	} {
		status, body := r.do(tt.method, tt.query, "")
		checkRefusal(t, status, body, 400, tt.code)
	}
	if status, body := r.post(o.SID, "4still here"); status != 200 || body != "ok" {
		t.Errorf("POST: %d %q", status, body)
	}
}

func TestWithoutUpgrades(t *testing.T) {
	r := newRig(t, func(c *engineio.Config) { c.NoUpgrades = true })
	o, _ := r.open()
	if len(o.Upgrades) > 0 {
		t.Errorf("the client is told of %q", o.Upgrades)
	}
	status, body := r.do("GET", "EIO=4&transport=websocket&sid="+o.SID, "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	checkRefusal(t, status, body, 400, 3)
	if status, body := r.post(o.SID, "4still here"); status != 200 || body != "ok" {
		t.Errorf("POST: %d %q", status, body)
	}
}

func TestPayload(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	if status, _ := r.post(o.SID, "4a\x1e4\x1ebAQID\x1e4ü"); status != 200 {
		t.Fatal(status)
	}
	for _, want := range []string{"a", "", "b:\x01\x02\x03", "ü"} {
		if got := await(t, rec.got, want); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	rec.send("one")
	rec.session.Send(outbound.Finish(append(outbound.Start(3), "two"...), [][]byte{{1, 2}, {}}, outbound.Flags{}))
	rec.send("three")
	want := "4one\x1e4two\x1eb" + base64.StdEncoding.EncodeToString([]byte{1, 2}) + "\x1eb\x1e4three"
	if _, body := r.get(o.SID); body != want {
		t.Errorf("polled %q, want %q", body, want)
	}
}

func TestBadPayloadsEndTheSession(t *testing.T) {
	for _, body := range []string{
		"", "\x1e", "4a\x1e\x1e4b", "abc", "8", "\x00", "b!!!", "b" + strings.Repeat("=", 90), "2", "2ping",
		strings.Repeat("\x1e", 900), "4bad",
	} {
		t.Run(fmt.Sprintf("%.10q", body), func(t *testing.T) {
			r := newRig(t, nil)
			o, rec := r.open()
			if status, _ := r.post(o.SID, body); status != 400 {
				t.Errorf("POST: %d", status)
			}
			if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonParseError && reason != engineio.ReasonTransportError {
				t.Errorf("reason %q", reason)
			}
			status, refusal := r.get(o.SID)
			checkRefusal(t, status, refusal, 400, 1)
		})
	}
}

func TestPacketsBeforeABadOneAreDelivered(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	r.post(o.SID, "4good\x1eabc\x1e4never")
	if got := await(t, rec.got, "the first"); got != "good" {
		t.Errorf("received %q", got)
	}
	await(t, rec.closed, "the end")
	if len(rec.got) != 0 {
		t.Errorf("received %q behind the bad packet", <-rec.got)
	}
}

func TestOctetStreamIsRefused(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	status, body := r.do("POST", polling(o.SID), "4a", "Content-Type", "application/octet-stream")
	checkRefusal(t, status, body, 400, 3)
	await(t, rec.closed, "the end")
}

func TestBodyOverTheLimit(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	if status, _ := r.post(o.SID, "4"+strings.Repeat("x", 1000)); status != 413 {
		t.Errorf("declared length: %d", status)
	}
	req, err := http.NewRequest("POST", r.http.URL+"/?"+polling(o.SID), io.MultiReader(strings.NewReader("4"), strings.NewReader(strings.Repeat("x", 5000))))
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("chunked: %d", res.StatusCode)
		}
	}
	if status, _ := r.post(o.SID, "4"+strings.Repeat("y", 999)); status != 200 {
		t.Errorf("the session did not survive: %d", status)
	}
	if got := await(t, rec.got, "the message"); got != strings.Repeat("y", 999) {
		t.Errorf("received %.20q", got)
	}
}

// pending starts a poll and waits until the server has it.
func (r *rig) pending(ctx context.Context, sid string) chan string {
	r.t.Helper()
	answer := make(chan string, 1)
	req, err := http.NewRequestWithContext(ctx, "GET", r.http.URL+"/?"+polling(sid), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		res, err := r.client.Do(req)
		if err != nil {
			answer <- "error"
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		answer <- fmt.Sprint(res.StatusCode, " ", string(b))
	}()
	time.Sleep(50 * time.Millisecond) // to be there before the next request; if it is not, that one waits instead
	return answer
}

func TestTwoPollsAtOnceEndTheSession(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	first := r.pending(t.Context(), o.SID)
	second := r.pending(t.Context(), o.SID)
	got := []string{await(t, first, "the first answer"), await(t, second, "the second answer")}
	if got[0] != "200 1" || !strings.HasPrefix(got[1], "400 ") {
		t.Errorf("answers %q, want the first to close and the second to be refused", got)
	}
	if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonTransportError {
		t.Errorf("reason %q", reason)
	}
}

func TestAbortedPollEndsTheSession(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	ctx, cancel := context.WithCancel(t.Context())
	poll := r.pending(ctx, o.SID)
	cancel()
	await(t, poll, "the client's end")
	if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonTransportError {
		t.Errorf("reason %q", reason)
	}
}

func TestPollWaitsAndTakesEverything(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	poll := r.pending(t.Context(), o.SID)
	rec.send("a")
	if got := await(t, poll, "the answer"); got != "200 4a" {
		t.Errorf("answer %q", got)
	}
	for i := range 50 {
		rec.send(numbered(i))
	}
	_, body := r.get(o.SID)
	packets := strings.Split(body, "\x1e")
	for i, p := range packets {
		if p != "4"+numbered(i) {
			t.Fatalf("packet %d is %q", i, p)
		}
	}
	if len(packets) != 50 {
		t.Errorf("%d packets", len(packets))
	}
}

func TestCloseWhilePolling(t *testing.T) {
	t.Run("a poll waits", func(t *testing.T) {
		r := newRig(t, nil)
		o, rec := r.open()
		poll := r.pending(t.Context(), o.SID)
		rec.session.Close("because")
		if got := await(t, poll, "the answer"); got != "200 1" {
			t.Errorf("answer %q", got)
		}
		if reason := await(t, rec.closed, "the end"); reason != "because" {
			t.Errorf("reason %q", reason)
		}
	})
	t.Run("none waits", func(t *testing.T) {
		r := newRig(t, nil)
		o, rec := r.open()
		rec.send("last")
		rec.session.Close("because")
		if rec.send("too late") {
			t.Error("a closed session took a message")
		}
		if _, body := r.get(o.SID); body != "4last\x1e1" {
			t.Errorf("polled %q", body)
		}
	})
	t.Run("the client closes", func(t *testing.T) {
		r := newRig(t, nil)
		o, rec := r.open()
		poll := r.pending(t.Context(), o.SID)
		if status, _ := r.post(o.SID, "1"); status != 200 {
			t.Errorf("POST: %d", status)
		}
		if got := await(t, poll, "the answer"); got != "200 6" {
			t.Errorf("answer %q", got)
		}
		status, body := r.get(o.SID)
		checkRefusal(t, status, body, 400, 1)
		if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonTransportClose {
			t.Errorf("reason %q", reason)
		}
	})
	t.Run("the client closes before it polls", func(t *testing.T) {
		r := newRig(t, nil)
		o, _ := r.open()
		r.post(o.SID, "1")
		if status, body := r.get(o.SID); status != 200 || body != "6" {
			t.Errorf("GET: %d %q", status, body)
		}
		status, body := r.get(o.SID)
		checkRefusal(t, status, body, 400, 1)
	})
	t.Run("nobody comes back", func(t *testing.T) {
		r := newRig(t, func(c *engineio.Config) {
			c.CloseTimeout = 50 * time.Millisecond
			c.PingInterval = 100 * time.Millisecond
		})
		_, rec := r.open()
		rec.session.Close("because")
		for deadline := time.Now().Add(patience); r.counters.Sessions.Load() != 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the session was not forgotten")
			}
		}
	})
}

func TestVolatileWithoutAPollIsDropped(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	m := outbound.Finish(append(outbound.Start(8), "volatile"...), nil, outbound.Flags{Volatile: true})
	if rec.session.Send(m) {
		t.Error("taken although no poll waits")
	}
	poll := r.pending(t.Context(), o.SID)
	for !rec.session.Send(m) {
		time.Sleep(time.Millisecond)
	}
	if got := await(t, poll, "the answer"); got != "200 4volatile" {
		t.Errorf("answer %q", got)
	}
	if r.counters.VolatileDropped.Load() == 0 {
		t.Error("nothing counted")
	}
}

func TestOrigins(t *testing.T) {
	for _, tt := range []struct {
		origin, allowed string
		status          int
	}{
		{"", "", 200},
		{"http://HOST", "", 200},
		{"http://HOST.evil", "", 403},
		{"http://evil.example", "", 403},
		{"null", "", 403},
		{"https://example.com", "https://example.com", 200},
		{"https://example.com.evil", "https://example.com", 403},
		{"http://example.com", "https://example.com", 403},
		{"https://any.example", "*", 200},
	} {
		t.Run(tt.origin+" by "+tt.allowed, func(t *testing.T) {
			r := newRig(t, func(c *engineio.Config) {
				if tt.allowed != "" {
					c.Origins = []string{tt.allowed}
				}
			})
			origin := strings.Replace(tt.origin, "HOST", strings.TrimPrefix(r.http.URL, "http://"), 1)
			if status, _ := r.do("GET", "EIO=4&transport=polling", "", "Origin", origin); status != tt.status {
				t.Errorf("polling: %d, want %d", status, tt.status)
			}
			want := tt.status
			if want == 200 {
				want = 101
			}
			if status := r.upgradeStatus(origin); status != want {
				t.Errorf("WebSocket: %d, want %d", status, want)
			}
		})
	}
}

// upgradeStatus asks for a WebSocket and returns the status of the answer.
func (r *rig) upgradeStatus(origin string) int {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	header := ""
	if origin != "" {
		header = "Origin: " + origin + "\r\n"
	}
	fmt.Fprintf(nc, "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", nc.RemoteAddr(), header)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode
}

func TestDeadlinesOfTheProgramDoNotEndPolls(t *testing.T) {
	r := newRigServer(t, nil, func(s *httptest.Server) {
		s.Config.ReadTimeout = 100 * time.Millisecond
		s.Config.WriteTimeout = 100 * time.Millisecond
		s.Start()
	})
	o, rec := r.open()
	poll := r.pending(t.Context(), o.SID)
	time.Sleep(300 * time.Millisecond)
	rec.send("late")
	if got := await(t, poll, "the answer"); got != "200 4late" {
		t.Errorf("answer %q", got)
	}
}
