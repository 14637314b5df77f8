// Command drain ends well: on SIGTERM it sends its clients away little by
// little, so that a rolling restart makes no storm of reconnections.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/roomspan/roomspan/server"
)

func main() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket.io/", io)
	http.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := io.Ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	hs := &http.Server{Addr: ":3000", ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := hs.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	<-stop.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := errors.Join(io.Drain(ctx, 30*time.Second), hs.Shutdown(ctx)); err != nil {
		log.Fatal(err)
	}
}
