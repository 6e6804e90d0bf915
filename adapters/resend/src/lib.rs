//! E-mail by Resend, and contacts in its segments: <https://resend.com/docs/api-reference/introduction>.
//!
//! A duplicate of an e-mail within 24 hours is dropped by Resend, by the `Idempotency-Key`, which is the
//! delivery's id; later it is sent again. A duplicate of a change of segments changes nothing: contacts
//! are updated by their address, and being in a segment twice is being in it.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;
use heddle_sdk::template::render;
use heddle_sdk::{Mailbox, serde_json};

mod catalog;

const API: &str = "https://api.resend.com";

/// The destination.
pub struct Resend;

impl Adapter for Resend {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_segment" => add_to_segment(delivery, http),
            "remove_from_segment" => remove_from_segment(delivery, http),
            "send_email_template" => send(delivery, by_template(delivery)?, http),
            "send_email" => send(delivery, by_body(delivery)?, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Looks at one of the account's domains. A key that may only send is refused that, and works.
    fn check(_: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let reply = call(http, Request::get(format!("{API}/domains")).query("limit", "1"))?;
        if may_only_send(&reply) {
            return Ok(Account::unnamed(
                "the key may send e-mail; segments and lists to pick from need one with full access",
            ));
        }
        Ok(match text_at(&answer(&reply)?, "/data/0/name") {
            Ok(domain) => Account::named(domain),
            Err(_) => Account::unnamed("Resend accepts the key; the account has no domain yet"),
        })
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        match query.action.as_str() {
            "add_to_segment" | "remove_from_segment" => catalog::segments(query, http),
            "send_email_template" => catalog::templates(query, http),
            _ => Ok(Choices::default()),
        }
    }

    fn fields(_: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(http)
    }
}

heddle_sdk::export!(Resend);

fn add_to_segment(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (segment, email) = (delivery.input("id")?, delivery.email()?);
    let member = url!("https://api.resend.com/contacts/{}/segments/{}", email, segment)?;
    upsert(delivery, &email, http)?;
    let added = call(http, Request::post(member))?;
    // 409: it was there already.
    if added.status != 409 {
        answer(&added)?;
    }
    Ok(Receipt::new(format!("the contact is in segment {segment}")))
}

/// Creates or updates the contact with the mapped fields.
fn upsert(delivery: &Delivery, email: &str, http: &mut Http) -> Result<(), Stop> {
    let url = url!("https://api.resend.com/contacts/{}", email)?;
    let mut contact = contact(delivery);
    let look = if contact.is_empty() {
        Request::get(url)
    } else {
        Request::patch(url).json(&Value::Object(contact.clone()))
    };
    let found = call(http, look)?;
    if found.status != 404 {
        answer(&found)?;
        return Ok(());
    }
    contact.insert("email".into(), email.into());
    let create = Request::post(format!("{API}/contacts")).json(&Value::Object(contact));
    answer(&call(http, create)?)?;
    Ok(())
}

/// What the mapping and the payload say of the contact, without its address.
fn contact(delivery: &Delivery) -> Map<String, Value> {
    let person = delivery.person();
    let fields = delivery.fields_or([("first_name", person.first_name), ("last_name", person.last_name)]);
    let mut contact = Map::new();
    let mut properties = Map::new();
    for (key, value) in fields {
        match key.as_str() {
            _ if value.is_null() => {}
            "email" => {}
            key if key.starts_with("template_variables") => {}
            // Somebody who opted out stays so, unless the rule says that they asked to be back.
            "unsubscribed" if value == false && !delivery.is_on("resubscribe") => {}
            "first_name" | "last_name" | "unsubscribed" => {
                contact.insert(key, value);
            }
            _ => {
                properties.insert(key, value);
            }
        }
    }
    if !properties.is_empty() {
        contact.insert("properties".into(), properties.into());
    }
    contact
}

fn remove_from_segment(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (segment, email) = (delivery.input("id")?, delivery.email()?);
    let member = url!("https://api.resend.com/contacts/{}/segments/{}", email, segment)?;
    let removed = call(http, Request::delete(member))?;
    if removed.status == 404 {
        return Ok(Receipt::new(format!("nobody to remove from segment {segment}")));
    }
    answer(&removed)?;
    Ok(Receipt::new(format!("the contact is not in segment {segment}")))
}

/// A template that Resend keeps; what the rule does not say is as the template says.
fn by_template(delivery: &Delivery) -> Result<Map<String, Value>, Failure> {
    let template = json!({"id": delivery.input("id")?, "variables": variables(delivery)?});
    let mut email = Map::from_iter([("template".to_owned(), template)]);
    if let Some(subject) = delivery.line("subject")? {
        email.insert("subject".into(), subject.into());
    }
    if let Some(from) = delivery.optional_input("from") {
        email.insert("from".into(), sender(&from)?.into());
    }
    Ok(email)
}

fn by_body(delivery: &Delivery) -> Result<Map<String, Value>, Failure> {
    let subject = delivery.line("subject")?;
    let subject = subject.ok_or_else(|| Failure::mapping("the rule's \"subject\" is missing or empty"))?;
    Ok(Map::from_iter([
        ("from".into(), sender(&delivery.input("from")?)?.into()),
        ("subject".into(), subject.into()),
        ("html".into(), delivery.html("body")?.into()),
    ]))
}

/// Resend reads the text itself, so it only has to be a sender.
fn sender(text: &str) -> Result<String, Failure> {
    Mailbox::parse(text).map(|_| text.trim().to_owned())
}

/// The mapped variables, or else what the payload has of texts and numbers. Resend puts them into the
/// HTML as they are, so texts are escaped unless the rule vouches for them.
fn variables(delivery: &Delivery) -> Result<Map<String, Value>, Failure> {
    const RESERVED: [&str; 6] = [
        "FIRST_NAME",
        "LAST_NAME",
        "EMAIL",
        "UNSUBSCRIBE_URL",
        "contact",
        "this",
    ];
    let fits = |name: &str| {
        let word = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word && (1..=50).contains(&name.len()) && !RESERVED.contains(&name)
    };
    let mapped = delivery.template_variables();
    let all = mapped.clone().unwrap_or_else(|| delivery.members());
    let raw = delivery.optional_input("variables").as_deref() == Some("html");
    let mut variables = Map::new();
    for (name, value) in all {
        if mapped.is_none() && (!fits(&name) || value.is_object() || value.is_array()) {
            continue;
        }
        let value = match value {
            Value::Null => continue,
            Value::Number(_) => value,
            other => {
                let text = json!({"text": heddle_sdk::text_of(&other, ", ")});
                let escape = if raw { Escape::None } else { Escape::Html };
                render("{{text}}", &text, escape)?.into()
            }
        };
        variables.insert(name, value);
    }
    Ok(variables)
}

fn send(delivery: &Delivery, mut email: Map<String, Value>, http: &mut Http) -> Result<Receipt, Stop> {
    let to = delivery.email()?;
    email.insert("to".into(), json!([to]));
    let request = Request::post(format!("{API}/emails"))
        .header("Idempotency-Key", delivery.id.as_str())
        .json(&Value::Object(email));
    let sent = answer(&call(http, request)?)?;
    Ok(Receipt::new("Resend took the e-mail").external_id(text_at(&sent, "/id")?))
}

/// Resend refuses requests that do not name their client.
fn call(http: &mut Http, request: Request) -> Result<Reply, Stop> {
    http.send(request.header("User-Agent", concat!("Heddle/", env!("CARGO_PKG_VERSION"))))
}

/// Resend's name for what went wrong, such as `validation_error`.
fn refusal(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    text_at(&body, "/name").unwrap_or_default()
}

/// Whether the key is good, but for sending only.
fn may_only_send(reply: &Reply) -> bool {
    !reply.is_success() && refusal(reply) == "restricted_api_key"
}

/// The JSON of a success, or what Resend's refusal means.
fn answer(reply: &Reply) -> Result<Value, Failure> {
    if reply.is_success() {
        return reply.json();
    }
    let failure = reply.failure();
    let wait = failure.retry_after_ms;
    Err(match (reply.status, refusal(reply).as_str()) {
        // The connection's other rules may well work with this key.
        (_, "restricted_api_key") => Failure::permanent(format!(
            "the key may only send e-mail; this needs one with full access; {}",
            failure.message
        )),
        (403, "invalid_api_key" | "missing_api_key") => Failure::authentication(failure.message),
        // An earlier attempt is still under way.
        (409, "concurrent_idempotent_requests") => Failure::retryable(failure.message).after_ms(wait),
        (409, "invalid_idempotent_request") => Failure::permanent(format!(
            "Resend took an e-mail for this delivery less than 24 hours ago, with another content; {}",
            failure.message
        )),
        // Somebody else is changing the same contact; the next attempt finds it.
        (409, _) => Failure::retryable(failure.message).after_ms(wait),
        // A day's quota counts back 24 hours, a month's until the next one: looking hourly and daily
        // finds the end.
        (429, "daily_quota_exceeded") => failure.after_ms(wait.max(Some(3_600_000))),
        (429, "monthly_quota_exceeded") => failure.after_ms(wait.max(Some(86_400_000))),
        (429, _) => failure.after_ms(wait.or_else(|| reply.wait_ms("ratelimit-reset")).or(Some(1_000))),
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
