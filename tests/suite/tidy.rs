//! The house rules, held against the sources: who may name which library, which way the arrows
//! point, what every file begins with, and that documents name only what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// The libraries that one part of the engine keeps to itself, and who may name them.
const WARDS: &[(&str, &[&str])] = &[
    ("rusqlite", &["engine/store", "bench"]),
    ("wasmtime", &["engine/sandbox"]),
    ("reqwest", &["engine/egress", "clients/rust", "tests", "bench"]),
    ("axum", &["engine/web", "engine/heddle", "tests", "bench"]),
];

/// The engine's crates from the bottom up; each may use those of lower rank only.
const RANKS: &[(&str, usize)] = &[
    ("heddle-core", 0),
    ("heddle-store", 1),
    ("heddle-sandbox", 1),
    ("heddle-egress", 1),
    ("heddle-delivery", 2),
    ("heddle-web", 3),
    ("heddle", 4),
];

/// What `core` must not know of: I/O, time, randomness.
const IMPURE: &[&str] = &[
    "tokio",
    "futures",
    "http",
    "hyper",
    "getrandom",
    "rand",
    "tracing",
    "tempfile",
];

/// The longest file, in lines, that needs no explanation.
const WALL: usize = 700;

/// Words that say nothing about what a thing is.
const EMPTY_NAMES: &[&str] = &[
    "Manager", "Handler", "Service", "Helper", "Util", "Utils", "Common",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

/// The files below `folder` with this ending, relative to the root, without what is built.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(
                    path.strip_prefix(root())
                        .expect("it was found below the root")
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A member of the workspace: its folder, its name, and what it and its build depend on.
struct Member {
    folder: String,
    name: String,
    dependencies: BTreeSet<String>,
}

fn members() -> Vec<Member> {
    let manifests = ["engine", "adapters", "plugins", "tests", "bench", "clients"]
        .into_iter()
        .flat_map(|f| files(f, "Cargo.toml"));
    manifests
        .filter_map(|path| {
            let table: Table = read(&path)
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = table.get("package")?.get("name")?.as_str()?.to_owned();
            let sections = ["dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|section| table.get(section));
            let dependencies = sections
                .filter_map(|section| section.as_table())
                .flat_map(|s| s.keys().cloned())
                .collect();
            let folder = path
                .parent()
                .expect("a manifest lies in a folder")
                .to_string_lossy()
                .into_owned();
            Some(Member {
                folder,
                name,
                dependencies,
            })
        })
        .collect()
}

#[test]
fn each_great_library_is_named_by_one_crate() {
    let members = members();
    assert!(members.len() > 8, "the manifests were found");
    for (library, allowed) in WARDS {
        for member in members
            .iter()
            .filter(|member| member.dependencies.contains(*library))
        {
            assert!(
                allowed.contains(&member.folder.as_str()),
                "{} names {library}",
                member.folder
            );
        }
        let home = allowed[0];
        let named = members
            .iter()
            .any(|member| member.folder == home && member.dependencies.contains(*library));
        assert!(named, "{home} no longer names {library}: mend this table");
    }
}

#[test]
fn arrows_point_down() {
    let rank = |name: &str| {
        RANKS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, rank)| *rank)
    };
    for member in members()
        .iter()
        .filter(|member| member.folder.starts_with("engine/"))
    {
        let own = rank(&member.name).unwrap_or_else(|| panic!("{} has no rank", member.name));
        for dependency in &member.dependencies {
            if let Some(theirs) = rank(dependency) {
                assert!(theirs < own, "{} depends on {dependency}", member.name);
            }
            assert!(
                dependency != "heddle-sdk",
                "{} depends on the guests' SDK",
                member.name
            );
        }
    }
}

