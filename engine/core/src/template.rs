//! `{{path.to.field}}` in a text, filled from the payload's root, escaped for where it lands.
//!
//! Plugins have the same function through the SDK; this one is the reference and serves the host.
//! A path that leads nowhere, or to `null`, renders as nothing. Objects and arrays render as their
//! JSON. Numbers render as JSON readers spell them: `1.10` becomes `1.1`.

use serde_json::Value;

/// The longest text that a template may render to, in bytes.
pub const MAX_RENDERED_BYTES: usize = 256 * 1024;

/// What a rendered value must not be able to break.
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

/// A template that cannot be rendered, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("the placeholder that starts at byte {0} has no closing }}}}")]
    Unclosed(usize),
    /// Not a dot path.
    #[error("{{{{{0}}}}} is not a path: write names joined by dots, such as {{{{user.name}}}}")]
    Path(String),
    /// Longer than [`MAX_RENDERED_BYTES`].
    #[error("the text would be longer than {MAX_RENDERED_BYTES} bytes")]
    TooLong,
}

/// Renders `template` from the root of `payload`.
pub fn render(template: &str, payload: &Value, escape: Escape) -> Result<String, TemplateError> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let offset = template.len() - rest.len() + start;
        let end = rest[start..].find("}}").ok_or(TemplateError::Unclosed(offset))? + start;
        let path = rest[start + 2..end].trim();
        rendered.push_str(&rest[..start]);
        push_escaped(&mut rendered, &text_of(look_up(payload, path)?), escape);
        rest = &rest[end + 2..];
        if rendered.len() > MAX_RENDERED_BYTES {
            return Err(TemplateError::TooLong);
        }
    }
    rendered.push_str(rest);
    if rendered.len() > MAX_RENDERED_BYTES {
        Err(TemplateError::TooLong)
    } else {
        Ok(rendered)
    }
}

/// The value at a dot path; numbers step into arrays.
fn look_up<'a>(payload: &'a Value, path: &str) -> Result<Option<&'a Value>, TemplateError> {
    let mut value = Some(payload);
    for name in path.split('.') {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(TemplateError::Path(path.chars().take(64).collect()));
        }
        value = match value {
            Some(Value::Object(members)) => members.get(name),
            Some(Value::Array(items)) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
    }
    Ok(value)
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn push_escaped(out: &mut String, text: &str, escape: Escape) {
    for c in text.chars() {
        match (escape, c) {
            (Escape::None, _) => out.push(c),
            (Escape::Html | Escape::SlackMrkdwn, '&') => out.push_str("&amp;"),
            (Escape::Html | Escape::SlackMrkdwn, '<') => out.push_str("&lt;"),
            (Escape::Html | Escape::SlackMrkdwn, '>') => out.push_str("&gt;"),
            (Escape::Html, '"') => out.push_str("&quot;"),
            (Escape::Html, '\'') => out.push_str("&#39;"),
            (Escape::Html | Escape::SlackMrkdwn, _) => out.push(c),
            (Escape::Markdown, _) => {
                if "\\`*_{}[]()<>#+-.!|~@:".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            (Escape::UrlPart, _) if c.is_ascii_alphanumeric() || "-._~".contains(c) => out.push(c),
            (Escape::UrlPart, _) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn placeholders_are_filled_from_the_payload() {
        let payload =
            json!({"user": {"name": "Nina", "tags": ["a", "b"]}, "n": 62, "none": null, "o": {"k": 1}});
        let cases = [
            ("Hi {{user.name}}!", "Hi Nina!"),
            ("{{ user.name }}{{n}}", "Nina62"),
            ("{{user.tags.1}}", "b"),
            ("[{{missing}}{{none}}{{user.tags.9}}{{n.x}}]", "[]"),
            ("{{o}}", "{\"k\":1}"),
            ("{ {user}} }}", "{ {user}} }}"),
            ("", ""),
        ];
        for (template, expected) in cases {
            assert_eq!(
                render(template, &payload, Escape::None).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn values_are_escaped_for_where_they_land_and_the_template_is_not() {
        let payload = json!({"x": "<!channel> & \"a\" *b* @all/é"});
        let cases = [
            (
                Escape::Html,
                "<b>&lt;!channel&gt; &amp; &quot;a&quot; *b* @all/é</b>",
            ),
            (
                Escape::SlackMrkdwn,
                "<b>&lt;!channel&gt; &amp; \"a\" *b* @all/é</b>",
            ),
            (
                Escape::Markdown,
                "<b>\\<\\!channel\\> & \"a\" \\*b\\* \\@all/é</b>",
            ),
            (
                Escape::UrlPart,
                "<b>%3C%21channel%3E%20%26%20%22a%22%20%2Ab%2A%20%40all%2F%C3%A9</b>",
            ),
        ];
        for (escape, expected) in cases {
            assert_eq!(
                render("<b>{{x}}</b>", &payload, escape).as_deref(),
                Ok(expected),
                "{escape:?}"
            );
        }
    }

    #[test]
    fn what_is_not_a_template_is_refused_with_the_place() {
        assert_eq!(
            render("ab{{x", &json!({}), Escape::None),
            Err(TemplateError::Unclosed(2))
        );
        for bad in ["{{}}", "{{a..b}}", "{{a b}}", "{{#if x}}", "{{.}}"] {
            let error = render(bad, &json!({}), Escape::None).unwrap_err();
            assert!(matches!(error, TemplateError::Path(_)), "{bad}: {error}");
        }
        let long = json!({"x": "y".repeat(1000)});
        assert_eq!(
            render(&"{{x}}".repeat(1000), &long, Escape::None),
            Err(TemplateError::TooLong)
        );
    }

    /// The SDK renders by the same table.
    #[test]
    fn templates_render_as_the_shared_table_says() {
        let table = include_str!("../../../plugins/sdk-rust/tests/templates.json");
        let table: Value = serde_json::from_str(table).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let escape = match case["escape"].as_str().unwrap() {
                "none" => Escape::None,
                "html" => Escape::Html,
                "slack_mrkdwn" => Escape::SlackMrkdwn,
                "markdown" => Escape::Markdown,
                "url_part" => Escape::UrlPart,
                other => panic!("unknown escape {other}"),
            };
            let rendered = render(case["template"].as_str().unwrap(), &table["payload"], escape).ok();
            assert_eq!(rendered.as_deref(), case["rendered"].as_str(), "{case}");
        }
    }

    proptest! {
        #[test]
        fn no_template_panics(template in ".{0,80}", value in ".{0,20}") {
            let _ = render(&template, &json!({"a": value}), Escape::Markdown);
        }

        #[test]
        fn a_value_cannot_open_a_mention_or_a_tag(value in ".{0,40}") {
            let rendered = render("{{a}}", &json!({"a": value}), Escape::SlackMrkdwn).unwrap();
            prop_assert!(!rendered.contains(['<', '>']));
        }
    }
}
