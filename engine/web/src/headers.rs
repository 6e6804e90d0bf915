//! Headers that a connection sends with every request: which it may set, and which would stand in the
//! way of those that carry its credential.

use heddle_core::manifest::{Apply, FieldFormat, Manifest};
use serde_json::{Map, Value};

use crate::error::Problem;
use crate::settings::{MAX_VALUE_BYTES, Parted};

/// The most headers of a connection.
const MAX_HEADERS: usize = 5;

/// Names that a connection cannot use, beside those that begin with [`RESERVED_PREFIXES`]: those that
/// frame the message, and those that Heddle answers for.
const RESERVED: [&str; 20] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];

const RESERVED_PREFIXES: [&str; 5] = ["webhook-", "x-meshes-", "x-heddle-", "x-forwarded-", "proxy-"];

/// Headers as an object of names to values, whichever of the two ways they were sent in.
pub fn read(value: &Value) -> Result<Value, String> {
    const FORM: &str = "must be an object of header names to values, or a list of {name, value}";
    let pairs: Vec<(&str, &str)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Some((name.as_str(), value.as_str()?)))
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| Some((item.get("name")?.as_str()?, item.get("value")?.as_str()?)))
            .collect(),
        _ => None,
    }
    .ok_or(FORM)?;
    if pairs.len() > MAX_HEADERS {
        return Err(format!("must have at most {MAX_HEADERS} headers"));
    }
    let mut headers = Map::new();
    for (name, value) in pairs {
        check(name, value)?;
        if headers.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!("has the header {name} twice"));
        }
        headers.insert(name.to_owned(), value.into());
    }
    Ok(Value::Object(headers))
}

fn check(name: &str, value: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err("has a header whose name is none".into());
    }
    if is_reserved(name) {
        return Err(format!("must not set the reserved header {name}"));
    }
    if value.len() > MAX_VALUE_BYTES || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!(
            "has a value of the header {name} that is not printable ASCII of at most {MAX_VALUE_BYTES} bytes"
        ));
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Where the connection's headers and those of its credentials get in each other's way, or a
/// credential's own name is reserved.
pub fn conflicts(manifest: &Manifest, parted: &Parted) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut taken = Vec::new();
    let in_force = manifest.credentials.iter().filter(|credential| {
        parted.secrets.contains_key(&credential.field)
            && credential
                .when
                .as_ref()
                .is_none_or(|condition| condition.is_met(&parted.settings))
    });
    for credential in in_force {
        let (template, may_be_ours) = match &credential.apply {
            Apply::Bearer | Apply::Basic { .. } | Apply::BasicUser => ("Authorization", false),
            Apply::Header { header, .. } => (header.as_str(), false),
            // The contract's own default is X-Meshes-Signature.
            Apply::Hmac { header, .. } => (header.as_str(), true),
            _ => continue,
        };
        let name = fill(template, &parted.settings);
        let ours = may_be_ours && name.to_ascii_lowercase().starts_with("x-meshes-");
        if let Some(setting) = template.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && is_reserved(&name)
            && !ours
        {
            problems.push(Problem::new(
                format!("metadata.{setting}"),
                format!("must not be the reserved {name}"),
            ));
        }
        if taken
            .iter()
            .any(|other: &String| other.eq_ignore_ascii_case(&name))
        {
            let setting = template.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            problems.push(Problem::new(
                format!("metadata.{}", setting.unwrap_or(&credential.field)),
                format!("must not be {name}, which another credential sets"),
            ));
        }
        taken.push(name);
    }
    for field in manifest
        .authentication
        .fields
        .iter()
        .filter(|field| field.format == FieldFormat::Headers)
    {
        let sealed = || serde_json::from_str(parted.secrets.get(&field.key)?.reveal()).ok();
        let Some(Value::Object(headers)) = parted.settings.get(&field.key).cloned().or_else(sealed) else {
            continue;
        };
        let is_taken = |name: &&String| taken.iter().any(|taken| taken.eq_ignore_ascii_case(name));
        for name in headers.keys().filter(is_taken) {
            let msg = format!("must not set {name}, which carries the credential or the signature");
            problems.push(Problem::new(format!("metadata.{}", field.key), msg));
        }
    }
    problems
}

/// The template with `{setting}` filled in, with nothing where it is absent.
fn fill(template: &str, settings: &Map<String, Value>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((key, behind)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        filled.push_str(settings.get(key).and_then(Value::as_str).unwrap_or_default());
        rest = behind;
    }
    filled.push_str(rest);
    filled
}
