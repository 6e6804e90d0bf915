# What there is to do. Every target works in a fresh clone. Start with: make demo

.PHONY: demo test bench guest-toolchain nextest

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

# The bundled adapters are compiled to WebAssembly.
guest-toolchain:
	@engine/heddle/guest-toolchain.sh

nextest:
	@command -v cargo-nextest >/dev/null || cargo install cargo-nextest --locked

# The engine's figures beside references of the same run; about five minutes. The table and the raw
# data land in target/bench. To see only that it works: make bench BENCH=--quick
bench: guest-toolchain
	cargo build --release --locked -p heddle -p heddle-bench
	target/release/heddle-bench $(BENCH)
