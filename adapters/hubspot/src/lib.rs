//! HubSpot contacts: <https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide>, and custom
//! events: <https://developers.hubspot.com/docs/api-reference/events-send-event-completions-v3/guide>.
//!
//! The contact is created or updated by its e-mail address with the mapped fields, then added to a
//! static list or given a property. Removing somebody looks the contact up and does not create one. A
//! duplicate of these changes nothing: upserts and list memberships are idempotent. A custom event
//! carries the delivery's id as its `uuid`; HubSpot does not promise to drop the second one.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;

const API: &str = "https://api.hubapi.com";
/// The mapped fields that belong to a custom event, and not to the contact.
const EVENT_PROPERTIES: &str = "event_properties";

/// The destination.
pub struct HubSpot;

impl Adapter for HubSpot {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_list" => add_to_list(delivery, http),
            "remove_from_list" => remove_from_list(delivery, http),
            "update_property" => update_property(delivery, http),
            "upsert_contact" => {
                let contact = upsert(delivery, Map::new(), http)?;
                Ok(Receipt::new("the contact is up to date").external_id(contact))
            }
            "send_event" => send_event(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Reads the definition of one property: any contact scope allows it, and it shows nobody's data.
    fn check(_: &Connection, http: &mut Http) -> Result<Account, Stop> {
        answer(http.send(Request::get(format!("{API}/crm/v3/properties/contacts/email")))?)?;
        Ok(Account::unnamed("HubSpot accepts the token"))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        match query.action.as_str() {
            "update_property" => catalog::properties(query, http),
            "send_event" => catalog::events(query, http),
            "upsert_contact" => Ok(Choices::default()),
            _ => catalog::lists(query, http),
        }
    }

    fn fields(_: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(http)
    }
}

heddle_sdk::export!(HubSpot);

fn add_to_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let url = url!("https://api.hubapi.com/crm/v3/lists/{}/memberships/add", list)?;
    let contact = upsert(delivery, Map::new(), http)?;
    change_list(url, &contact, http)?;
    Ok(Receipt::new(format!("the contact is on list {list}")).external_id(contact))
}

fn remove_from_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let url = url!("https://api.hubapi.com/crm/v3/lists/{}/memberships/remove", list)?;
    let contact = url!(
        "https://api.hubapi.com/crm/v3/objects/contacts/{}",
        delivery.email()?
    )?;
    let found = http.send(Request::get(contact).query("idProperty", "email"))?;
    if found.status == 404 {
        return Ok(Receipt::new("there is no such contact, so it is on no list"));
    }
    let contact = text_at(&answer(found)?, "/id")?;
    change_list(url, &contact, http)?;
    Ok(Receipt::new(format!("the contact is not on list {list}")).external_id(contact))
}

fn update_property(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (property, value) = (delivery.input("id")?, delivery.input("value")?);
    let properties = Map::from_iter([(property.clone(), Value::String(value))]);
    let contact = upsert(delivery, properties, http)?;
    Ok(Receipt::new(format!("the contact's {property} is set")).external_id(contact))
}

/// Sends a custom event that was defined in HubSpot, about the contact with the address.
fn send_event(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let (name, email) = (delivery.input("id")?, delivery.email()?);
    let definition = url!("https://api.hubapi.com/events/v3/event-definitions/{}", name)?;
    let properties = match mapped_event_properties(delivery) {
        Some(mapped) => mapped,
        None => {
            let found = answer(http.send(Request::get(definition))?)?;
            defined(&found, delivery.event.payload())
        }
    };
    let event = json!({
        "eventName": name, "email": email, "occurredAt": delivery.event.created_at_text(), "uuid": delivery.id,
        "properties": properties,
    });
    let sent = http.send(Request::post(format!("{API}/events/v3/send")).json(&event))?;
    if !sent.is_success() {
        answer(sent)?;
    }
    Ok(Receipt::new(format!("sent the event {name}")))
}