#[test]
fn core_is_pure_and_adapters_know_the_sdk_alone() {
    for member in members() {
        if member.name == "heddle-core" {
            for impure in IMPURE {
                assert!(!member.dependencies.contains(*impure), "core depends on {impure}");
            }
        }
        if member.folder.starts_with("adapters/") {
            let alone = member
                .dependencies
                .iter()
                .all(|dependency| dependency == "heddle-sdk");
            assert!(alone, "{}: {:?}", member.folder, member.dependencies);
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for path in ["engine", "adapters", "plugins", "tests", "clients"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
    {
        let name = path
            .file_name()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        let is_test = name == "tests.rs" || name.ends_with("_tests.rs");
        let outside = path.components().any(|part| part.as_os_str() == "tests") && !path.starts_with("tests");
        if is_test || outside {
            continue;
        }
        let text = read(&path);
        assert!(
            text.starts_with("//! "),
            "{} does not begin with a module doc",
            path.display()
        );
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.len() > 12,
            "{} begins with an empty doc: {first}",
            path.display()
        );
    }
}

#[test]
fn no_file_is_over_the_wall_without_a_reason() {
    let folders = ["engine", "adapters", "plugins", "tests", "bench", "clients"];
    for path in folders.into_iter().flat_map(|folder| files(folder, ".rs")) {
        let text = read(&path);
        let lines = text.lines().count();
        let reason = text
            .lines()
            .any(|line| line.trim_start().starts_with("//") && line.contains("700 lines"));
        assert!(
            lines <= WALL || reason,
            "{} has {lines} lines and does not say why",
            path.display()
        );
    }
}

#[test]
fn names_say_what_a_thing_is() {
    for path in ["engine", "adapters", "plugins", "tests", "clients"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
    {
        for (number, line) in read(&path).lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let defines = words
                .by_ref()
                .find(|word| ["struct", "enum", "trait", "mod"].contains(word))
                .is_some();
            let name = words.next().unwrap_or_default();
            let code = !line.trim_start().starts_with("//") && !line.contains('"');
            let empty = EMPTY_NAMES
                .iter()
                .any(|empty| name.ends_with(empty) || name == empty.to_lowercase());
            assert!(
                !(defines && code && empty),
                "{}:{}: {name}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn no_test_sleeps() {
    // Put together here so that this file does not contain them.
    let sleeps = [
        concat!("thread::", "sleep"),
        concat!("time::", "sleep"),
        concat!("sleep", "(Duration"),
    ];
    let outside = files("tests", ".rs");
    let inside = files("engine", ".rs").into_iter().filter(|path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        name == "tests.rs"
            || name.ends_with("_tests.rs")
            || path.components().any(|part| part.as_os_str() == "tests")
    });
    for path in outside.into_iter().chain(inside) {
        let text = read(&path);
        for sleep in sleeps {
            assert!(!text.contains(sleep), "{} has {sleep}", path.display());
        }
    }
}

/// The documents that strangers read.
fn documents() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from);
    top.into_iter()
        .filter(|path| root().join(path).is_file())
        .chain(files("docs", ".md"))
        .chain(files("clients", ".md"))
        .collect()
}

/// The texts between single backticks outside of code blocks.
fn quoted(document: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn documents_name_only_paths_that_exist() {
    let folders = [
        "engine/",
        "adapters/",
        "plugins/",
        "clients/",
        "wit/",
        "docs/",
        "tests/",
        "bench/",
    ];
    let documents = documents();
    assert!(!documents.is_empty(), "there is a README.md");
    for document in documents {
        for text in quoted(&read(&document)) {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
            let in_a_folder = folders.iter().any(|folder| text.starts_with(folder));
            let at_the_top =
                !text.contains('/') && [".md", ".toml"].iter().any(|ending| text.ends_with(ending));
            if !plain || !(in_a_folder || at_the_top) || text == "heddle.toml" {
                continue;
            }
            let beside = document
                .parent()
                .expect("a document lies in a folder")
                .join(&text);
            let exists = root().join(&text).exists() || root().join(beside).exists();
            assert!(exists, "{} names {text}, which is not there", document.display());
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
        {
            let target = link.split(['#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains(':') {
                continue;
            }
            let beside = document
                .parent()
                .expect("a document lies in a folder")
                .join(target);
            assert!(
                root().join(&beside).exists(),
                "{} links to {target}",
                document.display()
            );
        }
    }
}

#[test]
fn every_fault_that_is_described_is_played_by_a_test_that_is_there() {
    let page = read(Path::new("docs/failures.md"));
    let sources: String = files("tests/suite", ".rs")
        .iter()
        .map(|path| read(path))
        .collect();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| What happens"));
    let mut named = 0;
    for row in rows {
        let last = row
            .trim_end_matches([' ', '|'])
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        let tests: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test plays: {row}");
        for test in tests {
            assert!(
                sources.contains(&format!("fn {test}()")),
                "docs/failures.md names {test}, which is no test"
            );
            named += 1;
        }
    }
    assert!(named > 10, "the table was found");
}
