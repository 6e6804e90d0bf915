# What there is to do. Every target works in a fresh clone.

.PHONY: test bench guest-toolchain nextest

# What has to be green before a change is proposed.
test: guest-toolchain nextest
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
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
