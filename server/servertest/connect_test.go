package servertest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
)

func TestHandshake(t *testing.T) {
	io := servertest.New(t)
	admin, err := io.Of("/admin")
	if err != nil {
		t.Fatal(err)
	}
	var got server.Handshake
	admin.Use(func(s *server.Socket) error { got = s.Handshake(); return nil })
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	c := servertest.Connect(t, mux,
		servertest.Namespace("admin"),
		servertest.Auth(struct{ Token string }{"a<b"}),
		servertest.Header(http.Header{"Cookie": {"a=1"}, "Host": {"chat.example"}}),
		servertest.Query(url.Values{"room": {"a b", "c"}, "EIO": {"3"}}))

	if len(c.ID()) != 20 {
		t.Errorf("id %q", c.ID())
	}
	if auth := string(got.Auth); auth != `{"Token":"a\u003cb"}` {
		t.Errorf("auth %s", auth)
	}
	if cookie := got.Header().Get("Cookie"); cookie != "a=1" {
		t.Errorf("cookie %q", cookie)
	}
	if room := got.Query()["room"]; !reflect.DeepEqual(room, []string{"a b", "c"}) {
		t.Errorf("query %q", room)
	}
	if _, _, err := net.SplitHostPort(got.Address); err != nil {
		t.Errorf("address: %v", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	io := servertest.New(t)
	io.Use(func(s *server.Socket) error {
		switch string(s.Handshake().Auth) {
		case `{"as":"stranger"}`:
			return &server.ConnectError{Message: "who?", Data: map[string]int{"code": 7}}
		case `{"as":"bug"}`:
			return errors.New("secret")
		}
		return nil
	})
	down := servertest.New(t)
	if err := down.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	as := func(name string) servertest.Option { return servertest.Auth(map[string]string{"as": name}) }
	for name, tt := range map[string]struct {
		h    http.Handler
		opt  servertest.Option
		want error
	}{
		"by a middleware":    {io, as("stranger"), &server.ConnectError{Message: "who?", Data: map[string]any{"code": 7.0}}},
		"by an error":        {io, as("bug"), &server.ConnectError{Message: "internal error"}},
		"no such namespace":  {io, servertest.Namespace("/none"), &server.ConnectError{Message: "Invalid namespace"}},
		"auth is no object":  {io, servertest.Auth("x"), errors.New("servertest: the JSON form of Auth is no object")},
		"not in HTTP either": {http.NotFoundHandler(), as(""), &servertest.HandshakeError{StatusCode: 404, Body: "404 page not found\n"}},
		"origin": {io, servertest.Header(http.Header{"Origin": {"https://evil.example"}}),
			&servertest.HandshakeError{StatusCode: 403, Body: `{"code":4,"message":"Forbidden"}` + "\n"}},
		"hung up":        {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), as(""), server.ErrDisconnected},
		"after shutdown": {down, as(""), &servertest.HandshakeError{StatusCode: 503, Body: "Server shutting down\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := servertest.TryConnect(t, tt.h, tt.opt)
			if c != nil || !reflect.DeepEqual(err, tt.want) {
				t.Errorf("got %v, %#v; want %#v", c, err, tt.want)
			}
		})
	}
	wantFailure(t, failures(func(t testing.TB) {
		servertest.Connect(t, io, as("stranger"))
		t.Errorf("went on")
	}), "servertest: connect: who?")
}

func TestConnectInTime(t *testing.T) {
	for name, h := range map[string]func(end <-chan struct{}) (http.Handler, *server.Server){
		"middleware": func(end <-chan struct{}) (http.Handler, *server.Server) {
			io, err := server.New()
			if err != nil {
				t.Fatal(err)
			}
			io.Use(func(*server.Socket) error { <-end; return nil })
			return io, io
		},
		"handler": func(end <-chan struct{}) (http.Handler, *server.Server) {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				handler, io := h(end)
				start := time.Now()
				_, err := servertest.TryConnect(t, handler, servertest.Timeout(time.Second))
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if d := time.Since(start); d < time.Second || d > 3*time.Second {
					t.Errorf("waited %v", d)
				}
				close(end)
				if io != nil {
					if err := io.Shutdown(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestNew(t *testing.T) {
	var io *server.Server
	if got := failures(func(t testing.TB) { io = servertest.New(t) }); got != nil {
		t.Errorf("failed with %q", got)
	}
	if err := io.Emit("x"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("not shut down: %v", err)
	}
	wantFailure(t, failures(func(t testing.TB) {
		servertest.New(t, server.WithPingTimeout(0))
		t.Errorf("went on")
	}), "WithPingTimeout")
}

func TestHandlerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		wantFailure(t, failures(func(t testing.TB) {
			io := servertest.New(t)
			server.On(io, "hang", func(*server.Socket, any) error { <-end; return nil })
			servertest.Connect(t, io).Emit("hang")
			synctest.Wait()
		}), "shutdown of the server", "deadline exceeded")
		close(end)
	})
}
