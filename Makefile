# What there is to do. Every target works in a fresh clone. Start with: make demo

.PHONY: demo test test-typescript bench guest-toolchain nextest

# One event, three destinations, retries and history; then it serves until Ctrl-C.
demo: guest-toolchain
	cargo run --locked --bin heddle -- demo $(DEMO)

# What has to be green before a change is proposed.
test: guest-toolchain nextest
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo build --locked --bin heddle
	cargo nextest run --workspace --locked
	cargo test --workspace --doc --locked
	$(MAKE) test-typescript
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-10} tests/fuzz/run.sh

# The TypeScript client, built and held against the binary of target/debug.
test-typescript:
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null && command -v npm >/dev/null || \
		{ echo 'clients/typescript needs Node.js 20 or later with npm: install your system'"'"'s packages nodejs and npm, or see nodejs.org' >&2; exit 1; }
	cd clients/typescript && npm ci --no-audit --no-fund && npm test

# Every request of every bundled destination, held against the providers' published OpenAPI descriptions
# in a folder: make conformance DESCRIPTIONS=folder. Needs npm. One destination: HEDDLE_CONFORMANCE=slack
conformance: guest-toolchain nextest target/prism/node_modules/.bin/prism
	@test -d "$(DESCRIPTIONS)" || { echo "DESCRIPTIONS must be the folder of the descriptions that tests/conformance names"; exit 2; }
	cargo build --locked --bin heddle
	HEDDLE_PRISM="$(CURDIR)/target/prism/node_modules/.bin/prism" HEDDLE_PROVIDER_DESCRIPTIONS="$(abspath $(DESCRIPTIONS))" \
		cargo nextest run -p heddle-tests --locked conformance

target/prism/node_modules/.bin/prism:
	npm install --prefix target/prism --no-audit --no-fund --omit=dev --ignore-scripts @stoplight/prism-cli@5

# The bundled adapters are compiled to WebAssembly.
guest-toolchain:
	@engine/heddle/guest-toolchain.sh

nextest:
	@command -v cargo-nextest >/dev/null || cargo install cargo-nextest --locked

# The engine's figures beside references of the same run. The table, the raw data and curves land in
# target/bench. To see only that it works: make bench BENCH=--quick. One part: BENCH="--only history".
# Twenty minutes of moderate load, which is not part of it: BENCH="--only soak"
bench: guest-toolchain
	cargo build --release --locked -p heddle -p heddle-bench
	target/release/heddle-bench $(BENCH)
