//! Subscribers of AWeber lists: <https://api.aweber.com/#tag/Subscribers>.
//!
//! The subscriber is looked up by the address, then created or changed. AWeber empties the custom
//! fields that a change does not name, so a change names all of them. Nobody who unsubscribed is
//! subscribed again unless the rule says so, and removing somebody means to unsubscribe them.
//!
//! A duplicate finds the subscriber as it should be and sends no change.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;

const API: &str = "https://api.aweber.com/1.0";
/// What AWeber knows of a subscriber besides the list's custom fields, and the longest text of each.
const OWN_FIELDS: [(&str, usize); 4] = [
    ("name", 60),
    ("ad_tracking", 20),
    ("misc_notes", 60),
    ("ip_address", 60),
];
const MAX_EMAIL: usize = 50;

/// The destination.
pub struct AWeber;

impl Adapter for AWeber {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_list" => add_to_list(delivery, http),
            "remove_from_list" => remove_from_list(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Reads the account that the token is for.
    fn check(_: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let accounts = answer(http.send(Request::get(format!("{API}/accounts")))?)?;
        let id = first_account(&accounts)?;
        Ok(Account::named(match accounts["entries"][0]["company"].as_str() {
            Some(company) if !company.trim().is_empty() => company.to_owned(),
            _ => format!("account {id}"),
        }))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        catalog::lists(query, http)
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(query, http)
    }
}

heddle_sdk::export!(AWeber);

/// The account of the settings, or the first that the token is for.
fn account(connection: &Connection, http: &mut Http) -> Result<String, Stop> {
    match connection.setting("account_id") {
        Some(id) => Ok(id.to_owned()),
        None => {
            let accounts = answer(http.send(Request::get(format!("{API}/accounts")))?)?;
            Ok(first_account(&accounts)?)
        }
    }
}

fn first_account(accounts: &Value) -> Result<String, Failure> {
    text_at(accounts, "/entries/0/id")
}

/// The subscribers of the rule's list, with the person's address checked.
struct Subscribers {
    url: String,
    email: String,
}

impl Subscribers {
    fn of(delivery: &Delivery, http: &mut Http) -> Result<Self, Stop> {
        let (list, email) = (delivery.input("id")?, delivery.email()?);
        if email.chars().count() > MAX_EMAIL {
            return Err(Failure::mapping(format!(
                "AWeber takes no address of more than {MAX_EMAIL} characters"
            ))
            .into());
        }
        let below = url!("/lists/{}/subscribers", list)?;
        let account = account(&delivery.connection, http)?;
        let url = url!("https://api.aweber.com/1.0/accounts/{}", account)? + &below;
        Ok(Self { url, email })
    }

    fn find(&self, http: &mut Http) -> Result<Option<Value>, Stop> {
        let request = Request::get(self.url.as_str()).query("ws.op", "find");
        let found = answer(http.send(request.query("email", &self.email))?)?;
        let same = |entry: &&Value| {
            let email = entry["email"].as_str();
            email.is_some_and(|email| email.eq_ignore_ascii_case(&self.email))
        };
        Ok(items(&found["entries"]).iter().find(same).cloned())
    }

    fn change(&self, change: &Value, http: &mut Http) -> Result<(), Stop> {
        let request = Request::patch(self.url.as_str()).query("subscriber_email", &self.email);
        Ok(accepted(&http.send(request.json(change))?)?) // 209 when it worked.
    }
}

fn add_to_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let tags = tags(delivery)?;
    let subscribers = Subscribers::of(delivery, http)?;
    let (own, custom) = fields(delivery);
    let Some(known) = subscribers.find(http)? else {
        let id = create(&subscribers, own, custom, &tags, http)?;
        let receipt = Receipt::new(format!("added to list {list}"));
        return Ok(match id {
            Some(id) => receipt.external_id(id),
            None => receipt,
        });
    };
    let receipt = |message: String| match text_at(&known, "/id") {
        Ok(id) => Receipt::new(message).external_id(id),
        Err(_) => Receipt::new(message),
    };
    let unsubscribed = known["status"] == "unsubscribed";
    if unsubscribed && !delivery.is_on("resubscribe") {
        let why = "and left so, since the rule does not resubscribe";
        return Ok(receipt(format!("unsubscribed from list {list} {why}")));
    }
    let mut change = difference(&known, own, custom, &tags);
    if unsubscribed {
        change.insert("status".into(), "subscribed".into());
    }
    if !change.is_empty() {
        subscribers.change(&change.into(), http)?;
    }
    Ok(receipt(match known["status"].as_str() {
        Some("unconfirmed") => format!("on list {list}, and still asked to confirm"),
        _ => format!("on list {list}"),
    }))
}

