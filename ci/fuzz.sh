#!/usr/bin/env bash
# Runs each fuzz target of the repository, one after the other, for FUZZTIME.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${FUZZTIME:-10s}

{ grep -rEo --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[[:alnum:]_]+' . || true; } | sort |
  while IFS=: read -r file func; do
    target=${func#func }
    echo "$(dirname "$file") $target"
    go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "$(dirname "$file")" </dev/null
  done
