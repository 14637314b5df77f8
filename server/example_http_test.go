package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/roomspan/roomspan/server"
)

// A server is mounted at any path; the client names it by its option path. A
// client with addTrailingSlash: false needs the path without the slash, too.
func ExampleServer_ServeHTTP() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)    // io()
	mux.Handle("/api/realtime/", io) // io({ path: "/api/realtime/" })
	mux.Handle("/api/realtime", io)  // io({ path: "/api/realtime", addTrailingSlash: false })
	// Routers that take an http.Handler do so as well, such as chi:
	//	r.Handle("/socket.io/*", io)
	// and gin:
	//	r.Any("/socket.io/*any", gin.WrapH(io))
	log.Fatal(http.ListenAndServe(":3000", mux))
}

// What engine middlewares and the events "headers" and "initial_headers" are on
// Node, is ordinary middleware of net/http here. Its headers are part of every
// answer, that to a WebSocket handshake included.
func ExampleServer_ServeHTTP_middleware() {
	sio, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	headers := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Strict-Transport-Security", "max-age=63072000")
			if !r.URL.Query().Has("sid") { // the first request of a session
				http.SetCookie(w, &http.Cookie{Name: "visit", Value: "1"})
			}
			next.ServeHTTP(w, r)
		})
	}
	web := httptest.NewServer(headers(sio))
	defer web.Close()
	defer func() { _ = sio.Shutdown(context.Background()) }()
	res, err := http.Get(web.URL + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	fmt.Println(res.Header.Get("Strict-Transport-Security"), res.Header.Get("Set-Cookie"))
	// Output: max-age=63072000 visit=1
}

// A refusal before there is a session costs least: it needs what stands in the
// request. What needs the client's auth is for Namespace.Use.
func ExampleWithAllowRequest() {
	_, err := server.New(
		server.WithAllowRequest(func(r *http.Request) error {
			cookie, err := r.Cookie("session")
			if err != nil {
				return server.Errorf("log in first") // the client is told
			}
			return lookUp(r.Context(), cookie.Value) // the client is told "Forbidden"
		}),
		server.WithConnectionErrorHandler(func(e server.ConnectionError) {
			slog.Warn("refused", "address", e.Request.RemoteAddr, "code", e.Code, "message", e.Message, "context", e.Context, "error", e.Err)
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
}

func lookUp(context.Context, string) error { return nil }

// A balancer that learns which node has set the cookie keeps the client there:
// HAProxy by "cookie io prefix indirect nocache", nginx Plus by "sticky learn
// create=$upstream_cookie_io lookup=$cookie_io". A hash of the cookie is of no
// use: the handshake goes to a node when there is no cookie yet.
func ExampleWithCookie() {
	_, err := server.New(
		server.WithCookie(http.Cookie{Secure: true, SameSite: http.SameSiteNoneMode}),
		server.WithOrigins("https://app.example.com"), // whose pages use withCredentials: true
	)
	if err != nil {
		log.Fatal(err)
	}
}

// The files come from the program, here from the npm package socket.io; an
// embed.FS makes them a part of it.
func ExampleWithClientBundle() {
	io, err := server.New(server.WithClientBundle(os.DirFS("node_modules/socket.io/client-dist")))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket.io/", io) // <script src="/socket.io/socket.io.min.js"></script>
}

// Ids of sockets that logs and other systems can make something of.
func ExampleWithIDs() {
	_, err := server.New(server.WithIDs(nil, func(namespace string, h server.Handshake) (string, error) {
		var auth struct{ Token string }
		if err := json.Unmarshal(h.Auth, &auth); err != nil {
			return "", err
		}
		user, err := verify(auth.Token)
		if err != nil {
			return "", &server.ConnectError{Message: "not authorized"}
		}
		return fmt.Sprintf("%s:%d", user, time.Now().UnixNano()), nil
	}))
	if err != nil {
		log.Fatal(err)
	}
}

func verify(string) (string, error) { return "alice", nil }

// On SIGTERM the clients are sent to other nodes within 20 seconds, a few at a
// time; the probe of the balancer fails meanwhile, so that none comes back.
func ExampleServer_Drain() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := io.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	web := &http.Server{Addr: ":3000", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.ListenAndServe() }()

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	<-stop.Done()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := errors.Join(io.Drain(ctx, 20*time.Second), web.Shutdown(ctx)); err != nil {
		log.Print(err)
	}
}

// The counters are a value that encodes as JSON: expvar publishes it at
// /debug/vars.
func ExampleServer_Stats() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = io.Shutdown(context.Background()) }()
	expvar.Publish("socket.io", expvar.Func(func() any { return io.Stats() }))
	var published server.Stats
	fmt.Println(json.Unmarshal([]byte(expvar.Get("socket.io").String()), &published))
	fmt.Println(published.Sessions, published.Namespaces)
	// Output:
	// <nil>
	// 0 map[/:{0 0}]
}

// The text format of Prometheus needs no library.
func ExampleServer_Stats_prometheus() {
	sio, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = sio.Shutdown(context.Background()) }()
	metrics := func(w io.Writer) {
		st := sio.Stats()
		fmt.Fprintf(w, "# TYPE socketio_sessions gauge\nsocketio_sessions %d\n", st.Sessions)
		fmt.Fprintf(w, "# TYPE socketio_sockets gauge\n")
		names := make([]string, 0, len(st.Namespaces))
		for name := range st.Namespaces {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(w, "socketio_sockets{namespace=%q} %d\n", name, st.Namespaces[name].Sockets)
		}
		for _, c := range []struct {
			name  string
			value uint64
		}{
			{"received_total", st.Received},
			{"sent_total", st.Sent},
			{"slow_clients_total", st.SlowClients},
			{"refused_total", st.Refused},
			{"rate_limited_total", st.RateLimited},
		} {
			fmt.Fprintf(w, "# TYPE socketio_%s counter\nsocketio_%s %d\n", c.name, c.name, c.value)
		}
	}
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		metrics(w)
	})
	var text strings.Builder
	metrics(&text)
	fmt.Print(text.String()[:strings.Index(text.String(), "# TYPE socketio_sent")])
	// Output:
	// # TYPE socketio_sessions gauge
	// socketio_sessions 0
	// # TYPE socketio_sockets gauge
	// socketio_sockets{namespace="/"} 0
	// # TYPE socketio_received_total counter
	// socketio_received_total 0
}
