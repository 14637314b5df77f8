package redis_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests wait for servers, and not for the processor.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	// Where a server was away, the client dials once a second until it is
	// closed, and notices that only then.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
