//! What `docs/access.md` says against what the code does.

use heddle_core::session::{Role, SessionType};

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/access.md");

/// The rows of the table below a heading, as the cells' texts without their backticks.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = document
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"))
        .1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    })
    .collect()
}

#[test]
fn the_document_names_every_permission_in_order() {
    let words: Vec<String> = table(DOCUMENT, "Permissions")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let ours: Vec<&str> = Permission::ALL
        .iter()
        .map(|permission| permission.as_str())
        .collect();
    assert_eq!(words, ours);
}

#[test]
fn the_document_names_every_route_with_its_permission() {
    let ours: Vec<Vec<String>> = routes()
        .iter()
        .map(|route| {
            let more = if route.access == Access::Ingestion {
                ", or a publishable key"
            } else {
                ""
            };
            vec![
                format!("{} {}", route.method, route.path),
                format!("{}{more}", route.access.permission()),
            ]
        })
        .collect();
    let documented = table(DOCUMENT, "Routes");
    for row in &ours {
        assert!(
            documented.contains(row),
            "docs/access.md lacks | `{}` | `{}` |",
            row[0],
            row[1]
        );
    }
    for row in &documented {
        assert!(
            ours.contains(row),
            "docs/access.md has a route that is not there: {row:?}"
        );
    }
}

#[test]
fn the_document_names_what_each_session_may() {
    let mut ours = Vec::new();
    for kind in SessionType::ALL {
        for role in Role::ALL {
            let words: Vec<&str> = session_access::by_role(*kind, *role)
                .iter()
                .map(Permission::as_str)
                .collect();
            ours.push(vec![
                kind.as_str().to_owned(),
                role.as_str().to_owned(),
                words.join(", "),
            ]);
        }
    }
    let document = include_str!("../../../docs/sessions.md");
    assert_eq!(table(document, "What it opens"), ours);
}
