package engineio_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// oneAtATime fails the test when two goroutines hand it messages at once.
type oneAtATime struct {
	*receiver
	t      *testing.T
	inside atomic.Int32
}

func (o *oneAtATime) Message(data []byte, binary bool) error {
	if o.inside.Add(1) != 1 {
		o.t.Error("two messages at a time")
	}
	defer o.inside.Add(-1)
	time.Sleep(time.Millisecond)
	return o.receiver.Message(data, binary)
}

// A POST that was let in while the transport was polling, but is served after
// the upgrade, must not be handled beside what comes on the WebSocket.
func TestPostOvertakenByTheUpgrade(t *testing.T) {
	r := newRig(t, func(c *engineio.Config) {
		accept := c.Accept
		c.Accept = func(s *engineio.Session, req *http.Request) engineio.Receiver {
			return &oneAtATime{receiver: accept(s, req).(*receiver), t: t}
		}
	})
	o, rec := r.open()
	s := r.dial(o.SID)
	s.write("2probe")
	s.text()
	s.write("5")
	s.write("4first")
	await(t, rec.got, "a message")
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		w := httptest.NewRecorder()
		rec.session.Post(w, httptest.NewRequest("POST", "/engine.io/?"+polling(o.SID), strings.NewReader(strings.Repeat("4x\x1e", 50)+"4x")))
		done <- w
	}()
	for range 50 {
		s.write("4y")
	}
	if w := await(t, done, "an answer"); w.Code != http.StatusBadRequest {
		t.Errorf("answered %d", w.Code)
	}
	rec.send("still there")
	if got := s.text(); got != "4still there" {
		t.Errorf("%q", got)
	}
}

// Nor may a GET wait beside the WebSocket, or take what is to go out on it.
func TestGetOvertakenByTheUpgrade(t *testing.T) {
	r := newRig(t, nil)
	o, rec := r.open()
	s := r.dial(o.SID)
	s.write("2probe")
	s.text()
	s.write("5", "4first")
	await(t, rec.got, "a message")
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		w := httptest.NewRecorder()
		rec.session.Get(w, httptest.NewRequest("GET", "/engine.io/?"+polling(o.SID), nil))
		done <- w
	}()
	if w := await(t, done, "an answer"); w.Code != http.StatusBadRequest {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
}
