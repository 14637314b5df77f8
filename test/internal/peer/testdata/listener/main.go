// Command listener listens on a free port and says so, until it is told to end.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM) // before anybody can know that it listens
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "about to listen")
	fmt.Println("a line before")
	fmt.Println("listening on " + l.Addr().String())
	<-stop
	fmt.Println("told to end")
}
