package main

import (
	"context"
	"crypto/rand"
	"flag"
	"net/http"
	"os"
	"time"

	"github.com/roomspan/roomspan/server"
)

// httpFlags are the flags of what happens in HTTP, and of the end.
type httpFlags struct {
	cookie, compress   bool
	token, ids, bundle string
	rate               float64
	burst              int
	drain              time.Duration
}

func (f *httpFlags) define() {
	flag.BoolVar(&f.cookie, "cookie", false, "set the sticky cookie, and refuse requests of a session without it")
	flag.BoolVar(&f.compress, "compress", false, "compress on WebSocket, too")
	flag.StringVar(&f.token, "token", "", "refuse handshakes whose header X-Token is another")
	flag.StringVar(&f.ids, "ids", "", "what ids of sessions and sockets begin with")
	flag.StringVar(&f.bundle, "bundle", "", "folder with the files of the browser's client")
	flag.Float64Var(&f.rate, "rate", 0, "events per second of one socket; 0: no limit")
	flag.IntVar(&f.burst, "burst", 100, "events at once, with -rate")
	flag.DurationVar(&f.drain, "drain", 0, "how long the clients are sent away on SIGTERM")
}

func (f *httpFlags) options() []server.Option {
	var opts []server.Option
	if f.cookie {
		opts = append(opts, server.WithCookie(http.Cookie{}))
	}
	if f.compress {
		opts = append(opts, server.WithCompression(true, true))
	}
	if f.token != "" {
		opts = append(opts, server.WithAllowRequest(func(r *http.Request) error {
			if r.Header.Get("X-Token") != f.token {
				return server.Errorf("wrong token")
			}
			return nil
		}))
	}
	if f.ids != "" {
		opts = append(opts, server.WithIDs(
			func(*http.Request) (string, error) { return f.ids + rand.Text(), nil },
			func(string, server.Handshake) (string, error) { return f.ids + rand.Text(), nil },
		))
	}
	if f.bundle != "" {
		opts = append(opts, server.WithClientBundle(os.DirFS(f.bundle)))
	}
	if f.rate > 0 {
		opts = append(opts, server.WithRateLimit(f.rate, f.burst))
	}
	return opts
}

// handler is what stands between the mux and the server.
func (f *httpFlags) handler(io *server.Server) http.Handler {
	if !f.cookie {
		return io
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sid := r.URL.Query().Get("sid")
		if c, err := r.Cookie("io"); sid != "" && (err != nil || c.Value != sid) {
			http.Error(w, "a balancer would not find the node", http.StatusBadGateway)
			return
		}
		io.ServeHTTP(w, r)
	})
}

// ready answers the probe of a balancer.
func ready(io *server.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := io.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
}

// shutdown ends the server within ctx, after the clients have been sent away.
func (f *httpFlags) shutdown(io *server.Server) func(context.Context) error {
	if f.drain == 0 {
		return io.Shutdown
	}
	return func(ctx context.Context) error { return io.Drain(ctx, f.drain) }
}
