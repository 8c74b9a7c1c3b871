# The project's commands. One cargo profile serves all of them, so RocksDB is compiled once.
.PHONY: run test build lint bench install

CARGO := cargo
FLAGS := --release --locked

run: build
	exec target/release/sandbox

test: build
	$(CARGO) test $(FLAGS) --workspace --exclude benches --no-fail-fast

lint: install
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(FLAGS) --workspace --all-targets -- -D warnings

bench: build
	$(CARGO) bench --locked -p benches

build: install
	$(CARGO) build $(FLAGS) --workspace --bins

install:
	@.ci/install
