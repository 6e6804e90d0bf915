//! Intercom contacts, their tags and their events:
//! <https://developers.intercom.com/docs/references/2.16/rest-api/api.intercom.io/contacts>.
//!
//! The contact is found by its external id or its email, created as a user where there is none, and
//! updated with the mapped fields; then it is tagged, or an event is recorded on it. Removing a tag
//! creates nobody. A duplicate changes nothing: the contact is found again, a tag is there already, and
//! Intercom ignores an event with the name, contact and second of an earlier one.
//!
//! The search is minutes behind, so that creating somebody who exists is normal: the refusal names the
//! contact, and that one is updated.

use heddle_sdk::instant_ms;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;
mod contact;

/// The version that the requests and answers are written for.
const VERSION: &str = "2.16";

/// Intercom ignores what comes behind these many.
const MAX_EVENT_METADATA: usize = 10;

/// The destination.
pub struct Intercom;

impl Adapter for Intercom {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let mut api = Api::of(&delivery.connection, http)?;
        match delivery.action.as_str() {
            "add_tag" => add_tag(delivery, &mut api),
            "remove_tag" => remove_tag(delivery, &mut api),
            "upsert_contact" => upsert_contact(delivery, &mut api),
            "track_event" => track_event(delivery, &mut api),
            _ => Err(delivery.unknown_action()),
        }
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let me = answer(Api::of(connection, http)?.get("/me")?)?;
        let home = me["app"]["region"].as_str().unwrap_or_default();
        let region = connection.setting("region").unwrap_or("us");
        if !home.is_empty() && !home.eq_ignore_ascii_case(region) {
            return Err(Failure::permanent(format!(
                "the workspace is hosted in {home:?}, but the connection's region is {region:?}"
            ))
            .into());
        }
        Ok(Account::named(text_at(&me, "/app/name")?))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        catalog::tags(query, &mut Api::of(&query.connection, http)?)
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(&mut Api::of(&query.connection, http)?)
    }
}

heddle_sdk::export!(Intercom);

fn add_tag(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let tag = delivery.input("id")?;
    let contact = contact::upsert(delivery, api)?;
    answer(api.post(&url!("/contacts/{}/tags", contact)?, &json!({"id": tag}))?)?;
    Ok(Receipt::new(format!("the contact has the tag {tag}")).external_id(contact))
}

fn remove_tag(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let tag = delivery.input("id")?;
    url!("/{}", tag)?;
    let Some(contact) = contact::find(delivery, api)? else {
        return Ok(Receipt::new("there is no such contact, so it has no tag"));
    };
    let removed = api.call(Request::delete(url!("/contacts/{}/tags/{}", contact, tag)?))?;
    // 404: it did not have the tag, or is gone itself.
    if removed.status != 404 {
        answer(removed)?;
    }
    Ok(Receipt::new(format!("the contact does not have the tag {tag}")).external_id(contact))
}

fn upsert_contact(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let contact = contact::upsert(delivery, api)?;
    Ok(Receipt::new("the contact is up to date").external_id(contact))
}

fn track_event(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let event = &delivery.event;
    let name = delivery.optional_input("event_name_override");
    let name = name.unwrap_or_else(|| event.event.clone());
    let contact = contact::upsert(delivery, api)?;
    let tracked = api.post(
        "/events",
        // The event's own time, in seconds: by this Intercom knows a duplicate.
        &json!({"event_name": name, "created_at": event.created_at / 1_000, "id": contact,
            "metadata": metadata(event.payload())}),
    )?;
    if !tracked.is_success() {
        return Err(refusal(&tracked).into());
    }
    Ok(Receipt::new(format!("tracked {name}")).external_id(contact))
}

/// The payload's values that Intercom can keep on an event, in their order, without those that belong
/// to the contact.
fn metadata(payload: &Value) -> Map<String, Value> {
    const PERSON: [&str; 5] = ["email", "name", "first_name", "last_name", "phone"];
    let has = |value: &Value, keys: [&str; 2]| keys.iter().all(|key| value.get(key).is_some());
    let kept = |(key, value): (&String, &Value)| {
        let value = match value {
            // Links with a text, and amounts of money.
            Value::Object(all)
                if all.len() == 2 && (has(value, ["url", "value"]) || has(value, ["amount", "currency"])) =>
            {
                value.clone()
            }
            Value::Null | Value::Object(_) | Value::Array(_) => return None,
            Value::Bool(on) => on.to_string().into(),
            _ => in_seconds(key, value, "_date"),
        };
        (!PERSON.contains(&key.as_str())).then(|| (key.clone(), value))
    };
    let members = payload.as_object().into_iter().flatten();
    members.filter_map(kept).take(MAX_EVENT_METADATA).collect()
}

/// An instant as Intercom takes it, in seconds since the epoch, where the key's ending says that it is
/// one and the value is written in ISO 8601; else the value as it is.
fn in_seconds(key: &str, value: &Value, ending: &str) -> Value {
    let instant = value
        .as_str()
        .filter(|_| key.ends_with(ending))
        .and_then(instant_ms);
    instant.map_or_else(|| value.clone(), |ms| ms.div_euclid(1_000).into())
}

/// The API of the connection's region.
struct Api<'a> {
    base: &'static str,
    http: &'a mut Http,
}

impl<'a> Api<'a> {
    fn of(connection: &Connection, http: &'a mut Http) -> Result<Self, Failure> {
        let base = match connection.setting("region").unwrap_or("us") {
            "us" => "https://api.intercom.io",
            "eu" => "https://api.eu.intercom.io",
            "au" => "https://api.au.intercom.io",
            other => {
                return Err(Failure::permanent(format!(
                    "the region {other:?} is not one of us, eu and au"
                )));
            }
        };
        Ok(Self { base, http })
    }

    fn get(&mut self, path: &str) -> Result<Reply, Stop> {
        self.call(Request::get(path))
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Reply, Stop> {
        self.call(Request::post(path).json(body))
    }

    /// Sends a request whose URL is a path.
    fn call(&mut self, mut request: Request) -> Result<Reply, Stop> {
        request.url.insert_str(0, self.base);
        let request = request.header("Accept", "application/json");
        self.http.send(request.header("Intercom-Version", VERSION))
    }
}

/// The JSON of a success, or what Intercom's refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    if reply.is_success() {
        reply.json()
    } else {
        Err(refusal(&reply))
    }
}

fn refusal(reply: &Reply) -> Failure {
    let failure = reply.failure();
    if reply.status == 429 && failure.retry_after_ms.is_none() {
        return failure.after_ms(reply.wait_until_ms("x-ratelimit-reset"));
    }
    failure
}

#[cfg(test)]
mod tests;
