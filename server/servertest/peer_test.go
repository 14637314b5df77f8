package servertest_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
)

// A server that does not read keeps nobody waiting but Close, and that not for
// ever.
func TestServerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, server.WithInboundLimit(1, 1))
		end := make(chan struct{})
		server.On(srv, "hang", func(*server.Socket, any) error { <-end; return nil })
		c := servertest.Connect(t, srv, servertest.Timeout(time.Second))
		start := time.Now()
		for range 1000 {
			c.Emit("hang")
		}
		if err := srv.Emit("heard"); err != nil {
			t.Fatal(err)
		}
		servertest.Next[any](t, c, "heard")
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("waited %v", d)
		}
		c.Close()
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("Close came after %v", d)
		}
		close(end)
	})
}

func TestPeerThatIsNoServer(t *testing.T) {
	const open, joined = `0{"sid":"x"}`, `40{"sid":"y"}`
	text := func(packets ...string) (frames []ws.Frame) {
		for _, p := range packets {
			frames = append(frames, ws.NewTextFrame([]byte(p)))
		}
		return frames
	}
	for name, tt := range map[string]struct {
		frames []ws.Frame
		text   string // of the failure; "" for none
	}{
		"hangs up":                   {nil, ""},
		"closes":                     {text(open, "1"), ""},
		"closes the WebSocket":       {append(text(open), ws.NewCloseFrame(nil)), ""},
		"disconnects":                {text(open, "41"), ""},
		"empty packet":               {text(""), "unknown packet"},
		"unknown packet":             {text(open, "9"), "unknown packet"},
		"packet that is none":        {text(open, `42[`), `in 2[`},
		"id that is none":            {text(open, `40{"sid":1}`), "cannot unmarshal"},
		"refusal that is none":       {text(open, `44{"message":1}`), "cannot unmarshal"},
		"attachment out of place":    {append(text(open), ws.NewBinaryFrame(nil)), "attachment"},
		"attachment that is missing": {text(open, `451-["a",{"_placeholder":true,"num":0}]`, joined), "attachment"},
		"frame of no use":            {append(text(open), ws.NewPingFrame(nil)), "unknown packet"},
		"frame that is cut":          {[]ws.Frame{{Header: ws.Header{Fin: true, OpCode: ws.OpText, Length: 1 << 40}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			served := make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(served)
				conn, _, _, err := ws.UpgradeHTTP(r, w)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = conn.Close() }()
				go func() { // the client must be read, or it could not be written to
					_, _ = io.Copy(io.Discard, conn)
				}()
				for _, f := range tt.frames {
					_ = ws.WriteFrame(conn, f)
				}
			})
			got := failures(func(t testing.TB) {
				if _, err := servertest.TryConnect(t, h); !errors.Is(err, server.ErrDisconnected) {
					t.Errorf("got %v", err)
				}
			})
			<-served
			if tt.text == "" {
				if got != nil {
					t.Errorf("failed with %q", got)
				}
				return
			}
			wantFailure(t, got, "servertest: from the server:", tt.text)
		})
	}
}
