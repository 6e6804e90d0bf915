# What there is to do. Every target works in a fresh clone.

.PHONY: test guest-toolchain nextest

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
