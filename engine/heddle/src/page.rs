//! A destination's page: what its manifest says, for people who connect it. `heddle plugin page` prints
//! it, and the pages in `docs/destinations` are made of it.

use std::fmt::Write as _;

use heddle_core::manifest::{Action, AuthenticationKind, Field, FieldKind, Manifest, OneOrMany};
use serde_json::Value;

/// The page, in Markdown.
pub fn page(manifest: &Manifest) -> String {
    let mut page = format!("# {}\n\n", manifest.title);
    if !manifest.description.is_empty() {
        line(&mut page, &manifest.description);
    }
    let _ = write!(page, "The connection's `type` is `{}`.", manifest.name);
    if let Some(url) = &manifest.docs_url {
        let _ = write!(page, " The provider's own words: <{url}>.");
    }
    page.push_str("\n\n");
    before(&mut page, manifest);
    connection(&mut page, manifest);
    actions(&mut page, manifest);
    limits(&mut page, manifest);
    hosts(&mut page, manifest);
    page
}

/// A row for each destination, for the index of the pages.
pub fn index<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> String {
    let mut table = String::from("| Destination | `type` | Actions |\n|---|---|---|\n");
    for manifest in manifests {
        let actions: Vec<String> = manifest.actions.keys().map(|key| format!("`{key}`")).collect();
        let _ = writeln!(
            table,
            "| [{}]({1}.md) | `{1}` | {2} |",
            cell(&manifest.title),
            manifest.name,
            actions.join(" ")
        );
    }
    table
}

fn line(page: &mut String, text: &str) {
    let _ = write!(page, "{text}\n\n");
}

fn before(page: &mut String, manifest: &Manifest) {
    if !manifest.setup.is_empty() {
        line(page, "## Before you connect");
        for (number, step) in manifest.setup.iter().enumerate() {
            let _ = writeln!(page, "{}. {step}", number + 1);
        }
        page.push('\n');
    }
    if !manifest.scopes.is_empty() {
        line(page, "The credential must be allowed:");
        page.push_str("| Scope | |\n|---|---|\n");
        for scope in &manifest.scopes {
            let _ = writeln!(page, "| `{}` | {} |", cell(&scope.name), cell(&scope.why));
        }
        page.push('\n');
    }
}

fn connection(page: &mut String, manifest: &Manifest) {
    line(page, "## The connection");
    let fields = &manifest.authentication.fields;
    if fields.is_empty() {
        let nothing = match manifest.authentication.kind {
            AuthenticationKind::Oauth => "Its credential comes from the provider's consent page.",
            _ => "Its `metadata` is empty.",
        };
        return line(page, nothing);
    }
    line(
        page,
        "What its `metadata` holds. Secrets are sealed at rest, never shown again, and never in the sandbox.",
    );
    page.push_str("| Member | | |\n|---|---|---|\n");
    for field in fields {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            field.key,
            demands(field),
            cell(&notes(field))
        );
    }
    page.push('\n');
}

/// Whether it is required, and of what kind it is.
fn demands(field: &Field) -> String {
    let mut demands = Vec::new();
    if field.required {
        demands.push("required");
    }
    if field.kind == FieldKind::Password {
        demands.push("secret");
    }
    if field.generate {
        demands.push("made by Heddle when absent");
    }
    demands.join(", ")
}

fn notes(field: &Field) -> String {
    let mut notes = format!("{}.", field.label.trim_end_matches('.'));
    if let Some(help) = &field.help_text {
        let _ = write!(notes, " {help}");
    }
    if !field.options.is_empty() {
        let options: Vec<String> = field
            .options
            .iter()
            .map(|option| format!("`{}`", option.value))
            .collect();
        let _ = write!(notes, " One of {}.", options.join(", "));
    }
    if let Some(default) = &field.default_value {
        let _ = write!(notes, " Default `{default}`.");
    }
    if let Some(condition) = &field.depends_on {
        let values = match &condition.value {
            OneOrMany::One(value) => format!("`{value}`"),
            OneOrMany::Many(values) => {
                let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                quoted.join(" or ")
            }
        };
        let _ = write!(notes, " Only when `{}` is {values}.", condition.field);
    }
    notes
}

fn actions(page: &mut String, manifest: &Manifest) {
    line(page, "## Actions");
    for (key, action) in &manifest.actions {
        let _ = write!(page, "### {} (`{key}`)\n\n", action.label);
        let description = action
            .display
            .as_ref()
            .and_then(|display| display["description"].as_str());
        if let Some(description) = description {
            line(page, &format!("{}.", description.trim_end_matches('.')));
        }
        inputs(page, action);
        if !action.fields.is_empty() {
            let fields: Vec<String> = action.fields.iter().map(|field| format!("`{field}`")).collect();
            line(
                page,
                &format!(
                    "It needs {}, from the mapping or else from the payload.",
                    fields.join(", ")
                ),
            );
        }
        if let Some(duplicate) = &action.duplicate {
            line(page, &format!("**If it arrives twice:** {duplicate}"));
        }
    }
}

