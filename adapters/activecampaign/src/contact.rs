//! Contacts: made, found, and what they are related to.

use heddle_sdk::prelude::*;

use crate::{answer, api, permitted};

const PAGE: usize = 100;
/// A contact with more relations than this many pages hold is beyond what one attempt may ask.
const PAGES: usize = 10;

/// Creates or updates the contact with the mapped fields; its id.
pub fn sync(delivery: &Delivery, http: &mut Http) -> Result<String, Stop> {
    let url = format!("{}/contact/sync", api(&delivery.connection)?);
    let person = delivery.person();
    let fields = delivery.fields_or([
        ("firstName", person.first_name),
        ("lastName", person.last_name),
        ("phone", person.phone),
    ]);
    let mut contact = json!({"email": delivery.email()?});
    let mut values = Vec::new();
    for (key, value) in &fields {
        match key.as_str() {
            "email" => {}
            "firstName" | "lastName" | "phone" => contact[key] = text_of(value, ", ").into(),
            id if id.bytes().all(|byte| byte.is_ascii_digit()) => {
                values.push(json!({"field": id, "value": field_text(value)}));
            }
            _ => {
                let hint = "map to email, firstName, lastName, phone or the number of a custom field";
                return Err(Failure::mapping(format!("contacts have no field {key:?}; {hint}")).into());
            }
        }
    }
    if !values.is_empty() {
        contact["fieldValues"] = values.into();
    }
    let synced = permitted(http.send(Request::post(url).json(&json!({ "contact": contact })))?)?;
    Ok(text_at(&synced, "/contact/id")?)
}

/// A field with several values takes them between double bars.
fn field_text(value: &Value) -> String {
    match value {
        Value::Array(values) if !values.is_empty() => format!("||{}||", text_of(value, "||")),
        value => text_of(value, ""),
    }
}

/// The id of the contact with the address, if there is one.
pub fn find(delivery: &Delivery, http: &mut Http) -> Result<Option<String>, Stop> {
    let email = delivery.email()?;
    let url = format!("{}/contacts", api(&delivery.connection)?);
    let found = permitted(http.send(Request::get(url).query("email", &email))?)?;
    let mut contacts = items(&found["contacts"]).iter();
    let same = |contact: &&Value| {
        let found = contact["email"].as_str();
        found.is_some_and(|found| found.eq_ignore_ascii_case(&email))
    };
    Ok(contacts
        .find(same)
        .map(|contact| text_at(contact, "/id"))
        .transpose()?)
}

/// The relation (`contactLists`, `contactTags`) of a contact with what is called `id`, if there is one.
pub fn related(
    delivery: &Delivery,
    contact: &str,
    relation: &str,
    key: &str,
    id: u64,
    http: &mut Http,
) -> Result<Option<Value>, Stop> {
    let url = format!(
        "{}{}/{relation}",
        api(&delivery.connection)?,
        url!("/contacts/{}", contact)?
    );
    let id = id.to_string();
    for page in 0..PAGES {
        let request = Request::get(url.as_str()).query("limit", &PAGE.to_string());
        let answer = answer(http.send(request.query("offset", &(page * PAGE).to_string()))?)?;
        let relations = items(&answer[relation]);
        if let Some(found) = relations.iter().find(|one| text_of(&one[key], "") == id) {
            return Ok(Some(found.clone()));
        }
        if relations.len() < PAGE {
            return Ok(None);
        }
    }
    let most = PAGE * PAGES;
    Err(Failure::permanent(format!(
        "the contact has more than {most} {relation}; not all were looked at"
    ))
    .into())
}

/// Subscribes the contact to a list, or unsubscribes it.
pub fn set_list(
    delivery: &Delivery,
    contact: &str,
    list: u64,
    subscribe: bool,
    again: bool,
    http: &mut Http,
) -> Result<(), Stop> {
    let status = if subscribe { 1 } else { 2 };
    let mut body = json!({"list": list, "contact": number(contact), "status": status});
    if again {
        body["sourceid"] = 4.into(); // What the documentation asks for when somebody comes back.
    }
    let url = format!("{}/contactLists", api(&delivery.connection)?);
    answer(http.send(Request::post(url).json(&json!({ "contactList": body })))?)?;
    Ok(())
}

/// An id as a number, which it comes as text.
pub fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| id.into(), Value::from)
}
