#!/usr/bin/env bash
# Formatting and static checks, also for an operating system and a word size other than the usual ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

echo "gofmt"
mapfile -t files < <(find . -name '*.go' -not -path '*/node_modules/*')
unformatted=$(gofmt -l "${files[@]}")
if [[ -n $unformatted ]]; then
  echo "gofmt would change:" >&2
  echo "$unformatted" >&2
  exit 1
fi

echo "go vet"
go vet ./...
echo "go vet, GOOS=windows"
GOOS=windows go vet ./...
echo "go vet, GOARCH=386"
GOARCH=386 go vet ./...

echo "go vet, -tags poison"
go vet -tags poison ./server/...

echo "staticcheck"
go run "$staticcheck" ./...
