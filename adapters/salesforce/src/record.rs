//! Records of any object, with fields that the rule names or the mapping fills.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::{self, Map};
use heddle_sdk::template::render;

use crate::{Api, answer, name, refusal, without_opt_ins};

/// Creates the record, or updates the one that has the external id.
pub fn upsert(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let (object, key) = (name(&delivery.input("id")?)?, name(&delivery.input("key")?)?);
    let mut fields = fields(delivery)?;
    // The body must not name the field again that the path does.
    let mapped = fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(&key))
        .map(|(field, _)| field.clone());
    let mapped = mapped.and_then(|field| fields.remove(&field));
    let value = match delivery.optional_input("value") {
        Some(_) => delivery.template("value", Escape::None)?,
        None => mapped.map(|value| text_of(&value, ";")).unwrap_or_default(),
    };
    let value = value.trim();
    if value.is_empty() {
        return Err(Failure::mapping(format!(
            "neither the rule nor the mapping gives the external id {key}"
        ))
        .into());
    }
    let url = url!("/sobjects/{}/{}/{}", object, key, value)?;
    let fields = without_opt_ins(delivery, fields);
    let reply = api.call(Request::patch(url).json(&fields.into()))?;
    if reply.status == 300 {
        return Err(
            Failure::permanent(format!("several records of {object} have the {key} {value:?}")).into(),
        );
    }
    let saved = answer(&reply)?;
    let receipt = Receipt::new(match reply.status {
        201 => format!("a record of {object} is created"),
        _ => format!("the record of {object} is up to date"),
    });
    Ok(match text_at(&saved, "/id") {
        Ok(id) => receipt.external_id(id),
        Err(_) => receipt, // Updates of old had no body.
    })
}

/// Creates a record.
pub fn create(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let object = name(&delivery.input("id")?)?;
    let fields = fields(delivery)?;
    if fields.is_empty() {
        return Err(Failure::mapping("neither the rule nor the mapping gives the record any field").into());
    }
    let reply = api.call(Request::post(url!("/sobjects/{}", object)?).json(&fields.into()))?;
    if !reply.is_success() {
        return Err(refusal(&reply).into());
    }
    let id = text_at(&answer(&reply)?, "/id")?;
    Ok(Receipt::new(format!("a record of {object} is created")).external_id(id))
}

/// What the rule's `data` says, its texts filled from the payload, or else the mapped fields.
fn fields(delivery: &Delivery) -> Result<Map<String, Value>, Failure> {
    let data = match delivery.inputs.get("data") {
        None | Some(Value::Null) => return Ok(sent(delivery.fields.clone())),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(sent(delivery.fields.clone())),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(other) => other.clone(),
    };
    let Value::Object(data) = data else {
        return Err(Failure::mapping(
            "the rule's \"data\" is no JSON object of fields",
        ));
    };
    let mut fields = Map::new();
    for (key, value) in data {
        let value = match value {
            Value::String(template) => render(&template, delivery.event.payload(), Escape::None)?.into(),
            value => value,
        };
        fields.insert(name(&key)?, value);
    }
    Ok(sent(fields))
}

/// Fields as Salesforce takes them: several choices of one picklist are joined by semicolons.
pub fn sent(mut fields: Map<String, Value>) -> Map<String, Value> {
    for value in fields.values_mut().filter(|value| value.is_array()) {
        *value = text_of(value, ";").into();
    }
    fields
}
