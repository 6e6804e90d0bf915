//! Finding, creating and updating the contact that an event is about.

use heddle_sdk::FailureKind;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

use crate::record::sent;
use crate::{Api, answer, quoted, refusal, without_opt_ins};

/// Updates the contact that has the email with the mapped fields and `more` of them, or creates it;
/// its id.
pub fn upsert(delivery: &Delivery, more: Map<String, Value>, api: &mut Api) -> Result<String, Stop> {
    let email = email(delivery)?;
    let mut fields = sent(delivery.fields.clone());
    fields.retain(|key, _| !key.eq_ignore_ascii_case("email"));
    fields.extend(more);
    let same_address = quoted(&email);
    let found = api.query(&format!(
        "SELECT Id FROM Contact WHERE Email = {same_address} ORDER BY CreatedDate ASC, Id ASC LIMIT 1"
    ))?;
    match items(&found["records"]).first() {
        Some(contact) => update(text_at(contact, "/Id")?, without_opt_ins(delivery, fields), api),
        None => create(delivery, email, fields, api),
    }
}

/// The mapped field, which Salesforce spells with a capital, or else the payload's.
fn email(delivery: &Delivery) -> Result<String, Failure> {
    match delivery.fields.get("Email").filter(|value| !value.is_null()) {
        Some(Value::String(text)) if !text.trim().is_empty() => heddle_sdk::address(text),
        Some(_) => Err(Failure::mapping("the mapped Email is empty or no text")),
        None => delivery.email(),
    }
}

fn update(id: String, fields: Map<String, Value>, api: &mut Api) -> Result<String, Stop> {
    if fields.is_empty() {
        return Ok(id);
    }
    let updated = api.call(Request::patch(url!("/sobjects/Contact/{}", id)?).json(&fields.into()))?;
    if updated.status == 404 {
        // Deleted since the query saw it; the next attempt does not find it.
        return Err(refusal(&updated).of_kind(FailureKind::Retryable).into());
    }
    answer(&updated)?;
    Ok(id)
}

/// What the payload says of the person fills what is not mapped. A last name must be there: without
/// one the whole name, or what stands before the `@`.
fn create(
    delivery: &Delivery,
    email: String,
    mut fields: Map<String, Value>,
    api: &mut Api,
) -> Result<String, Stop> {
    let person = delivery.person();
    let local_part = email.split('@').next().unwrap_or(&email).to_owned();
    let (first, last) = match (person.first_name, person.last_name) {
        (first, Some(last)) => (first, last),
        (_, None) => (None, person.name.unwrap_or(local_part)),
    };
    for (key, fallback) in [
        ("FirstName", first),
        ("LastName", Some(last)),
        ("Phone", person.phone),
    ] {
        if let Some(text) = fallback.filter(|_| fields.get(key).is_none_or(Value::is_null)) {
            fields.insert(key.into(), text.into());
        }
    }
    fields.insert("Email".into(), email.into());
    let created = api.call(Request::post("/sobjects/Contact").json(&fields.into()))?;
    Ok(text_at(&answer(&created)?, "/id")?)
}
