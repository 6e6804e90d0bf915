//! The reference at `/docs`: the document as one page that reads without a script.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = include_str!("page.css");

/// The page of a document.
pub fn page(document: &Value) -> String {
    let mut html = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = write!(
        html,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Heddle API {version}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">To the operations</a>\n",
        version = escaped(text(&document["info"]["version"])),
    );
    navigation(&mut html, document);
    let _ = write!(
        html,
        "<main id=\"main\">\n<h1>Heddle API <small>{}</small></h1>\n<p>{}</p>\n\
         <p>Everything here is below the server's own address. For programs: <a href=\"/openapi.json\">openapi.json</a>.</p>\n",
        escaped(text(&document["info"]["version"])),
        escaped(text(&document["info"]["description"])),
    );
    credentials(&mut html, document);
    for tag in list(&document["tags"]) {
        let operations = of_tag(document, text(&tag["name"]));
        if operations.is_empty() {
            continue;
        }
        let name = escaped(text(&tag["name"]));
        let _ = write!(
            html,
            "<section aria-labelledby=\"{name}\">\n<h2 id=\"{name}\">{name}</h2>\n<p>{}</p>\n",
            escaped(text(&tag["description"]))
        );
        for (method, path, operation) in operations {
            one(&mut html, document, method, path, operation);
        }
        html.push_str("</section>\n");
    }
    schemas(&mut html, document);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

/// As [`escaped`], with what stands between backquotes as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => html.push_str(&escaped(part)),
            _ => {
                let _ = write!(html, "<code>{}</code>", escaped(part));
            }
        }
    }
    html
}

fn of_tag<'a>(document: &'a Value, tag: &str) -> Vec<(&'a String, &'a String, &'a Value)> {
    let mut found = Vec::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            if list(&operation["tags"]).iter().any(|name| name == tag) {
                found.push((method, path, operation));
            }
        }
    }
    found
}

fn navigation(html: &mut String, document: &Value) {
    html.push_str(
        "<nav aria-label=\"Operations\">\n<p class=\"brand\"><a href=\"#main\">Heddle API</a></p>\n",
    );
    for tag in list(&document["tags"]) {
        let operations = of_tag(document, text(&tag["name"]));
        if operations.is_empty() {
            continue;
        }
        let name = escaped(text(&tag["name"]));
        let _ = write!(html, "<p><a href=\"#{name}\">{name}</a></p>\n<ul>\n");
        for (method, _, operation) in operations {
            let _ = writeln!(
                html,
                "<li><a href=\"#{}\"><span class=\"method {method}\">{method}</span> {}</a></li>",
                escaped(text(&operation["operationId"])),
                escaped(text(&operation["summary"])),
            );
        }
        html.push_str("</ul>\n");
    }
    html.push_str("<p><a href=\"#Shapes\">Shapes</a></p>\n</nav>\n");
}

fn credentials(html: &mut String, document: &Value) {
    html.push_str("<h2 id=\"Credentials\">Credentials</h2>\n<dl>\n");
    for (name, scheme) in members(&document["components"]["securitySchemes"]) {
        let header = match text(&scheme["name"]) {
            "" => "Authorization: Bearer …".to_owned(),
            header => format!("{header}: …"),
        };
        let _ = writeln!(
            html,
            "<dt>{} <code>{}</code></dt><dd>{}</dd>",
            escaped(&name.replace('_', " ")),
            escaped(&header),
            prose(text(&scheme["description"]))
        );
    }
    html.push_str("</dl>\n");
}

fn one(html: &mut String, document: &Value, method: &str, path: &str, operation: &Value) {
    let id = escaped(text(&operation["operationId"]));
    let _ = write!(
        html,
        "<article id=\"{id}\">\n<h3><a href=\"#{id}\">{}</a></h3>\n\
         <p class=\"line\"><span class=\"method {method}\">{method}</span> <code>{}</code></p>\n<p>{}</p>\n",
        escaped(text(&operation["summary"])),
        escaped(path),
        prose(text(&operation["description"]).trim()),
    );
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        html.push_str("<table>\n<caption>Parameters</caption>\n<tr><th scope=\"col\">Name</th><th scope=\"col\">In</th><th scope=\"col\">What it is</th></tr>\n");
        for parameter in parameters {
            let _ = writeln!(
                html,
                "<tr><td><code>{}</code></td><td>{}</td><td>{} <span class=\"kind\">{}</span></td></tr>",
                escaped(text(&parameter["name"])),
                escaped(text(&parameter["in"])),
                prose(text(&parameter["description"])),
                kind(&parameter["schema"])
            );
        }
        html.push_str("</table>\n");
    }
    let body = &operation["requestBody"]["content"]["application/json"];
    if body.is_object() {
        let _ = writeln!(html, "<h4>Body: {}</h4>", kind(&body["schema"]));
        members_of(html, document, &body["schema"]);
        example(html, &body["example"]);
    }
    html.push_str("<h4>Answers</h4>\n<dl class=\"answers\">\n");
    for (status, response) in members(&operation["responses"]) {
        let content = &response["content"]["application/json"];
        let _ = writeln!(
            html,
            "<dt><code>{}</code> {}</dt><dd>{}</dd>",
            escaped(status),
            kind(&content["schema"]),
            prose(text(&response["description"]))
        );
        if status.starts_with('2') && content["example"].is_object() {
            html.push_str("<dd>");
            example(html, &content["example"]);
            html.push_str("</dd>");
        }
    }
    html.push_str("</dl>\n</article>\n");
}

