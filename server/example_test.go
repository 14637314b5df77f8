package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/server"
)

// What one client says, all clients hear.
func Example() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	server.On(io, "chat:message", func(_ *server.Socket, text string) error {
		return io.Emit("chat:message", text)
	})
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}

// Rooms are joined on the server; To reaches their members on all nodes.
func ExampleSocket_Join() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	server.On(io, "subscribe", func(s *server.Socket, channel string) error {
		s.Join("channel:" + channel)
		return s.To("channel:"+channel).Emit("subscribed", s.ID())
	})
	server.On2(io, "post", func(s *server.Socket, channel, text string) error {
		return io.To("channel:"+channel).Except("muted:"+s.ID()).Emit("post", text)
	})
}

// A target is an immutable value, to be kept and shared.
func ExampleTarget() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	admins := io.To("admins")
	prices := admins.Volatile()
	fmt.Println(admins.Emit("alert", "disk full"))
	fmt.Println(prices.Emit("price", 3.14))
	fmt.Println(io.Shutdown(context.Background()))
	fmt.Println(errors.Is(admins.Emit("alert", "too late"), server.ErrClosed))
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// true
}

// The value that a Reply handler returns answers the acknowledgement of the
// client, as does the text of an error that is made for it.
func ExampleReply() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	type order struct {
		Item  string `json:"item"`
		Count int    `json:"count"`
	}
	server.Reply(io, "order", func(s *server.Socket, o order) (string, error) {
		if o.Count < 1 {
			return "", server.Errorf("count %d is too small", o.Count) // the client sees it
		}
		if err := save(s.Context(), o.Item); err != nil {
			return "", err // the client sees "internal error", the log the rest
		}
		return "ordered", nil
	})
}

func save(context.Context, string) error { return nil }

// A handler may ask its own client and wait for the answer.
func ExampleCall() {
	io, err := server.New(server.WithAckTimeout(5 * time.Second))
	if err != nil {
		log.Fatal(err)
	}
	server.On(io, "delete", func(s *server.Socket, id int) error {
		sure, err := server.Call[bool](s.Context(), s, "confirm", "Delete it?")
		if err != nil || !sure {
			return err
		}
		return io.Emit("deleted", id)
	})
}

// All clients of a room, on every node, are asked; who does not answer in time
// is counted.
func ExampleCallAll() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = io.Shutdown(context.Background()) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	votes, err := server.CallAll[bool](ctx, io.To("voters"), "vote", "tabs?")
	var missing *server.MissingAnswersError
	if errors.As(err, &missing) {
		fmt.Println(missing.Expected-missing.Received, "did not vote")
	}
	fmt.Println(len(votes), "votes")
	// Output: 0 votes
}

// A middleware lets a client in, or refuses it with a reason that it may know.
func ExampleNamespace_Use() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	io.Use(func(s *server.Socket) error {
		var auth struct{ Token string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil || auth.Token != "secret" {
			return &server.ConnectError{Message: "not authorized", Data: map[string]string{"retry": "login"}}
		}
		s.SetData("alice")
		s.Join("user:alice")
		return nil
	})
	io.OnConnection(func(s *server.Socket) {
		user, _ := server.Data[string](s)
		slog.Info("connected", "user", user, "address", s.Handshake().Address)
	})
	io.OnDisconnect(func(s *server.Socket, reason server.Reason) {
		user, _ := server.Data[string](s)
		slog.Info("disconnected", "user", user, "reason", reason)
	})
}

// Bytes travel as binary attachments, wherever they stand.
func ExampleReply_binary() {
	io, err := server.New(server.WithMaxPayload(10_000_000))
	if err != nil {
		log.Fatal(err)
	}
	type file struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	server.Reply(io, "upload", func(s *server.Socket, f file) (int, error) {
		return len(f.Data), s.Broadcast().Emit("file", f)
	})
}

// One option makes the server a node of a cluster. This bus joins servers of
// one process; adapter/redis joins those of many machines.
func ExampleWithAdapter() {
	bus := adaptertest.NewBus()
	for range 2 {
		io, err := server.New(server.WithAdapter(bus.Backend()))
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = io.Shutdown(context.Background()) }()
		fmt.Println(io.Ready(context.Background()))
	}
	// Output:
	// <nil>
	// <nil>
}

// The core under the typed handlers: any number of arguments, and an answer
// that may be given later.
func ExampleNamespace_Handle() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	io.Handle("job", func(e *server.Event) error {
		args, err := e.Args()
		if err != nil {
			return err
		}
		go func() {
			result := fmt.Sprint(args...)
			if err := e.Ack(result); err != nil {
				slog.Warn("nobody waits for the job", "error", err)
			}
		}()
		return nil
	})
}

// Clients are sent away first, then the HTTP server is closed.
func ExampleServer_Shutdown() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Addr: ":3000", Handler: io, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.ListenAndServe() }()

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	<-stop.Done()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := errors.Join(io.Shutdown(ctx), web.Shutdown(ctx)); err != nil {
		log.Print(err)
	}
}

// A client that was cut off for a moment goes on where it was; one that was
// away for too long is brought up to date.
func ExampleWithConnectionStateRecovery() {
	io, err := server.New(server.WithConnectionStateRecovery(server.Recovery{MaxDisconnection: time.Minute}))
	if err != nil {
		log.Fatal(err)
	}
	io.OnConnection(func(s *server.Socket) {
		if s.Recovered() {
			return // rooms, data and missed events are those of before
		}
		s.Join("news")
		if err := s.Emit("snapshot", "everything that is known"); err != nil {
			log.Print(err)
		}
	})
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
