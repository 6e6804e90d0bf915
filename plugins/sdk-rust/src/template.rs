//! `{{path.to.field}}` in a text, filled from the payload's root, escaped for where it lands.
//!
//! A path that leads nowhere, or to `null`, renders as nothing; objects and arrays render as JSON.
//! The engine has the same function for its own use; `tests/templates.json` holds both to it.

use serde_json::Value;

use crate::Failure;
use crate::url::push_encoded;

/// The longest text that a template may render to, in bytes.
pub const MAX_RENDERED_BYTES: usize = 256 * 1024;

/// What a rendered value must not be able to break. The template's own text is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Nothing: plain text.
    None,
    /// HTML text and attribute values.
    Html,
    /// Slack's mrkdwn: `& < >`, which would start a mention or a link.
    SlackMrkdwn,
    /// Discord's and common Markdown: the punctuation that formats, links or mentions.
    Markdown,
    /// One part of a URL: everything but RFC 3986's unreserved characters is percent-encoded.
    UrlPart,
}

/// Renders `template` from the root of `payload`. What is not a template is a mapping failure that
/// says where.
pub fn render(template: &str, payload: &Value, escape: Escape) -> Result<String, Failure> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else {
            let offset = template.len() - rest.len() + start;
            return Err(Failure::mapping(format!(
                "the placeholder at byte {offset} of the template is not closed"
            )));
        };
        rendered.push_str(&rest[..start]);
        let path = rest[start + 2..start + length].trim();
        match look_up(payload, path)? {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => push_escaped(&mut rendered, text, escape),
            Some(other) => push_escaped(&mut rendered, &other.to_string(), escape),
        }
        rest = &rest[start + length + 2..];
        within_limit(&rendered)?;
    }
    rendered.push_str(rest);
    within_limit(&rendered)?;
    Ok(rendered)
}

fn within_limit(rendered: &str) -> Result<(), Failure> {
    if rendered.len() > MAX_RENDERED_BYTES {
        return Err(Failure::mapping(format!(
            "the text would be longer than {MAX_RENDERED_BYTES} bytes"
        )));
    }
    Ok(())
}

/// The value at a dot path; numbers step into arrays.
fn look_up<'a>(payload: &'a Value, path: &str) -> Result<Option<&'a Value>, Failure> {
    let mut value = Some(payload);
    for name in path.split('.') {
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "_-$@".contains(c)) {
            let shown: String = path.chars().take(64).collect();
            let hint = "write names joined by dots, such as {{user.name}}";
            return Err(Failure::mapping(format!(
                "{{{{{shown}}}}} in the template is not a path: {hint}"
            )));
        }
        value = match value {
            Some(Value::Object(members)) => members.get(name),
            Some(Value::Array(items)) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
    }
    Ok(value)
}

fn push_escaped(out: &mut String, text: &str, escape: Escape) {
    if escape == Escape::UrlPart {
        return push_encoded(out, text);
    }
    for c in text.chars() {
        match (escape, c) {
            (Escape::Html | Escape::SlackMrkdwn, '&') => out.push_str("&amp;"),
            (Escape::Html | Escape::SlackMrkdwn, '<') => out.push_str("&lt;"),
            (Escape::Html | Escape::SlackMrkdwn, '>') => out.push_str("&gt;"),
            (Escape::Html, '"') => out.push_str("&quot;"),
            (Escape::Html, '\'') => out.push_str("&#39;"),
            (Escape::Markdown, _) if "\\`*_{}[]()<>#+-.!|~@:".contains(c) => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read by the engine's own tests too.
    #[test]
    fn templates_render_as_the_shared_table_says() {
        let table: Value = serde_json::from_str(include_str!("../tests/templates.json")).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let escape = match case["escape"].as_str().unwrap() {
                "none" => Escape::None,
                "html" => Escape::Html,
                "slack_mrkdwn" => Escape::SlackMrkdwn,
                "markdown" => Escape::Markdown,
                "url_part" => Escape::UrlPart,
                other => panic!("unknown escape {other}"),
            };
            let rendered = render(case["template"].as_str().unwrap(), &table["payload"], escape);
            assert_eq!(rendered.as_deref().ok(), case["rendered"].as_str(), "{case}");
        }
    }

    #[test]
    fn a_rendered_text_is_bounded() {
        let payload = serde_json::json!({"x": "y".repeat(1000)});
        assert!(render(&"{{x}}".repeat(1000), &payload, Escape::None).is_err());
    }
}
