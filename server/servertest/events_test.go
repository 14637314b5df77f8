package servertest_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
)

func TestCall(t *testing.T) {
	io := servertest.New(t)
	server.Reply(io, "double", func(_ *server.Socket, n int) (int, error) {
		if n > 100 {
			return 0, server.Errorf("%d is too large", n)
		}
		return 2 * n, nil
	})
	done := false
	server.On(io, "on", func(*server.Socket, any) error { done = true; return nil })
	io.Handle("two", func(e *server.Event) error { return e.Ack("a", map[string]string{"error": "no"}) })
	c := servertest.Connect(t, io)

	if got := servertest.Call[int](t, c, "double", 21); got != 42 {
		t.Errorf("got %d", got)
	}
	if got := servertest.Call[any](t, c, "on"); got != nil || !done {
		t.Errorf("got %v, handled: %v", got, done)
	}
	if got := servertest.Call[string](t, c, "two"); got != "a" {
		t.Errorf("got %q", got)
	}
	_, err := servertest.TryCall[int](c, "double", 101)
	if want := (&server.ClientError{Message: "101 is too large"}); !reflect.DeepEqual(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	var bad *server.DecodeError
	if _, err := servertest.TryCall[string](c, "double", 1); !errors.As(err, &bad) {
		t.Errorf("got %v, want a DecodeError", err)
	}
	if _, err := servertest.TryCall[any](c, "double", func() {}); err == nil {
		t.Error("a function was encoded")
	}
	if _, err := servertest.TryCall[any](c, "connect"); !errors.Is(err, server.ErrReservedEvent) {
		t.Errorf("got %v", err)
	}
	c.Close()
	if _, err := servertest.TryCall[any](c, "on"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("got %v", err)
	}
}

func TestNext(t *testing.T) {
	io := servertest.New(t)
	c := servertest.Connect(t, io)
	for i, event := range []string{"a", "b", "a"} {
		if err := io.Emit(event, i, map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	if got := servertest.Next[int](t, c, "b"); got != 1 {
		t.Errorf("b: %d", got)
	}
	if got := servertest.Next[int](t, c, "a"); got != 0 {
		t.Errorf("first a: %d", got)
	}
	var (
		n     int
		obj   struct{ N int }
		extra = "untouched"
	)
	servertest.NextArgs(t, c, "a", &n, &obj, &extra)
	if n != 2 || obj.N != 2 || extra != "untouched" {
		t.Errorf("second a: %d %v %q", n, obj, extra)
	}
	servertest.None(t, c)
}

func TestBinary(t *testing.T) {
	type file struct {
		Name string
		Data []byte
	}
	io := servertest.New(t, server.WithMaxAttachments(100))
	server.Reply2(io, "upload", func(s *server.Socket, f file, rest [][]byte) ([]byte, error) {
		return f.Data, s.Emit("stored", rest, f)
	})
	c := servertest.Connect(t, io)
	servertest.Handle(c, "reverse", func(b []byte) []byte { return bytes.Join([][]byte{b[1:], b[:1]}, nil) })

	large := bytes.Repeat([]byte{0, 0xff}, 1<<17)
	var many [][]byte
	for i := range 50 {
		many = append(many, bytes.Repeat([]byte{byte(i)}, i))
	}
	if got := servertest.Call[[]byte](t, c, "upload", file{"x", large}, many); !bytes.Equal(got, large) {
		t.Errorf("the answer has %d bytes", len(got))
	}
	var (
		rest [][]byte
		f    file
	)
	servertest.NextArgs(t, c, "stored", &rest, &f)
	if !reflect.DeepEqual(rest, many) || f.Name != "x" || !bytes.Equal(f.Data, large) {
		t.Errorf("event: %v, %q, %d bytes", rest, f.Name, len(f.Data))
	}
	answers, err := server.CallAll[[]byte](t.Context(), io.Target, "reverse", []byte{1, 2})
	if err != nil || len(answers) != 1 || !bytes.Equal(answers[0], []byte{2, 1}) {
		t.Errorf("got %v, %v", answers, err)
	}
}

func TestNone(t *testing.T) {
	io := servertest.New(t)
	server.On(io, "to others", func(s *server.Socket, n int) error {
		for range n {
			if err := s.Broadcast().Emit("told"); err != nil {
				return err
			}
		}
		return nil
	})
	alice, bob := servertest.Connect(t, io), servertest.Connect(t, io)
	const n = 500
	servertest.Call[any](t, alice, "to others", n)
	servertest.None(t, alice)
	servertest.None(t, bob, "other", "names")
	wantFailure(t, failures(func(t testing.TB) {
		servertest.None(t, bob, "other", "told")
		t.Errorf("went on")
	}), `want no event; got ["told"], ["told"]`, "and 490 more")
	for range n {
		servertest.Next[any](t, bob, "told")
	}
	servertest.None(t, bob)
	bob.Close()
	servertest.None(t, bob)
}

func TestHandle(t *testing.T) {
	io := servertest.New(t)
	io.OnConnection(func(s *server.Socket) {
		for i := range 3 {
			_ = s.Emit("early", i)
		}
	})
	server.On(io, "ready", func(s *server.Socket, _ any) error { return s.Emit("early", 3) })
	c := servertest.Connect(t, io)
	servertest.None(t, c, "other") // all have come
	var got []int
	ready := make(chan struct{})
	servertest.Handle(c, "early", func(n int) any {
		if got = append(got, n); n == 0 {
			servertest.Call[any](t, c, "ready") // the client may be used
		}
		if n == 3 {
			close(ready)
		}
		return nil
	})
	<-ready
	if !reflect.DeepEqual(got, []int{0, 1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	servertest.None(t, c)
}

func TestAnswersAreOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := servertest.New(t)
		c := servertest.Connect(t, io)
		all := []string{}
		servertest.Handle(c, "question", func(string) string { return "old" })
		servertest.Handle(c, "question", func(q string) string { all = append(all, q); return q + "!" })
		servertest.Connect(t, io) // gives no answer

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		answers, err := server.CallAll[string](ctx, io.Target, "question", "yes")
		var missing *server.MissingAnswersError
		if !errors.As(err, &missing) || !reflect.DeepEqual(answers, []string{"yes!"}) {
			t.Errorf("got %q, %v", answers, err)
		}
		if err := io.Emit("question", "no"); err != nil { // wants no answer
			t.Error(err)
		}
		synctest.Wait()
		if !reflect.DeepEqual(all, []string{"yes", "no"}) {
			t.Errorf("handled %q", all)
		}
	})
}
