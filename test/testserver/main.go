// Command testserver is the server that outside tests and benchmarks drive:
// real clients, real Redis, mixed fleets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/enginetest"
	"github.com/roomspan/roomspan/server/parser/msgpack"
	"github.com/roomspan/roomspan/test/internal/family"
)

type flags struct {
	addr, path, cors                     string
	cluster                              family.Flags
	cpuProfile, heapProfile              string
	parser                               string
	tlsCert, tlsKey                      string
	pingInterval, pingTimeout, connectIn time.Duration
	writeTimeout                         time.Duration
	recovery                             time.Duration
	maxPayload                           int
	waitReady, engine                    bool
	eio3                                 bool
	http                                 httpFlags
}

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal("testserver: ", err)
	}
}

func parseFlags() flags {
	var f flags
	flag.StringVar(&f.addr, "addr", "127.0.0.1:3000", "address to listen on")
	flag.StringVar(&f.path, "path", "/socket.io/", "path of the Socket.IO endpoint")
	f.cluster.Define()
	flag.StringVar(&f.cors, "cors", "", "origin that may connect from elsewhere, or *")
	flag.DurationVar(&f.pingInterval, "ping-interval", 25*time.Second, "heartbeat interval")
	flag.DurationVar(&f.pingTimeout, "ping-timeout", 20*time.Second, "heartbeat time-out")
	flag.DurationVar(&f.writeTimeout, "write-timeout", 10*time.Second, "how long a client may take to read one write")
	flag.DurationVar(&f.connectIn, "connect-timeout", 45*time.Second, "time to join a namespace")
	flag.DurationVar(&f.recovery, "recovery", 0, "how long the state of a client that was cut off is kept; 0: not at all")
	flag.IntVar(&f.maxPayload, "max-payload", 1e6, "bytes of the longest message")
	flag.StringVar(&f.parser, "parser", "", "parser of packets: msgpack; none: the default")
	flag.StringVar(&f.tlsCert, "tls-cert", "", "certificate: serve TLS")
	flag.StringVar(&f.tlsKey, "tls-key", "", "key of the certificate")
	flag.StringVar(&f.cpuProfile, "cpuprofile", "", "file for a profile of processor time, written at the end")
	flag.StringVar(&f.heapProfile, "heapprofile", "", "file for a profile of memory in use, written at the end, before clients are disconnected")
	flag.BoolVar(&f.waitReady, "wait-ready", true, "serve only when the adapter is ready")
	flag.BoolVar(&f.eio3, "eio3", false, "let clients of Engine.IO 3 in")
	flag.BoolVar(&f.engine, "engine", false, "a bare Engine.IO echo server on /engine.io/ instead")
	f.http.define()
	flag.Parse()
	return f
}

func (f flags) origins() []string {
	if f.cors == "" {
		return nil
	}
	return strings.Split(f.cors, ",")
}

func run() error {
	f := parseFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stopProfile, err := startProfile(f.cpuProfile)
	if err != nil {
		return err
	}
	defer stopProfile()
	mux := http.NewServeMux()
	var shutdown func(context.Context) error
	if f.engine {
		engine := enginetest.NewEcho(enginetest.Config{
			PingInterval: f.pingInterval, PingTimeout: f.pingTimeout, MaxPayload: f.maxPayload, Origins: f.origins(),
		})
		mux.Handle("/engine.io/", engine)
		shutdown = engine.Shutdown
	} else {
		io, err := newServer(f)
		if err != nil {
			return err
		}
		mux.Handle(f.path, f.http.handler(io))
		mux.HandleFunc("/ready", ready(io))
		mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%+v\n", io.Stats()) })
		shutdown = f.http.shutdown(io)
		if f.waitReady {
			if err := io.Ready(ctx); err != nil {
				return err
			}
		}
	}
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() {
		if f.tlsCert != "" {
			failed <- hs.ServeTLS(l, f.tlsCert, f.tlsKey)
			return
		}
		failed <- hs.Serve(l)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if err := writeHeapProfile(f.heapProfile); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.http.drain+5*time.Second)
	defer cancel()
	return errors.Join(shutdown(ctx), hs.Shutdown(ctx))
}

func newServer(f flags) (*server.Server, error) {
	opts := []server.Option{
		server.WithPingInterval(f.pingInterval),
		server.WithWriteTimeout(f.writeTimeout),
		server.WithPingTimeout(f.pingTimeout),
		server.WithConnectTimeout(f.connectIn),
		server.WithMaxPayload(f.maxPayload),
		server.WithOrigins(f.origins()...),
		server.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	}
	opts = append(opts, f.http.options()...)
	if f.recovery != 0 {
		opts = append(opts, server.WithConnectionStateRecovery(server.Recovery{MaxDisconnection: f.recovery}))
	}
	if f.cluster.URL != "" {
		backend, err := f.cluster.Backend()
		if err != nil {
			return nil, err
		}
		opts = append(opts, server.WithAdapter(backend))
	}
	if f.eio3 {
		opts = append(opts, server.WithEIO3())
	}
	switch f.parser {
	case "":
	case "msgpack":
		opts = append(opts, server.WithParser(msgpack.New()))
	default:
		return nil, fmt.Errorf("-parser %q: there is only msgpack", f.parser)
	}
	io, err := server.New(opts...)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"/", "/custom"} {
		ns, err := io.Of(name)
		if err != nil {
			return nil, err
		}
		register(io, ns)
	}
	return io, guard(io)
}
