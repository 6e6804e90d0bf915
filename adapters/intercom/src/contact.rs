//! Finding, creating and updating the contact that an event is about.

use heddle_sdk::FailureKind;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

use crate::{Api, answer, in_seconds, refusal};

/// What is no custom attribute.
const STANDARD: [&str; 9] = [
    "email",
    "external_id",
    "name",
    "phone",
    "avatar",
    "signed_up_at",
    "last_seen_at",
    "owner_id",
    "unsubscribed_from_emails",
];

/// What of it is text, numbers too.
const TEXTS: [&str; 4] = ["name", "phone", "avatar", "owner_id"];

/// How Intercom knows a person; at least one of them is there.
struct Identity {
    external_id: Option<String>,
    email: Option<String>,
}

impl Identity {
    fn of(delivery: &Delivery) -> Result<Self, Failure> {
        let external_id = delivery
            .fields
            .get("external_id")
            .map(|id| text_of(id, " ").trim().to_owned());
        let external_id = external_id.filter(|id| !id.is_empty());
        let email = match external_id {
            Some(_) => delivery.optional_email()?,
            None => Some(delivery.email()?),
        };
        Ok(Self { external_id, email })
    }
}

/// A contact that is there, and by what it was found.
struct Found {
    id: String,
    by: &'static str,
}

impl Found {
    fn by(by: &'static str, id: Result<String, Failure>) -> Result<Option<Self>, Stop> {
        Ok(Some(Self { id: id?, by }))
    }
}

/// The contact's id, if there is one.
pub fn find(delivery: &Delivery, api: &mut Api) -> Result<Option<String>, Stop> {
    Ok(find_by(&Identity::of(delivery)?, api)?.map(|found| found.id))
}

/// Finds the contact and updates it, or creates it; its id.
pub fn upsert(delivery: &Delivery, api: &mut Api) -> Result<String, Stop> {
    let identity = Identity::of(delivery)?;
    let mut attributes = attributes(delivery, &identity);
    match find_by(&identity, api)? {
        Some(found) => {
            attributes.remove(found.by); // It has that already.
            update(found.id, attributes, api)
        }
        None => create(attributes, api),
    }
}

/// By external id first. By email only somebody who has no external id of their own, when one is
/// known: several people may share an address.
fn find_by(identity: &Identity, api: &mut Api) -> Result<Option<Found>, Stop> {
    if let Some(external_id) = &identity.external_id {
        let found = api.get(&url!("/contacts/find_by_external_id/{}", external_id)?)?;
        match found.status {
            404 => {}
            410 => return Found::by("external_id", merged_into(&found)),
            _ => return Found::by("external_id", text_at(&answer(found)?, "/id")),
        }
    }
    let Some(email) = &identity.email else {
        return Ok(None);
    };
    let search = json!({"query": {"field": "email", "operator": "=", "value": email}});
    let found = answer(api.post("/contacts/search", &search)?)?;
    if !found["data"].is_array() {
        return Err(Failure::retryable("the answer has no /data").into());
    }
    let ours = |contact: &&Value| identity.external_id.is_none() || contact["external_id"].is_null();
    let mut contacts = items(&found["data"]).iter().filter(ours);
    let user = contacts.clone().find(|contact| contact["role"] == "user");
    match user.or_else(|| contacts.next()) {
        Some(contact) => Found::by("email", text_at(contact, "/id")),
        None => Ok(None),
    }
}

/// The contact that took the place of one that was merged: `</contacts/ID>; rel="canonical"`.
fn merged_into(reply: &Reply) -> Result<String, Failure> {
    let link = reply.header("link").unwrap_or_default();
    let id = link
        .split_once("/contacts/")
        .and_then(|(_, rest)| rest.split_once('>'));
    id.map(|(id, _)| id.to_owned()).ok_or_else(|| refusal(reply))
}

fn create(mut attributes: Map<String, Value>, api: &mut Api) -> Result<String, Stop> {
    attributes.insert("role".into(), "user".into());
    let created = api.post("/contacts", &Value::Object(attributes.clone()))?;
    if created.status != 409 {
        return Ok(text_at(&answer(created)?, "/id")?);
    }
    let conflict = created.text();
    let id = conflict.split_once("with id=").map(|(_, rest)| {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        rest[..end].to_owned()
    });
    match id.filter(|id| !id.is_empty()) {
        Some(id) if conflict.contains("archived") => Err(Failure::permanent(format!(
            "the contact {id} is archived in Intercom; unarchive it there to deliver to it"
        ))
        .into()),
        Some(id) => {
            // It is known by another name: that it keeps.
            attributes.remove("external_id");
            attributes.remove("role");
            update(id, attributes, api)
        }
        // The next attempt finds it.
        None => Err(refusal(&created).of_kind(FailureKind::Retryable).into()),
    }
}

/// Updates the contact, unless there is nothing to tell.
fn update(id: String, attributes: Map<String, Value>, api: &mut Api) -> Result<String, Stop> {
    if attributes.is_empty() {
        return Ok(id);
    }
    let updated = api.call(Request::put(url!("/contacts/{}", id)?).json(&attributes.into()))?;
    if updated.status == 404 {
        // Deleted since the search saw it; the next attempt creates it.
        return Err(refusal(&updated).of_kind(FailureKind::Retryable).into());
    }
    answer(updated)?;
    Ok(id)
}

/// The mapped fields in the shape of a contact; what is not Intercom's own is a custom attribute.
fn attributes(delivery: &Delivery, identity: &Identity) -> Map<String, Value> {
    let person = delivery.person();
    let mut standard = Map::new();
    let mut custom = Map::new();
    for (key, value) in delivery.fields_or([("name", person.name), ("phone", person.phone)]) {
        let value = match in_seconds(&key, &value, "_at") {
            value @ (Value::Array(_) | Value::Object(_)) => text_of(&value, ", ").into(),
            value if TEXTS.contains(&key.as_str()) && !value.is_null() => text_of(&value, "").into(),
            value => value,
        };
        match key.strip_prefix("custom_attributes.") {
            Some(name) => custom.insert(name.to_owned(), value),
            None if STANDARD.contains(&key.as_str()) => standard.insert(key, value),
            None => custom.insert(key, value),
        };
    }
    let known = [("email", &identity.email), ("external_id", &identity.external_id)];
    for (key, value) in known {
        standard.remove(key);
        if let Some(text) = value {
            standard.insert(key.into(), text.clone().into());
        }
    }
    if let Some(opted_out) = standard.get_mut("unsubscribed_from_emails") {
        if *opted_out == true || *opted_out == "true" {
            *opted_out = true.into();
        } else if delivery.is_on("resubscribe") {
            *opted_out = false.into();
        } else {
            standard.remove("unsubscribed_from_emails");
        }
    }
    if !custom.is_empty() {
        standard.insert("custom_attributes".into(), custom.into());
    }
    standard
}
