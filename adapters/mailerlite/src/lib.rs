//! MailerLite subscribers: <https://developers.mailerlite.com/docs/subscribers.html> (the new
//! MailerLite; Classic has another API).
//!
//! A subscriber is created or updated by the address and added to a group in one request; fields and
//! groups that it does not name stay. Nobody who unsubscribed is subscribed again unless the rule says
//! so. Removing somebody looks them up and does not create anybody.
//!
//! A duplicate changes nothing: upserts and memberships are idempotent.

use heddle_sdk::prelude::*;

mod catalog;

const API: &str = "https://connect.mailerlite.com/api";

/// The destination.
pub struct MailerLite;

impl Adapter for MailerLite {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_group" => add_to_group(delivery, http),
            "remove_from_group" => remove_from_group(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Reads one group: the API has no way to ask whose account it is.
    fn check(_: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let request = Request::get(format!("{API}/groups")).query("limit", "1");
        answer(http.send(asked(request))?)?;
        Ok(Account::unnamed("MailerLite accepts the token"))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        catalog::groups(query, http)
    }

    fn fields(_: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(http)
    }
}

heddle_sdk::export!(MailerLite);

/// With what every request carries: the version of the API that this adapter was written against.
fn asked(request: Request) -> Request {
    request
        .header("Accept", "application/json")
        .header("X-Version", "2026-11-01")
}

fn add_to_group(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (email, group) = (delivery.email()?, group(delivery)?);
    let person = delivery.person();
    // What MailerLite calls `name` is the first name.
    let mut fields = delivery.fields_or([
        ("name", person.first_name),
        ("last_name", person.last_name),
        ("phone", person.phone),
    ]);
    fields.remove("email");
    for value in fields.values_mut() {
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Null) {
            *value = text_of(value, ", ").into();
        }
    }
    // No status: a new subscriber becomes what the account's settings say, another keeps its own.
    let mut subscriber = json!({"email": email, "fields": fields, "groups": [group]});
    let mut reply = upsert(&subscriber, http)?;
    if has_unsubscribed(&reply) && delivery.is_on("resubscribe") {
        subscriber["status"] = "active".into();
        subscriber["resubscribe"] = true.into();
        reply = upsert(&subscriber, http)?;
    }
    if has_unsubscribed(&reply) {
        let left = "the subscriber has unsubscribed and is left so";
        return Ok(Receipt::new(match delivery.is_on("resubscribe") {
            true => format!("{left}: MailerLite does not let the API subscribe them again"),
            false => format!("{left}, since the rule does not resubscribe"),
        }));
    }
    let subscriber = answer(reply)?;
    let receipt = Receipt::new(match subscriber["data"]["status"].as_str() {
        Some("active") | None => format!("the subscriber is in group {group}"),
        Some(status) => format!("the subscriber is {status} and in group {group}"),
    });
    Ok(receipt.external_id(text_at(&subscriber, "/data/id")?))
}

/// Creates or updates a subscriber.
fn upsert(subscriber: &Value, http: &mut Http) -> Result<Reply, Stop> {
    http.send(asked(Request::post(format!("{API}/subscribers"))).json(subscriber))
}

/// Whether the subscriber has opted out, which MailerLite says in the answer or by refusing it.
fn has_unsubscribed(reply: &Reply) -> bool {
    let body = reply.json().unwrap_or_default();
    match reply.status {
        200..300 => body["data"]["status"] == "unsubscribed",
        422 => format!("{} {}", body["message"], body["errors"]).contains("is unsubscribed"),
        _ => false,
    }
}

fn remove_from_group(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (email, group) = (delivery.email()?, group(delivery)?);
    let look = url!("https://connect.mailerlite.com/api/subscribers/{}", email)?;
    let found = http.send(asked(Request::get(look)))?;
    if found.status == 404 {
        return Ok(Receipt::new("there is no such subscriber, so it is in no group"));
    }
    let id = text_at(&answer(found)?, "/data/id")?;
    let url = url!(
        "https://connect.mailerlite.com/api/subscribers/{}/groups/{}",
        id,
        group
    )?;
    let removed = http.send(asked(Request::delete(url)))?;
    if removed.status != 404 {
        removed_or_refused(removed)?;
    }
    Ok(Receipt::new(format!("the subscriber is not in group {group}")).external_id(id))
}

/// The rule's group. Ids are numbers too long for JSON's readers, so they stay text.
fn group(delivery: &Delivery) -> Result<String, Failure> {
    let id = delivery.input("id")?.trim().to_owned();
    match id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(id),
        false => Err(Failure::mapping(format!(
            "the rule's id {id:?} is no number, as MailerLite's ids are"
        ))),
    }
}

fn removed_or_refused(reply: Reply) -> Result<(), Failure> {
    match reply.is_success() {
        true => Ok(()), // 204, without a body.
        false => answer(reply).map(|_| ()),
    }
}

/// The JSON of a success, or what MailerLite's refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    if reply.is_success() {
        return reply.json();
    }
    let mut failure = reply.failure();
    if let Ok(body) = reply.json()
        && let Some(message) = body["message"].as_str()
    {
        failure.message = format!("MailerLite answered {}: {message}", reply.status);
        let errors = body["errors"].as_object().into_iter().flatten();
        for (field, problems) in errors.take(5) {
            failure
                .message
                .push_str(&format!(" {field}: {}", text_of(problems, " ")));
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests;