fn example(html: &mut String, example: &Value) {
    if !example.is_null() {
        let shown = serde_json::to_string_pretty(example).unwrap_or_default();
        let _ = writeln!(
            html,
            "<pre tabindex=\"0\" aria-label=\"Example\"><code>{}</code></pre>",
            escaped(&shown)
        );
    }
}

/// The members of an object's schema, as a table.
fn members_of(html: &mut String, document: &Value, schema: &Value) {
    let schema = resolved(document, schema);
    let schema = match schema["type"].as_str() {
        Some("array") => resolved(document, &schema["items"]),
        _ => schema,
    };
    let required = list(&schema["required"]);
    let mut rows = String::new();
    for (name, member) in members(&schema["properties"]) {
        let must = required.iter().any(|known| known == name.as_str());
        let _ = writeln!(
            rows,
            "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(name),
            if must { " <strong>required</strong>" } else { "" },
            kind(member),
            prose(text(&member["description"]))
        );
    }
    if !rows.is_empty() {
        let _ = write!(
            html,
            "<table>\n<tr><th scope=\"col\">Member</th><th scope=\"col\">Kind</th><th scope=\"col\">What it is</th></tr>\n{rows}</table>\n"
        );
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

/// A schema in few words, with a link where it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#shape-{0}\">{0}</a>", escaped(name));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(options) = schema[choice].as_array() {
            let options: Vec<String> = options.iter().map(kind).collect();
            return options.join(if choice == "allOf" { " and " } else { " or " });
        }
    }
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        other => text(other).to_owned(),
    };
    let mut words = match name.as_str() {
        "" => String::new(),
        "array" => format!("list of {}", kind(&schema["items"])),
        name => escaped(name),
    };
    if let Some(format) = schema["format"].as_str() {
        let _ = write!(words, ", {}", escaped(format));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("<code>{}</code>", escaped(text(value))))
            .collect();
        let _ = write!(words, ": {}", values.join(" "));
    }
    for (key, name) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "at least characters"),
        ("maxLength", "at most characters"),
        ("default", "default"),
    ] {
        match &schema[key] {
            Value::Null => {}
            value => {
                let _ = write!(words, ", {name} {}", escaped(&value.to_string()));
            }
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let _ = write!(words, ", <code>{}</code>", escaped(pattern));
    }
    words
}

fn schemas(html: &mut String, document: &Value) {
    html.push_str("<section aria-labelledby=\"Shapes\">\n<h2 id=\"Shapes\">Shapes</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escaped(name);
        let _ = write!(
            html,
            "<article id=\"shape-{name}\">\n<h3><a href=\"#shape-{name}\">{name}</a></h3>\n<p>{}</p>\n",
            prose(text(&schema["description"]))
        );
        if members(&schema["properties"]).next().is_some() {
            members_of(html, document, schema);
        } else {
            let _ = writeln!(html, "<p>{}</p>", kind(schema));
        }
        html.push_str("</article>\n");
    }
    html.push_str("</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page_and_every_link_leads_somewhere() {
        let document = crate::openapi::document(&crate::routes());
        let page = page(&document);
        for (_, methods) in members(&document["paths"]) {
            for (_, operation) in members(methods) {
                let id = format!("<article id=\"{}\">", text(&operation["operationId"]));
                assert!(page.contains(&id), "{id}");
            }
        }
        for link in page.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(
                page.contains(&format!("id=\"{target}\"")),
                "#{target} leads nowhere"
            );
        }
    }

    #[test]
    fn what_is_described_cannot_become_markup() {
        assert_eq!(
            prose("a <b> `<i>` & \"c\""),
            "a &lt;b&gt; <code>&lt;i&gt;</code> &amp; &quot;c&quot;"
        );
    }
}
