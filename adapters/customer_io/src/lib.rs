//! People and events in Customer.io, by its Pipelines (CDP) API:
//! <https://docs.customer.io/integrations/api/cdp/>.
//!
//! The person is identified with the mapped traits; then the event is tracked, with the payload as its
//! properties. A duplicate sets the same traits again. It sends the event again too, with the message id
//! and the time of the first: whether Customer.io drops it, its documents do not say, so that an attempt
//! whose outcome is unknown and which is repeated may count twice.
//!
//! Customer.io answers 200 to what it then drops. So calls are made in strict mode, and what is beyond
//! its limits is not sent.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

/// Event names with which Customer.io deletes, suppresses and rewires, instead of recording.
const COMMANDS: [&str; 9] = [
    "User Deleted",
    "User Suppressed",
    "User Unsuppressed",
    "Device Created or Updated",
    "Device Deleted",
    "Relationship Deleted",
    "Object Deleted",
    "Report Delivery Event",
    "Report Content Event",
];

/// Properties of an event that would send a campaign's message to somebody else, or in another name.
const DIVERSIONS: [&str; 3] = ["recipient", "from_address", "reply_to"];

const MAX_ID_BYTES: usize = 150;
const MAX_EVENT_NAME_BYTES: usize = 100;
const MAX_TRAITS: usize = 300;
const MAX_TRAIT_NAME_BYTES: usize = 150;
const MAX_TRAIT_BYTES: usize = 1_000;
const MAX_BODY_BYTES: usize = 32_000;

/// The destination.
pub struct CustomerIo;

impl Adapter for CustomerIo {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "identify" => identify(delivery, http),
            "track_event" => track_event(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// The API only takes data. A call that is about nobody leaves nothing behind, and is refused in
    /// one way for its key and in another for its emptiness.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let reply = http.send(call(connection, "identify", &json!({}))?)?;
        if reply.status != 400 {
            reply.success()?;
        }
        Ok(Account::unnamed(
            "Customer.io takes the key; it was asked with an empty call, which is about nobody",
        ))
    }

    /// The traits that Customer.io itself knows; any other name is a trait too.
    fn fields(_: &Query, _: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        use FieldType::{Boolean, Datetime, String};
        let field = CatalogField::new;
        Ok(vec![
            field("userId", "User id", String)
                .description("Your own id of the person. Without it, the email identifies.")
                .constraint("max_length", MAX_ID_BYTES),
            field("email", "Email", String).constraint("format", "email"),
            field("first_name", "First name", String),
            field("last_name", "Last name", String),
            field("name", "Name", String),
            field("phone", "Phone", String).constraint("format", "phone"),
            field("createdAt", "Created at", Datetime),
            field("timezone", "Time zone", String)
                .description("Of the IANA database, such as Europe/Berlin."),
            field("unsubscribed", "Unsubscribed", Boolean)
                .description("False only with a rule that may subscribe people again."),
        ])
    }
}

heddle_sdk::export!(CustomerIo);

fn identify(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let person = Person::of(delivery)?;
    let request = person.identify(delivery)?;
    http.send(request)?.success()?;
    Ok(Receipt::new("the person is identified").external_id(person.id))
}

fn track_event(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let event = &delivery.event;
    let name = match delivery.optional_input("event_name_override") {
        Some(name) => name.trim().to_owned(),
        // Emitters are not to delete people: a command must stand in the rule.
        None if COMMANDS
            .iter()
            .any(|command| command.eq_ignore_ascii_case(event.event.trim())) =>
        {
            return Err(Failure::permanent(format!(
                "to Customer.io {:?} is a command; a rule that means it names it as event_name_override",
                event.event
            ))
            .into());
        }
        None => event.event.clone(),
    };
    within(MAX_EVENT_NAME_BYTES, name.len(), "bytes of the event's name")?;
    let mut properties = event.payload().clone();
    if let Some(members) = properties.as_object_mut() {
        members.retain(|key, _| !DIVERSIONS.contains(&key.as_str()));
    }
    let person = Person::of(delivery)?;
    let identify = person.identify(delivery)?;
    let track = call(
        &delivery.connection,
        "track",
        &json!({"userId": person.id, "event": name, "properties": properties,
            "timestamp": event.created_at_text(), "messageId": delivery.id}),
    )?;
    http.send(identify)?.success()?;
    http.send(track)?.success()?;
    Ok(Receipt::new(format!("tracked {name}")).external_id(person.id))
}

/// Who the event is about.
struct Person {
    id: String,
    traits: Map<String, Value>,
}

impl Person {
    /// Known by the mapped user id, or else by the email, which Customer.io tells from an id.
    fn of(delivery: &Delivery) -> Result<Self, Failure> {
        let id = delivery
            .fields
            .get("userId")
            .map(|id| text_of(id, " ").trim().to_owned());
        let id = id.filter(|id| !id.is_empty());
        let email = match id {
            Some(_) => delivery.optional_email()?,
            None => Some(delivery.email()?),
        };
        let id = id.or_else(|| email.clone()).unwrap_or_default();
        within(MAX_ID_BYTES, id.len(), "bytes of the person's id")?;

        let person = delivery.person();
        let mut traits = delivery.fields_or([
            ("first_name", person.first_name),
            ("last_name", person.last_name),
            ("name", person.name),
            ("phone", person.phone),
        ]);
        traits.remove("userId");
        traits.remove("email");
        if let Some(email) = email {
            traits.insert("email".into(), email.into());
        }
        if !delivery.is_on("resubscribe") {
            traits.retain(|name, value| !subscribes(name, value));
        }
        within(MAX_TRAITS, traits.len(), "traits")?;
        for (name, value) in &traits {
            within(MAX_TRAIT_NAME_BYTES, name.len(), "bytes of a trait's name")?;
            within(
                MAX_TRAIT_BYTES,
                text_of(value, " ").len(),
                &format!("bytes of the trait {name:?}"),
            )?;
        }
        Ok(Self { id, traits })
    }

    fn identify(&self, delivery: &Delivery) -> Result<Request, Failure> {
        let body = json!({"userId": self.id, "traits": self.traits, "timestamp": delivery.event.created_at_text(),
            "messageId": format!("{}-identify", delivery.id)});
        call(&delivery.connection, "identify", &body)
    }
}

/// Whether a trait may subscribe somebody again: every value but a clear "no" may.
fn subscribes(name: &str, value: &Value) -> bool {
    let is = |on: &str| text_of(value, "").trim().eq_ignore_ascii_case(on);
    match name {
        "unsubscribed" => !(is("true") || is("1")),
        _ => name.starts_with("cio_subscription_preferences") && !is("false"),
    }
}

/// A call in strict mode, in which Customer.io refuses what it would drop.
fn call(connection: &Connection, what: &str, body: &Value) -> Result<Request, Failure> {
    let host = match connection.setting("region").unwrap_or("US") {
        "US" => "cdp.customer.io",
        "EU" => "cdp-eu.customer.io",
        other => {
            return Err(Failure::permanent(format!(
                "the region {other:?} is neither US nor EU"
            )));
        }
    };
    let request = Request::post(format!("https://{host}/v1/{what}")).json(body);
    within(
        MAX_BODY_BYTES,
        request.body.len(),
        &format!("bytes of the {what} call"),
    )?;
    Ok(request.header("X-Strict-Mode", "1"))
}

/// Customer.io would drop in silence what is beyond a limit.
fn within(limit: usize, actual: usize, what: &str) -> Result<(), Failure> {
    if actual > limit {
        return Err(Failure::mapping(format!(
            "Customer.io takes at most {limit} {what}, and there are {actual}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
