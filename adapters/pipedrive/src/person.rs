//! Finding, creating and updating the person that an event is about.

use heddle_sdk::FailureKind;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

use crate::field::{self, Kind};
use crate::{Api, answer, refusal};

/// Creates or updates the person with the mapped fields, then `more` of them, and one more label.
pub fn sync(
    delivery: &Delivery,
    more: Map<String, Value>,
    label: Option<u64>,
    api: &mut Api,
) -> Result<Receipt, Stop> {
    let email = delivery.email()?;
    let mut wanted = Wanted::of(delivery, more, api)?;
    wanted.labels.extend(label);
    let Some(id) = find(delivery, &email, api)? else {
        let person = delivery.person();
        let person = wanted.new_person(&email, person.name, person.phone);
        let created = api.call(Request::post("/api/v2/persons").json(&person))?;
        return Ok(Receipt::new("the person is created").external_id(text_at(&created, "/data/id")?));
    };
    let current = read(&id, api)?;
    let changes = wanted.changes(&current, delivery.is_on("resubscribe"));
    if changes.is_empty() {
        return Ok(Receipt::new("the person is up to date already").external_id(id));
    }
    write(&id, &changes.into(), api)?;
    Ok(Receipt::new("the person is up to date").external_id(id))
}

/// Takes a label from the person, if there is one.
pub fn remove_label(delivery: &Delivery, label: u64, api: &mut Api) -> Result<Receipt, Stop> {
    let email = delivery.email()?;
    let Some(id) = find(delivery, &email, api)? else {
        return Ok(Receipt::new("there is no such person, so it has no label"));
    };
    let labels = labels_of(&read(&id, api)?);
    let left: Vec<u64> = labels.iter().copied().filter(|one| *one != label).collect();
    let receipt = Receipt::new(format!("the person does not have the label {label}")).external_id(&id);
    if left.len() == labels.len() {
        return Ok(receipt);
    }
    let url = url!("/api/v2/persons/{}", id)?;
    let reply = api.send(Request::patch(&url).json(&json!({ "label_ids": left })))?;
    if reply.status == 400 && left.is_empty() {
        // Of lists that a company made itself, none is written as null.
        api.call(Request::patch(&url).json(&json!({"label_ids": null})))?;
    } else {
        answer(&reply)?;
    }
    Ok(receipt)
}

/// The id of the person with that address. The search is not asked for more than a part of the
/// address's text, so that what it finds is compared.
fn find(delivery: &Delivery, email: &str, api: &mut Api) -> Result<Option<String>, Stop> {
    let search = Request::get("/api/v2/persons/search")
        .query("term", email)
        .query("fields", "email")
        .query("exact_match", "true")
        .query("limit", "100");
    let found = api.call(search)?;
    if !found["data"]["items"].is_array() {
        return Err(Failure::retryable("the answer has no /data/items").into());
    }
    let has_address = |person: &&Value| {
        let emails = items(&person["emails"]).iter().filter_map(Value::as_str);
        emails.map(str::trim).any(|one| one.eq_ignore_ascii_case(email))
    };
    let people = items(&found["data"]["items"]).iter().map(|hit| &hit["item"]);
    let mut ids: Vec<u64> = people
        .filter(has_address)
        .filter_map(|person| person["id"].as_u64())
        .collect();
    ids.sort_unstable();
    if ids.len() > 1 && delivery.connection.setting("several_matches") == Some("fail") {
        return Err(Failure::permanent(format!(
            "{} persons have this address; merge them in Pipedrive",
            ids.len()
        ))
        .into());
    }
    Ok(ids.first().map(u64::to_string))
}

fn read(id: &str, api: &mut Api) -> Result<Value, Stop> {
    let reply = api.send(Request::get(url!("/api/v2/persons/{}", id)?))?;
    let gone = matches!(reply.status, 404 | 410);
    let mut person = if gone { Value::Null } else { answer(&reply)? };
    if gone || person["data"]["is_deleted"] == true {
        // Deleted since the search saw it; the next attempt does not find it.
        return Err(refusal(&reply).of_kind(FailureKind::Retryable).into());
    }
    if !person["data"].is_object() {
        return Err(Failure::retryable("the answer has no /data").into());
    }
    Ok(person["data"].take())
}

fn write(id: &str, changes: &Value, api: &mut Api) -> Result<(), Stop> {
    api.call(Request::patch(url!("/api/v2/persons/{}", id)?).json(changes))?;
    Ok(())
}

fn labels_of(person: &Value) -> Vec<u64> {
    items(&person["label_ids"])
        .iter()
        .filter_map(Value::as_u64)
        .collect()
}

