#!/usr/bin/env bash
# All tests with the race detector. A skipped test is a failure: here everything must be at hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"
export ROOMSPAN_TEST_FULL=1

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/report" ./ci/report

go test -race -count=1 -json -timeout 20m "${@:-./...}" </dev/null | "$bin/report"

# The race detector allocates on its own account, so that the tests of allocations are not in the run above.
go test -count=1 -run '[Aa]lloc' $(git grep -l '^//go:build !race' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|') </dev/null

# Memory that goes back to a pool is spoilt, so that a mistake in using it is seen.
go test -tags poison -count=1 ./server/... </dev/null

# What an outage costs locally is held to its bounds only without the race detector, one package after the other.
go test -count=1 -p 1 -run 'EmitNeverWaits|OutageLatency' ./adapter/redis ./test/cluster </dev/null