/// The event's properties as the mapping filled them: `event_properties`, or `event_properties.NAME`
/// one by one.
fn mapped_event_properties(delivery: &Delivery) -> Option<Map<String, Value>> {
    let mut properties = Map::new();
    for (key, value) in &delivery.fields {
        match (key.strip_prefix(EVENT_PROPERTIES), value) {
            (Some(""), Value::Object(all)) => {
                let texts = all
                    .iter()
                    .map(|(name, value)| (name.clone(), text_of(value, ";").into()));
                properties.extend(texts);
            }
            (Some(name), value) if name.starts_with('.') => {
                properties.insert(name[1..].to_owned(), text_of(value, ";").into());
            }
            _ => {}
        }
    }
    Some(properties).filter(|properties| !properties.is_empty())
}

/// What the payload has of the properties that the event is defined with: HubSpot refuses others.
fn defined(definition: &Value, payload: &Value) -> Map<String, Value> {
    let named = |property: &Value| {
        let name = property["name"].as_str()?;
        let value = payload.get(name).filter(|value| !value.is_null())?;
        Some((name.to_owned(), text_of(value, ";").into()))
    };
    items(&definition["properties"])
        .iter()
        .filter_map(named)
        .collect()
}

/// Creates or updates the contact with the mapped fields and then `properties`; its id.
fn upsert(delivery: &Delivery, properties: Map<String, Value>, http: &mut Http) -> Result<String, Stop> {
    let email = delivery.email()?;
    let person = delivery.person();
    let fields = delivery.fields_or([
        ("firstname", person.first_name),
        ("lastname", person.last_name),
        ("phone", person.phone),
    ]);
    let mut all = Map::new();
    for (name, value) in &fields {
        if !name.starts_with(EVENT_PROPERTIES) {
            // HubSpot takes every property as text; several values are joined by semicolons.
            all.insert(name.clone(), text_of(value, ";").into());
        }
    }
    all.insert("email".into(), email.clone().into());
    all.extend(properties);
    let contact = json!({"inputs": [{"idProperty": "email", "id": email, "properties": all}]});
    let upsert = Request::post(format!("{API}/crm/v3/objects/contacts/batch/upsert")).json(&contact);
    let results = answer(http.send(upsert)?)?;
    // 207: the batch was taken, but not every contact in it, and there is only one.
    let refused = results["errors"]
        .as_array()
        .is_some_and(|errors| !errors.is_empty());
    if refused || results["numErrors"].as_u64().is_some_and(|count| count > 0) {
        let message = results["errors"][0]["message"]
            .as_str()
            .unwrap_or("no reason given");
        return Err(Failure::permanent(format!("HubSpot refused the contact: {message}")).into());
    }
    Ok(text_at(&results, "/results/0/id")?)
}

fn change_list(url: String, contact: &str, http: &mut Http) -> Result<(), Stop> {
    let changed = answer(http.send(Request::put(url).json(&json!([contact])))?)?;
    let missing = changed["recordIdsMissing"]
        .as_array()
        .is_some_and(|missing| !missing.is_empty());
    if missing {
        return Err(Failure::permanent(format!(
            "HubSpot does not know the contact {contact} on this list"
        ))
        .into());
    }
    Ok(())
}

/// The JSON of a success, or what HubSpot's refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    if reply.is_success() {
        return reply.json();
    }
    let failure = reply.failure();
    Err(match reply.status {
        // Somebody else is creating the same contact; the next attempt finds it.
        409 => Failure::retryable(failure.message).after_ms(failure.retry_after_ms),
        // Locked for other work (at least two seconds), or moving between data centers.
        423 => Failure::retryable(failure.message).after_ms(failure.retry_after_ms.or(Some(2_000))),
        477 => Failure::retryable(failure.message).after_ms(failure.retry_after_ms),
        429 => {
            let wait = failure.retry_after_ms.or_else(|| policy_wait_ms(&reply));
            failure.after_ms(wait)
        }
        _ => failure,
    })
}

/// How long a rate limit lasts by its name. A daily one ends at midnight where the account is, which
/// is unknown here: an hourly look finds it.
fn policy_wait_ms(reply: &Reply) -> Option<u64> {
    match reply.json().ok()?["policyName"].as_str()? {
        "DAILY" => Some(3_600_000),
        "TEN_SECONDLY_ROLLING" => Some(10_000),
        _ => Some(1_000),
    }
}

#[cfg(test)]
mod tests;
