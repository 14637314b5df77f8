package engineio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	gobwas "github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// receiver is the application's end of one session.
type receiver struct {
	session *engineio.Session
	got     chan string // messages; binary ones begin with "b:"
	closed  chan string // the reason
	gate    chan struct{}
}

func (r *receiver) Message(data []byte, binary bool) error {
	text := string(data)
	if text == "bad" {
		return errors.New("bad message")
	}
	if binary {
		text = "b:" + text
	}
	if text == "block" {
		r.session.Pause()
		<-r.gate
		r.session.Resume()
	}
	r.got <- text
	return nil
}

func (r *receiver) Upgraded() {}

func (r *receiver) BatchEnd() {}
func (r *receiver) Opened()   {}

func (r *receiver) Closed(reason string) { r.closed <- reason }

func (r *receiver) send(text string) bool {
	return r.session.Send(outbound.Finish(append(outbound.Start(len(text)), text...), nil, outbound.Flags{}))
}

// rig is a server with clients that speak raw HTTP and frames.
type rig struct {
	t        *testing.T
	engine   *engineio.Server
	http     *httptest.Server
	client   *http.Client
	accepted chan *receiver
	counters engineio.Counters
	offers   []httphead.Option // extensions that WebSockets ask for
}

func newRig(t *testing.T, change func(*engineio.Config)) *rig {
	return newRigServer(t, change, (*httptest.Server).Start)
}

func newRigServer(t *testing.T, change func(*engineio.Config), start func(*httptest.Server)) *rig {
	r := &rig{t: t, accepted: make(chan *receiver, 1000)}
	cfg := engineio.Config{
		PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, UpgradeTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, CloseTimeout: 200 * time.Millisecond,
		MaxPayload: 1000, MaxFragments: 16, QueuePackets: 100, QueueBytes: 1 << 20,
		Polling: true, WebSocket: true,
		Logger: slog.New(slog.DiscardHandler), Counters: &r.counters,
		Accept: func(s *engineio.Session, _ *http.Request) engineio.Receiver {
			rec := &receiver{session: s, got: make(chan string, 1<<16), closed: make(chan string, 4), gate: make(chan struct{})}
			r.accepted <- rec
			return rec
		},
	}
	if change != nil {
		change(&cfg)
	}
	r.engine = engineio.NewServer(cfg)
	r.http = httptest.NewUnstartedServer(r.engine)
	start(r.http)
	r.client = r.http.Client()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.engine.Close(ctx, "test over"); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.http.Close()
		r.client.CloseIdleConnections()
	})
	return r
}

// do makes a request and returns its status and body.
func (r *rig) do(method, query, body string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.http.URL+"/engine.io/?"+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func polling(sid string) string { return "EIO=4&transport=polling&sid=" + sid }

func (r *rig) get(sid string) (int, string) { r.t.Helper(); return r.do("GET", polling(sid), "") }

func (r *rig) post(sid, body string) (int, string) {
	r.t.Helper()
	return r.do("POST", polling(sid), body)
}

type opening struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

// open makes a polling session.
func (r *rig) open() (opening, *receiver) {
	r.t.Helper()
	status, body := r.do("GET", "EIO=4&transport=polling", "")
	var o opening
	if status != 200 || body == "" || body[0] != '0' || json.Unmarshal([]byte(body[1:]), &o) != nil {
		r.t.Fatalf("handshake: %d %q", status, body)
	}
	return o, r.receiver()
}

func (r *rig) receiver() *receiver {
	r.t.Helper()
	return await(r.t, r.accepted, "a session")
}

// await receives from a channel.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// socket is a raw WebSocket client.
type socket struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// dial opens a WebSocket; with sid one that probes.
func (r *rig) dial(sid string) *socket {
	r.t.Helper()
	url := "ws" + strings.TrimPrefix(r.http.URL, "http") + "/engine.io/?EIO=4&transport=websocket"
	if sid != "" {
		url += "&sid=" + sid
	}
	d := gobwas.Dialer{Extensions: r.offers}
	if tr, ok := r.client.Transport.(*http.Transport); ok {
		d.TLSConfig = tr.TLSClientConfig.Clone()
		if d.TLSConfig != nil {
			d.TLSConfig.NextProtos = nil
		}
	}
	nc, br, _, err := d.Dial(context.Background(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	if br == nil {
		br = bufio.NewReader(nc)
	}
	r.t.Cleanup(func() { nc.Close() })
	return &socket{r.t, nc, br}
}

// openSocket makes a session over WebSocket.
func (r *rig) openSocket() (*socket, *receiver) {
	r.t.Helper()
	s := r.dial("")
	if open := s.text(); open[0] != '0' || !strings.Contains(open, `"upgrades":[]`) {
		r.t.Fatalf("open packet %q", open)
	}
	return s, r.receiver()
}

func (s *socket) write(texts ...string) {
	s.t.Helper()
	var b []byte
	for _, text := range texts {
		b = append(b, clientFrame(gobwas.OpText, text)...)
	}
	s.raw(b)
}

func (s *socket) raw(b []byte) {
	s.t.Helper()
	if _, err := s.nc.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func clientFrame(op gobwas.OpCode, payload string) []byte {
	return gobwas.MustCompileFrame(gobwas.MaskFrame(gobwas.NewFrame(op, true, []byte(payload))))
}

// frame reads one frame; an error means that the connection is over.
func (s *socket) frame() (gobwas.OpCode, string, error) {
	_ = s.nc.SetReadDeadline(time.Now().Add(patience))
	h, err := gobwas.ReadHeader(s.r)
	if err != nil {
		return 0, "", err
	}
	b := make([]byte, h.Length)
	_, err = io.ReadFull(s.r, b)
	return h.OpCode, string(b), err
}

// text reads one text message.
func (s *socket) text() string {
	s.t.Helper()
	op, text, err := s.frame()
	if err != nil || op != gobwas.OpText {
		s.t.Fatalf("read %v %q: %v", op, text, err)
	}
	return text
}

// gone waits until the server has ended the connection.
func (s *socket) gone() {
	s.t.Helper()
	for {
		if _, _, err := s.frame(); err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				s.t.Fatal("the connection was not closed")
			}
			return
		}
	}
}

func checkRefusal(t *testing.T, status int, body string, wantStatus, code int) {
	t.Helper()
	var got struct {
		Code    *int
		Message string
	}
	if json.Unmarshal([]byte(body), &got) != nil || got.Code == nil || *got.Code != code || status != wantStatus || got.Message == "" {
		t.Errorf("answered %d %s, want %d with code %d", status, body, wantStatus, code)
	}
}

func numbered(i int) string { return fmt.Sprint("n", i) }
