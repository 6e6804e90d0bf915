//! Builds the bundled adapters (and the Rust examples, for tests) as components.
//!
//! Everything in `adapters/` and `plugins/examples/rust-*` is compiled for `wasm32-unknown-unknown`
//! by one cargo of its own, in a target directory of its own, and encoded as a component. What the
//! outer cargo put into the environment (flags, wrappers such as clippy's) must not reach it.
//!
//! A toolchain that has the target's standard library is used as it is. One that has only the
//! library's source builds it (`-Zbuild-std`): that is the way where no toolchain server can be
//! reached, since a distribution's packages have the source.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

const NO_TOOLCHAIN: &str = "\
the bundled adapters are WebAssembly, and no Rust toolchain here can build them. One of these helps:
  - make guest-toolchain
  - rustup target add wasm32-unknown-unknown
  - HEDDLE_GUEST_CARGO and HEDDLE_GUEST_RUSTC: cargo and rustc of a toolchain with that target or with
    rust-src (on Debian: apt-get install rustc-web cargo-web rust-web-src lld, found without being told)";

fn main() {
    if let Err(message) = build() {
        eprintln!("{message}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for input in ["adapters", "plugins", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let adapters = directories(&root.join("adapters"), "")?;
    let examples = directories(&root.join("plugins/examples"), "rust-")?;
    let packages: Vec<String> = adapters
        .iter()
        .map(|name| format!("adapter-{name}"))
        .chain(examples.iter().map(|name| format!("example-{name}")))
        .collect();

    let modules = compile(&root, &target_directory(&out), &packages)?;
    for package in &packages {
        let module = modules.join(package.replace('-', "_")).with_extension("wasm");
        let component = encode(&module).map_err(|error| format!("{package} is no plugin: {error}"))?;
        write(&out.join(package).with_extension("wasm"), &component)?;
        write(
            &out.join(package).with_extension("wasm.deflate"),
            &deflate(&component)?,
        )?;
    }
    write(
        &out.join("adapters.rs"),
        list("adapter", &adapters, "wasm.deflate").as_bytes(),
    )?;
    write(
        &out.join("examples.rs"),
        list("example", &examples, "wasm").as_bytes(),
    )
}

/// The names of the directories in `parent` that start with `prefix`, without it, sorted.
fn directories(parent: &Path, prefix: &str) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix(prefix)?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// `guest` in cargo's target directory (the one that cargo tagged), so that all profiles share it.
fn target_directory(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").is_file())
        .unwrap_or(out)
        .join("guest")
}

/// Compiles the packages and returns where their modules are.
fn compile(root: &Path, target: &Path, packages: &[String]) -> Result<PathBuf, String> {
    let toolchain = Toolchain::find().ok_or(NO_TOOLCHAIN)?;
    let mut cargo = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_the_outer_cargos) {
            cargo.env_remove(name);
        }
    }
    // A megabyte of stack would make every instance four times slower to set up, and a memory that has
    // to grow twice as slow: this much is enough for most calls.
    let mut flags = String::from("-C link-arg=-zstack-size=65536 -C link-arg=--initial-memory=262144");
    cargo
        .current_dir(root)
        .env("RUSTC", &toolchain.rustc)
        .args(["build", "--locked", "--profile", "guest"]);
    cargo.args(["--target", TARGET, "--target-dir"]).arg(target);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    if !toolchain.has_target() {
        cargo
            .env("RUSTC_BOOTSTRAP", "1")
            .arg("-Zbuild-std=std,panic_abort");
        if !toolchain.has_linker() {
            flags.push_str(" -C linker=wasm-ld");
        }
    }
    let status = cargo.env("RUSTFLAGS", flags).status();
    match status {
        Ok(status) if status.success() => Ok(target.join(TARGET).join("guest")),
        Ok(_) => Err(format!(
            "the bundled adapters did not compile with {}",
            toolchain.cargo.display()
        )),
        Err(error) => Err(format!("{} does not run: {error}", toolchain.cargo.display())),
    }
}

/// Whether a variable configures the build that runs this script rather than cargo as such.
fn is_the_outer_cargos(name: &str) -> bool {
    let kept = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "RUSTUP_HOME",
    ];
    (name.starts_with("CARGO") || name.starts_with("RUST")) && !kept.iter().any(|kept| name.starts_with(kept))
}

struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: PathBuf,
}

impl Toolchain {
    /// The toolchain of this build, else the one that the environment names, else the system's.
    fn find() -> Option<Self> {
        let variable = |name: &str| {
            println!("cargo:rerun-if-env-changed={name}");
            env::var_os(name).map(PathBuf::from)
        };
        let candidates = [
            (variable("CARGO"), variable("RUSTC")),
            (variable("HEDDLE_GUEST_CARGO"), variable("HEDDLE_GUEST_RUSTC")),
            (Some("/usr/bin/cargo".into()), Some("/usr/bin/rustc".into())),
        ];
        let found = |(cargo, rustc): (Option<PathBuf>, Option<PathBuf>)| Self::at(cargo?, rustc?);
        let usable = |toolchain: &Self| toolchain.has_target() || toolchain.has_source();
        candidates.into_iter().filter_map(found).find(usable)
    }

    fn at(cargo: PathBuf, rustc: PathBuf) -> Option<Self> {
        let printed = Command::new(&rustc).args(["--print", "sysroot"]).output().ok()?;
        let sysroot = String::from_utf8(printed.stdout).ok()?.trim().into();
        printed.status.success().then_some(Self {
            cargo,
            rustc,
            sysroot,
        })
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn has_source(&self) -> bool {
        self.sysroot
            .join("lib/rustlib/src/rust/library/std/Cargo.toml")
            .is_file()
    }

    fn has_linker(&self) -> bool {
        let host = env::var("HOST").unwrap_or_default();
        self.sysroot
            .join("lib/rustlib")
            .join(host)
            .join("bin/rust-lld")
            .is_file()
    }
}

/// Turns a core module with an embedded description of its world into a component.
fn encode(module: &Path) -> Result<Vec<u8>, String> {
    let module = fs::read(module).map_err(|error| format!("{}: {error}", module.display()))?;
    let encoder = wit_component::ComponentEncoder::default().validate(true);
    let component = encoder.module(&module).and_then(|mut encoder| encoder.encode());
    component.map_err(|error| format!("{error:#}"))
}

/// A third of the size: components share much of their code, and most of it is never read but once.
fn deflate(component: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(component).and_then(|()| encoder.finish());
    written.map_err(|error| format!("compressing a component: {error}"))
}

/// The source of a list of names and components, to be included.
fn list(kind: &str, names: &[String], extension: &str) -> String {
    let entries = names
        .iter()
        .map(|name| format!("({name:?}, include_bytes!(\"{kind}-{name}.{extension}\")),"));
    format!("&[{}]\n", entries.collect::<String>())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
