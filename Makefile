.PHONY: test deps lint test-short fuzz bench

# Everything, with nothing skipped: installs what the tests need, lints, tests with the race detector.
test: deps lint
	ci/test.sh

# Installs the programs and npm packages of the tests, where they are missing.
deps:
	ci/deps.sh

lint:
	ci/lint.sh

# What runs with Go alone; tests that need another program are skipped if it is missing.
test-short:
	go test ./...

# Each fuzz target for FUZZTIME (10 s unless set).
fuzz:
	ci/fuzz.sh

# Roomspan beside other servers, on this machine: writes docs/benchmarks.md and docs/benchmarks/. BENCHFLAGS are its flags.
bench: deps
	go run ./test/bench -out docs $(BENCHFLAGS)
	go run ./test/bench -growth -out docs
