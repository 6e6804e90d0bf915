//! Plugins by name: bundled ones, and files that come, change and go.

use std::fs;
use std::path::Path;

use heddle_core::exchange::Function;
use heddle_sandbox::{Changes, Patience, Registry};

use crate::guests::{Guest, manifest, sandbox};

fn bundled(name: &str) -> (&'static str, &'static [u8]) {
    (name.to_owned().leak(), Guest::polite(name).wasm().leak())
}

fn registry(home: &Path) -> Registry {
    Registry::new(
        sandbox(),
        &[bundled("slack"), bundled("webhook")],
        Some(home.to_owned()),
    )
    .unwrap()
}

fn names(registry: &Registry) -> Vec<String> {
    registry
        .all()
        .iter()
        .map(|plugin| plugin.manifest().name.clone())
        .collect()
}

fn install(home: &Path, file: &str, guest: &Guest) {
    fs::write(home.join(file), guest.wasm()).unwrap();
}

/// The same plugin in a file of another size.
fn retitled(name: &str, title: &str) -> Guest {
    Guest {
        manifest: manifest(name).replace("\"Acme\"", &format!("{title:?}")),
        ..Guest::polite(name)
    }
}

#[test]
fn files_beside_the_bundled_plugins_are_plugins_like_them() {
    let home = tempfile::tempdir().unwrap();
    install(home.path(), "acme.wasm", &Guest::polite("acme"));
    install(home.path(), ".draft.wasm", &Guest::polite("draft"));
    fs::write(home.path().join("notes.txt"), "not a plugin").unwrap();
    fs::create_dir(home.path().join("folder.wasm")).unwrap();
    let registry = registry(home.path());
    assert_eq!(names(&registry), ["acme", "slack", "webhook"]);
    assert!(registry.broken().is_empty());
    assert_eq!(registry.get("acme").unwrap().origin(), "acme.wasm");
    assert_eq!(registry.get("slack").unwrap().origin(), "bundled:slack");
    assert!(registry.get("nobody").is_none());
    assert!(registry.rescan().is_empty());
}

#[test]
fn a_broken_file_is_reported_by_name_and_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("broken.wasm"), "garbage").unwrap();
    install(
        home.path(),
        "trap.wasm",
        &Guest {
            describe: "(unreachable)".into(),
            ..Guest::polite("trap")
        },
    );
    install(home.path(), "acme.wasm", &Guest::polite("acme"));
    let registry = registry(home.path());
    assert_eq!(names(&registry), ["acme", "slack", "webhook"]);
    let broken = registry.broken();
    assert_eq!(
        broken.iter().map(|(file, _)| file.as_str()).collect::<Vec<_>>(),
        ["broken.wasm", "trap.wasm"]
    );
    assert!(broken[0].1.contains("not a WebAssembly component"), "{broken:?}");
    assert!(broken[1].1.contains("describe"), "{broken:?}");
}

#[test]
fn a_file_cannot_take_a_bundled_plugins_name_nor_another_files() {
    let home = tempfile::tempdir().unwrap();
    install(home.path(), "a.wasm", &Guest::polite("acme"));
    install(home.path(), "b.wasm", &retitled("acme", "Another Acme"));
    install(home.path(), "slack.wasm", &Guest::polite("slack"));
    let registry = registry(home.path());
    assert_eq!(registry.get("slack").unwrap().origin(), "bundled:slack");
    assert_eq!(registry.get("acme").unwrap().origin(), "a.wasm");
    let broken = registry.broken();
    assert_eq!(broken.len(), 2);
    assert!(
        broken[0]
            .1
            .contains("\"b.wasm\" calls itself \"acme\", which is the name of a.wasm"),
        "{broken:?}"
    );
    assert!(
        broken[1].1.contains("which is the name of bundled:slack"),
        "{broken:?}"
    );

    fs::remove_file(home.path().join("a.wasm")).unwrap();
    let changes = registry.rescan();
    assert_eq!(changes.changed, ["acme"]);
    assert_eq!(changes.mended, ["b.wasm"]);
    assert_eq!(registry.get("acme").unwrap().manifest().title, "Another Acme");
}

#[test]
fn files_that_come_change_and_go_are_noticed() {
    let home = tempfile::tempdir().unwrap();
    let plugins = home.path().join("plugins");
    let registry = registry(&plugins);
    assert_eq!(names(&registry), ["slack", "webhook"]);

    fs::create_dir(&plugins).unwrap();
    install(&plugins, "acme.wasm", &Guest::polite("acme"));
    let added = Changes {
        added: vec!["acme".into()],
        ..Changes::default()
    };
    assert_eq!(registry.rescan(), added);
    let held = registry.get("acme").unwrap();

    install(&plugins, "acme.wasm", &retitled("acme", "Acme, second edition"));
    let changed = Changes {
        changed: vec!["acme".into()],
        ..Changes::default()
    };
    assert_eq!(registry.rescan(), changed);
    assert_eq!(
        registry.get("acme").unwrap().manifest().title,
        "Acme, second edition"
    );
    assert!(registry.rescan().is_empty());

    fs::remove_file(plugins.join("acme.wasm")).unwrap();
    let removed = Changes {
        removed: vec!["acme".into()],
        ..Changes::default()
    };
    assert_eq!(registry.rescan(), removed);
    assert!(registry.get("acme").is_none());

    // Whoever holds a plugin keeps it.
    assert_eq!(held.manifest().title, "Acme");
    assert!(
        held.call(Function::Deliver, "{}", &[], Patience::Full)
            .unwrap()
            .is_ok()
    );
}

#[test]
fn a_failed_update_leaves_the_version_before_it_in_use() {
    let home = tempfile::tempdir().unwrap();
    install(home.path(), "acme.wasm", &Guest::polite("acme"));
    let registry = registry(home.path());
    let half = &Guest::polite("acme").wasm()[..500];
    fs::write(home.path().join("acme.wasm"), half).unwrap();
    assert_eq!(
        registry.rescan(),
        Changes {
            broken: vec!["acme.wasm".into()],
            ..Changes::default()
        }
    );
    assert!(
        registry.broken()[0]
            .1
            .ends_with("; the version before it stays in use")
    );
    assert!(registry.get("acme").is_some());

    install(home.path(), "acme.wasm", &retitled("acme", "Whole again"));
    let changes = registry.rescan();
    assert_eq!(
        (changes.changed, changes.mended),
        (vec!["acme".to_owned()], vec!["acme.wasm".to_owned()])
    );
}

#[test]
fn a_bundled_plugin_that_cannot_be_used_is_an_error() {
    let broken: (&'static str, &'static [u8]) = ("slack", b"garbage");
    let error = Registry::new(sandbox(), &[broken], None).err().unwrap();
    assert!(
        error.to_string().starts_with("plugin \"bundled:slack\" "),
        "{error}"
    );
    let misnamed = ("slack", bundled("webhook").1);
    let error = Registry::new(sandbox(), &[misnamed], None).err().unwrap();
    assert!(error.to_string().contains("calls itself \"webhook\""), "{error}");
}