/// Creates a subscriber; its id, which is the end of the address that AWeber answers with.
fn create(
    subscribers: &Subscribers,
    own: Map<String, Value>,
    custom: Map<String, Value>,
    tags: &[String],
    http: &mut Http,
) -> Result<Option<String>, Stop> {
    let mut subscriber = own;
    subscriber.retain(|_, value| !value.is_null());
    subscriber.insert("email".into(), subscribers.email.as_str().into());
    // Somebody else may be creating the same subscriber: then this updates it. A text, not a boolean.
    subscriber.insert("update_existing".into(), "true".into());
    let custom: Map<_, _> = custom.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if !custom.is_empty() {
        subscriber.insert("custom_fields".into(), custom.into());
    }
    if !tags.is_empty() {
        subscriber.insert("tags".into(), tags.into());
    }
    let reply = http.send(Request::post(subscribers.url.as_str()).json(&subscriber.into()))?;
    accepted(&reply)?;
    let id = reply
        .header("location")
        .and_then(|url| url.trim_end_matches('/').rsplit('/').next());
    Ok(id.filter(|id| !id.is_empty()).map(str::to_owned))
}

/// What has to change of a known subscriber, as AWeber takes changes.
fn difference(
    known: &Value,
    mut own: Map<String, Value>,
    custom: Map<String, Value>,
    tags: &[String],
) -> Map<String, Value> {
    own.remove("ip_address"); // Only at creation.
    let mut change = own;
    change.retain(|key, value| !value.is_null() && known[key] != *value);
    let before = known["custom_fields"].as_object().cloned().unwrap_or_default();
    let mut after = before.clone();
    after.extend(custom);
    let same = after
        .iter()
        .all(|(key, value)| before.get(key).unwrap_or(&Value::Null) == value);
    let new: Vec<&String> = tags
        .iter()
        .filter(|tag| !items(&known["tags"]).iter().any(|known| *known == ***tag))
        .collect();
    if !new.is_empty() {
        change.insert("tags".into(), json!({ "add": new }));
    }
    // What a change leaves out of the custom fields, AWeber empties.
    if !same || (!change.is_empty() && !after.is_empty()) {
        change.insert("custom_fields".into(), after.into());
    }
    change
}

/// The mapped fields, parted into AWeber's own and the list's custom ones, as texts; empty ones are
/// `null`.
fn fields(delivery: &Delivery) -> (Map<String, Value>, Map<String, Value>) {
    let (mut own, mut custom) = (Map::new(), Map::new());
    for (key, value) in delivery.fields_or([("name", delivery.person().name)]) {
        if key == "email" {
            continue;
        }
        let text = text_of(&value, ", ");
        let limit = OWN_FIELDS.iter().find(|(own, _)| *own == key);
        let text: String = match limit {
            Some((_, limit)) => text.chars().take(*limit).collect(),
            None => text,
        };
        let value = if text.is_empty() { Value::Null } else { text.into() };
        match limit {
            Some(_) => own.insert(key, value),
            None => custom.insert(key, value),
        };
    }
    (own, custom)
}

/// The rule's tags, filled from the payload.
fn tags(delivery: &Delivery) -> Result<Vec<String>, Failure> {
    if delivery.optional_input("tags").is_none() {
        return Ok(Vec::new());
    }
    let text = delivery.template("tags", Escape::None)?;
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(tags.map(str::to_owned).collect())
}

fn remove_from_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let subscribers = Subscribers::of(delivery, http)?;
    match subscribers.find(http)? {
        None => Ok(Receipt::new(format!("not on list {list}"))),
        Some(known) => {
            if known["status"] != "unsubscribed" {
                let mut change = json!({"status": "unsubscribed"});
                if known["custom_fields"]
                    .as_object()
                    .is_some_and(|fields| !fields.is_empty())
                {
                    change["custom_fields"] = known["custom_fields"].clone();
                }
                subscribers.change(&change, http)?;
            }
            Ok(Receipt::new(format!("unsubscribed from list {list}")).external_id(text_at(&known, "/id")?))
        }
    }
}

/// The JSON of a success, or what AWeber's refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    accepted(&reply)?;
    reply.json()
}

/// A 403 means many things, which only its message tells apart.
fn accepted(reply: &Reply) -> Result<(), Failure> {
    if reply.is_success() {
        return Ok(());
    }
    let mut failure = reply.failure();
    let body = reply.json().unwrap_or_default();
    // Errors of the API are objects; those of OAuth are a word and a description.
    let reason = body["error"]["message"]
        .as_str()
        .or(body["error_description"].as_str());
    let reason = reason.unwrap_or_default();
    if !reason.is_empty() {
        failure.message = format!("AWeber answered {}: {reason}", reply.status);
    }
    let (message, wait, said) = (
        failure.message.clone(),
        failure.retry_after_ms,
        reason.to_lowercase(),
    );
    Err(match reply.status {
        401 => Failure::authentication(format!("{message} (an access token lives two hours)")),
        403 if said.contains("rate limit") => Failure::rate_limited(message).after_ms(wait.or(Some(60_000))),
        // Blocked as a likely robot, or only for now: AWeber has said both. Once more, an hour later.
        403 if said.contains("cannot be accepted at this time") => Failure::retryable(message)
            .after_ms(wait.or(Some(3_600_000)))
            .at_most(2),
        403 if said.contains("this account is not") => Failure::authentication(message),
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
