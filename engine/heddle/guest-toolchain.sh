#!/bin/sh
# Makes sure that a Rust toolchain can compile for wasm32-unknown-unknown: the one that builds Heddle,
# or a second one that build.rs finds by itself. Says nothing when all is well.
set -eu
target=wasm32-unknown-unknown
debian="rustc-web cargo-web rust-web-src lld"

rustlib() {
    sysroot=$("$1" --print sysroot 2>/dev/null) && echo "$sysroot/lib/rustlib"
}
has_target() {
    lib=$(rustlib "$1") && [ -d "$lib/$target/lib" ]
}
has_source() {
    lib=$(rustlib "$1") && [ -f "$lib/src/rust/library/std/Cargo.toml" ]
}
second_toolchain() {
    for rustc in "${HEDDLE_GUEST_RUSTC:-}" /usr/bin/rustc; do
        if [ -n "$rustc" ] && { has_target "$rustc" || has_source "$rustc"; }; then return 0; fi
    done
    return 1
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

if has_target rustc || second_toolchain; then exit 0; fi

if command -v rustup >/dev/null; then
    echo "Adding the target $target, for the bundled adapters."
    if rustup target add "$target"; then exit 0; fi
fi
if has_source rustc; then exit 0; fi

if command -v apt-get >/dev/null; then
    echo "No toolchain server can be reached. Installing $debian instead."
    # shellcheck disable=SC2086 # Several packages.
    if as_root apt-get update && as_root apt-get install --yes --no-install-recommends $debian; then
        if second_toolchain; then exit 0; fi
    fi
fi

cat >&2 <<END
Heddle's bundled adapters are WebAssembly, and no Rust toolchain here can compile them. Either
  rustup target add $target
or, on Debian, where no toolchain server can be reached,
  apt-get install $debian
or name cargo and rustc of a toolchain that has the target or rust-src:
  HEDDLE_GUEST_CARGO=… HEDDLE_GUEST_RUSTC=…
END
exit 1
