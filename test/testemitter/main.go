// Command testemitter does on a server.Emitter what the lines of its standard
// input say, as test/node/emitter-redis.mjs does on that of Node. After each
// line it prints "done".
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/test/internal/family"
)

// order is one line: what to do, and to whom.
type order struct {
	Do        string // emit, join, leave, disconnect, serverSideEmit
	Namespace string
	Rooms     []string
	Except    []string
	Event     string
	Args      []any
	Binary    []byte // one more argument, if there is any
	Join      []string
}

func main() {
	log.SetFlags(0)
	var cluster family.Flags
	cluster.Define()
	flag.Parse()
	if err := run(cluster); err != nil {
		log.Fatal("testemitter: ", err)
	}
}

func run(cluster family.Flags) error {
	backend, err := cluster.Backend()
	if err != nil {
		return err
	}
	e, err := server.NewEmitter(backend, server.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Ready(ctx); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		if err := o.on(e); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return e.Close(ctx)
}

func (o order) on(main *server.Emitter) error {
	e := main
	if o.Namespace != "" {
		var err error
		if e, err = main.Of(o.Namespace); err != nil {
			return err
		}
	}
	if o.Binary != nil {
		o.Args = append(o.Args, o.Binary)
	}
	target := e.To(o.Rooms...).Except(o.Except...)
	switch o.Do {
	case "emit":
		return target.Emit(o.Event, o.Args...)
	case "join":
		return target.Join(o.Join...)
	case "leave":
		return target.Leave(o.Join...)
	case "disconnect":
		return target.Disconnect(false)
	case "serverSideEmit":
		return e.ServerSideEmit(o.Event, o.Args...)
	}
	return fmt.Errorf("unknown order %q", o.Do)
}
