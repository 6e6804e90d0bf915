//! HubSpot contacts: <https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide>.
//!
//! The contact is created or updated by its e-mail address with the mapped fields, then added to a
//! static list or given a property. Removing somebody looks the contact up and does not create one. A
//! duplicate changes nothing: upserts and list memberships are idempotent.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;

const API: &str = "https://api.hubapi.com";

/// The destination.
pub struct HubSpot;

impl Adapter for HubSpot {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_list" => add_to_list(delivery, http),
            "remove_from_list" => remove_from_list(delivery, http),
            "update_property" => update_property(delivery, http),
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

/// Creates or updates the contact with the mapped fields and then `properties`; its id.
fn upsert(delivery: &Delivery, properties: Map<String, Value>, http: &mut Http) -> Result<String, Stop> {
    let email = delivery.email()?;
    let mut all = Map::new();
    for (name, value) in &delivery.fields {
        // HubSpot takes every property as text; several values are joined by semicolons.
        all.insert(name.clone(), text_of(value, ";").into());
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
