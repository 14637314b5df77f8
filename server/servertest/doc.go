// Package servertest has a Socket.IO client for tests of handlers, as
// net/http/httptest has one for HTTP. It speaks to the server over a WebSocket
// in memory: no port is opened, and all code of the server runs as it does for
// a client in a browser.
//
//	func TestAdd(t *testing.T) {
//		io := servertest.New(t)
//		server.Reply(io, "add", func(_ *server.Socket, n [2]int) (int, error) {
//			return n[0] + n[1], io.Emit("added", n)
//		})
//		alice, bob := servertest.Connect(t, io), servertest.Connect(t, io)
//
//		if sum := servertest.Call[int](t, alice, "add", [2]int{2, 3}); sum != 5 {
//			t.Errorf("got %d, want 5", sum)
//		}
//		if n := servertest.Next[[2]int](t, bob, "added"); n != [2]int{2, 3} {
//			t.Errorf("bob was told of %v", n)
//		}
//		servertest.None(t, bob) // and of nothing else
//	}
//
// Functions that take a testing.TB end that test when they fail, so they are
// called on its goroutine. Methods of [Client] do not end a test: they mark
// the one that was given to [Connect] as failed. What must come is waited for
// 5 s, or as long as [Timeout] says.
//
// In a bubble of testing/synctest everything works, if the server is made in
// the bubble too; [New] shuts it down before the bubble ends. Time-outs,
// heartbeats and delays then take no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		c := servertest.Connect(t, newServer(t))
//		time.Sleep(24 * time.Hour) // c answers all heartbeats
//		if got := servertest.Call[string](t, c, "still there?"); got != "yes" {
//			t.Errorf("got %q", got)
//		}
//	})
//
// Arguments go in and out as in package server: what has a type in Go is
// encoded and decoded as JSON, and a []byte anywhere travels as a binary
// attachment.
package servertest