/// What a person is to have, in Pipedrive's own types.
struct Wanted {
    name: Option<String>,
    phones: Vec<String>,
    labels: Vec<u64>,
    standard: Map<String, Value>,
    custom: Map<String, Value>,
}

impl Wanted {
    /// Reads the mapped fields. The company's definitions are asked for when one of its own fields is
    /// among them, since the API takes each type in its own form only.
    fn of(delivery: &Delivery, more: Map<String, Value>, api: &mut Api) -> Result<Self, Stop> {
        let mut wanted = Self {
            name: None,
            phones: Vec::new(),
            labels: Vec::new(),
            standard: Map::new(),
            custom: Map::new(),
        };
        let mut fields = delivery.fields.clone();
        fields.extend(more);
        let mut own = Vec::new();
        for (key, value) in fields {
            match key.as_str() {
                "email" | "emails" => {}
                "name" => {
                    wanted.name = Some(text_of(&value, " ").trim().to_owned()).filter(|name| !name.is_empty())
                }
                "phone" | "phones" => wanted.phones = phones(&value),
                "owner_id" | "org_id" | "visible_to" => {
                    let value = field::typed(&key, Kind::Number, &[], &value)?;
                    wanted.standard.insert(key, value);
                }
                "marketing_status" | "job_title" | "notes" | "birthday" => {
                    let value = field::typed(&key, Kind::Text, &[], &value)?;
                    wanted.standard.insert(key, value);
                }
                _ => own.push((key, value)),
            }
        }
        if own.is_empty() {
            return Ok(wanted);
        }
        let definitions = field::all(api)?;
        for (key, value) in own {
            let definition = field::definition(&definitions, &key)?;
            let value = field::typed(&key, Kind::of(definition), items(&definition["options"]), &value)?;
            if field::is_label(definition) {
                wanted
                    .labels
                    .extend(items(&value).iter().filter_map(Value::as_u64));
            } else if definition["is_custom_field"] == true {
                wanted.custom.insert(key, value);
            } else {
                wanted.standard.insert(key, value);
            }
        }
        Ok(wanted)
    }

    /// The body that creates the person. A name must be there: without one, what stands before the `@`.
    fn new_person(mut self, email: &str, name: Option<String>, phone: Option<String>) -> Value {
        let local_part = || email.split('@').next().unwrap_or(email).to_owned();
        let name = self.name.or(name).unwrap_or_else(local_part);
        if self.phones.is_empty() {
            self.phones.extend(phone);
        }
        let mut body = self.standard;
        body.insert("name".into(), name.into());
        body.insert(
            "emails".into(),
            json!([{"value": email, "primary": true, "label": "work"}]),
        );
        if !self.phones.is_empty() {
            let of = |(index, value)| json!({"value": value, "primary": index == 0, "label": "work"});
            let phones: Vec<Value> = self.phones.into_iter().enumerate().map(of).collect();
            body.insert("phones".into(), phones.into());
        }
        if !self.labels.is_empty() {
            body.insert("label_ids".into(), self.labels.into());
        }
        if !self.custom.is_empty() {
            body.insert("custom_fields".into(), self.custom.into());
        }
        body.into()
    }

    /// The body that makes `current` what is wanted: only what differs. Lists are written whole.
    fn changes(self, current: &Value, resubscribe: bool) -> Map<String, Value> {
        let mut changes = self.standard;
        if let Some(name) = self.name {
            changes.insert("name".into(), name.into());
        }
        // Nobody who opted out is subscribed again in passing.
        if current["marketing_status"] == "unsubscribed" && !resubscribe {
            changes.remove("marketing_status");
        }
        changes.retain(|key, value| current[key.as_str()] != *value);
        let mut phones = items(&current["phones"]).to_vec();
        let known = phones.len();
        for phone in self.phones {
            if !phones.iter().any(|one| one["value"] == *phone) {
                phones.push(json!({"value": phone, "primary": phones.is_empty(), "label": "work"}));
            }
        }
        if phones.len() > known {
            changes.insert("phones".into(), phones.into());
        }
        let mut labels = labels_of(current);
        let known = labels.len();
        for label in self.labels {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        if labels.len() > known {
            changes.insert("label_ids".into(), labels.into());
        }
        let mut custom = self.custom;
        custom.retain(|key, value| current["custom_fields"][key.as_str()] != *value);
        if !custom.is_empty() {
            changes.insert("custom_fields".into(), custom.into());
        }
        changes
    }
}

fn phones(value: &Value) -> Vec<String> {
    let text = |value: &Value| text_of(value, " ").trim().to_owned();
    let all = match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => vec![text(one)],
    };
    all.into_iter()
        .filter(|phone: &String| !phone.is_empty())
        .collect()
}
