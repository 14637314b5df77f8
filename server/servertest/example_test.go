package servertest_test

import (
	"fmt"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
)

// What a test does with two clients.
func Example() {
	t := new(recorder) // in a test, the *testing.T
	defer t.end()

	io := servertest.New(t)
	server.Reply(io, "add", func(_ *server.Socket, n [2]int) (int, error) {
		return n[0] + n[1], io.Emit("added", n)
	})
	alice, bob := servertest.Connect(t, io), servertest.Connect(t, io)

	fmt.Println(servertest.Call[int](t, alice, "add", [2]int{2, 3}))
	fmt.Println(servertest.Next[[2]int](t, bob, "added"))
	servertest.None(t, bob)
	// Output:
	// 5
	// [2 3]
}

// A middleware refuses who has no token.
func ExampleTryConnect() {
	t := new(recorder) // in a test, the *testing.T
	defer t.end()

	io := servertest.New(t)
	io.Use(func(s *server.Socket) error {
		if string(s.Handshake().Auth) != `{"token":"secret"}` {
			return &server.ConnectError{Message: "not authorized"}
		}
		return nil
	})

	_, err := servertest.TryConnect(t, io)
	fmt.Println(err)
	_, err = servertest.TryConnect(t, io, servertest.Auth(map[string]string{"token": "secret"}))
	fmt.Println(err)
	// Output:
	// not authorized
	// <nil>
}

// The server asks, and the client answers.
func ExampleHandle() {
	t := new(recorder) // in a test, the *testing.T
	defer t.end()

	io := servertest.New(t)
	server.Reply(io, "greet", func(s *server.Socket, _ any) (string, error) {
		name, err := server.Call[string](s.Context(), s, "name?")
		return "Hello, " + name, err
	})

	c := servertest.Connect(t, io)
	servertest.Handle(c, "name?", func(any) string { return "Alice" })
	fmt.Println(servertest.Call[string](t, c, "greet"))
	// Output: Hello, Alice
}
