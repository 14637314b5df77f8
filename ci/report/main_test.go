package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReport(t *testing.T) {
	const (
		run  = `{"Action":"run","Package":"p","Test":"TestA"}` + "\n"
		said = `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA","Output":"said\n"}` + "\n"
		okLine = `{"Action":"output","Package":"p","Output":"PASS\n"}` + "\n" +
			`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}` + "\n"
	)
	tests := []struct {
		name, in, out string
		ok            bool
	}{
		{
			name: "pass",
			in:   run + said + `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + okLine,
			out:  "ok  \tp\t0.1s\n",
			ok:   true,
		}, {
			name: "fail",
			in: run + said + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" +
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}` + "\n" +
				`{"Action":"fail","Package":"p"}`,
			out: "said\nFAIL\tp\t0.1s\n",
		}, {
			name: "skip",
			in:   run + said + `{"Action":"skip","Package":"p","Test":"TestA"}` + "\n" + okLine,
			out:  "said\nok  \tp\t0.1s\nFAIL: these tests were skipped, and none may be:\n\tp TestA\n",
		}, {
			name: "package without tests",
			in: `{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}` + "\n" +
				`{"Action":"skip","Package":"p"}` + "\n",
			out: "?   \tp\t[no test files]\n",
			ok:  true,
		}, {
			name: "panic in the midst of a test",
			in:   run + said + `{"Action":"fail","Package":"p"}` + "\n",
			out:  "said\n",
		}, {
			name: "does not build",
			in:   `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: wrong\n"}` + "\n" + `{"ImportPath":"p","Action":"build-fail"}` + "\n",
			out:  "x.go:1: wrong\n",
		}, {
			name: "the go command itself",
			in:   "go: downloading example.com/x v1.0.0\n",
			out:  "go: downloading example.com/x v1.0.0\n",
			ok:   true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := report(strings.NewReader(tt.in), &out)
			if err != nil || ok != tt.ok || out.String() != tt.out {
				t.Errorf("report = %v, %v, %q; want %v, nil, %q", ok, err, out.String(), tt.ok, tt.out)
			}
		})
	}
}