/// What the rule's `metadata` holds beside `action`.
fn inputs(page: &mut String, action: &Action) {
    if action.data.is_empty() {
        return;
    }
    page.push_str("| In the rule's `metadata` | | |\n|---|---|---|\n");
    for input in &action.data {
        input_row(page, input, input["required"] == true);
        // An advanced input has a second part: the option of what was picked.
        let options = &input["options"];
        if options.is_object() {
            input_row(page, options, input["required"] == true);
        }
    }
    page.push('\n');
}

fn input_row(page: &mut String, input: &Value, required: bool) {
    let text = |member: &Value| member.as_str().unwrap_or_default().to_owned();
    let label = match &input["label"] {
        Value::String(label) => label.clone(),
        _ => text(&input["display"]["label"]),
    };
    let mut notes = match label.is_empty() {
        true => String::new(),
        false => format!("{}.", label.trim_end_matches('.')),
    };
    let described = match &input["description"] {
        Value::String(description) => description.clone(),
        _ => text(&input["display"]["description"]),
    };
    if !described.is_empty() {
        let _ = write!(notes, " {}.", described.trim_end_matches('.'));
    }
    if let Some(options) = input["options"].as_array() {
        let values: Vec<String> = options
            .iter()
            .map(|option| format!("`{}`", text(&option["value"])))
            .collect();
        let _ = write!(notes, " One of {}.", values.join(", "));
    }
    if let Some(default) = input["defaultValue"].as_str() {
        let _ = write!(notes, " Default `{default}`.");
    }
    let _ = writeln!(
        page,
        "| `{}` | {} | {} |",
        text(&input["field"]),
        if required { "required" } else { "" },
        cell(&notes)
    );
}

fn limits(page: &mut String, manifest: &Manifest) {
    line(page, "## Limits that Heddle keeps");
    let mut kept = format!("- {} deliveries at once\n", manifest.limits.concurrency);
    for rate in &manifest.limits.rates {
        let time = match rate.per_seconds {
            1 => "second".to_owned(),
            60 => "minute".to_owned(),
            3_600 => "hour".to_owned(),
            86_400 => "day".to_owned(),
            seconds => format!("{seconds} seconds"),
        };
        let requests = match rate.requests {
            1 => "1 request".to_owned(),
            many => format!("{many} requests"),
        };
        let whose = match rate.of.as_slice() {
            [] => String::new(),
            names => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                format!(", for each {}", names.join(" and "))
            }
        };
        let _ = writeln!(kept, "- {requests} in any {time}{whose}");
    }
    kept.push('\n');
    page.push_str(&kept);
    line(
        page,
        "They hold for the account: connections with the same credentials and settings share them.",
    );
}

fn hosts(page: &mut String, manifest: &Manifest) {
    line(page, "## Where it may send");
    for host in &manifest.hosts {
        let _ = writeln!(page, "- `{host}`");
    }
}

/// Text in one cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Set to write the pages instead of comparing them.
    const BLESS: &str = "HEDDLE_BLESS";

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn manifests() -> Vec<Manifest> {
        let mut manifests: Vec<Manifest> = fs::read_dir(root().join("adapters"))
            .unwrap()
            .map(|entry| entry.unwrap().path().join("manifest.json"))
            .filter(|path| path.is_file())
            .map(|path| Manifest::parse(&fs::read_to_string(path).unwrap()).unwrap())
            .collect();
        manifests.sort_by_key(|manifest: &Manifest| manifest.title.to_lowercase());
        manifests
    }

    fn holds(name: &str, text: &str) {
        let path = root().join("docs/destinations").join(name);
        if std::env::var_os(BLESS).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            known == text,
            "docs/destinations/{name} is not what its manifest says; write it with {BLESS}=1 cargo test -p heddle page"
        );
    }

    #[test]
    fn every_bundled_destination_has_its_page_and_is_in_the_index() {
        let manifests = manifests();
        for manifest in &manifests {
            holds(&format!("{}.md", manifest.name), &page(manifest));
        }
        let intro = "# Destinations\n\nWhat comes with Heddle. Each page is made from the destination's manifest, \
                     which `GET /api/v1/integrations` shows to programs. A destination of your own is a plugin: \
                     [writing an adapter](../writing-an-adapter.md).\n\n";
        let actions: usize = manifests.iter().map(|manifest| manifest.actions.len()).sum();
        let index = format!(
            "{intro}{} destinations, {actions} actions.\n\n{}",
            manifests.len(),
            index(&manifests)
        );
        holds("README.md", &index);
    }

    #[test]
    fn every_bundled_destination_tells_what_to_create_and_what_a_duplicate_does() {
        for manifest in manifests() {
            assert!(!manifest.setup.is_empty(), "{} has no setup", manifest.name);
            for (key, action) in &manifest.actions {
                assert!(
                    action.duplicate.is_some(),
                    "{}: {key} has no duplicate",
                    manifest.name
                );
                assert!(
                    action.display.is_some(),
                    "{}: {key} has no display",
                    manifest.name
                );
            }
        }
    }
}
