//! Registrants of Zoom meetings and webinars: <https://developers.zoom.us/docs/api/>.
//!
//! One request registers a person. Zoom tells the registrants of a meeting apart by their address: a
//! second delivery of the same event leaves the person registered once, though Zoom may send its
//! confirmation again. It takes three such requests a day for a person and a meeting.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

const DAY_MS: i64 = 86_400_000;
/// The longest first or last name, in characters.
const MAX_NAME: usize = 64;
/// What Zoom keeps of a registrant beside the address and the names.
const DETAILS: [(&str, &str); 13] = [
    ("phone", "Phone"),
    ("org", "Organization"),
    ("job_title", "Job title"),
    ("industry", "Industry"),
    ("address", "Address"),
    ("city", "City"),
    ("state", "State"),
    ("zip", "Postal code"),
    ("country", "Country, as two letters"),
    ("comments", "Comments"),
    ("no_of_employees", "Number of employees"),
    ("purchasing_time_frame", "Purchasing time frame"),
    ("role_in_purchase_process", "Role in the purchase process"),
];

/// The destination.
pub struct Zoom;

impl Adapter for Zoom {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let id = delivery.input("id")?;
        let url = match delivery.action.as_str() {
            "add_meeting_registrant" => url!("https://api.zoom.us/v2/meetings/{}/registrants", id)?,
            "add_webinar_registrant" => url!("https://api.zoom.us/v2/webinars/{}/registrants", id)?,
            _ => return Err(delivery.unknown_action()),
        };
        let registrant = registrant(delivery)?;
        let reply = http.send(Request::post(url).json(&registrant))?;
        if reply.status == 400 && reply.text().to_lowercase().contains("already registered") {
            return Ok(Receipt::new("the person is registered already"));
        }
        let registered = answer(reply, http.sent_at())?;
        let receipt = Receipt::new("the person is registered");
        Ok(match text_at(&registered, "/registrant_id") {
            Ok(id) => receipt.external_id(id),
            Err(_) => receipt,
        })
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let url = url!("https://api.zoom.us/v2/users/{}", host(connection))?;
        let user = answer(http.send(Request::get(url))?, http.sent_at())?;
        Ok(match text_at(&user, "/email") {
            Ok(email) => Account::named(email),
            Err(_) => Account::unnamed("Zoom accepts the credential"),
        })
    }

    /// The host's coming meetings or webinars, page by page. A recurring one is listed once.
    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        let host = host(&query.connection);
        let (list, key) = match query.action.as_str() {
            "add_meeting_registrant" => {
                let list = url!("https://api.zoom.us/v2/users/{}/meetings", host)?;
                (Request::get(list).query("type", "upcoming"), "meetings")
            }
            "add_webinar_registrant" => {
                let list = url!("https://api.zoom.us/v2/users/{}/webinars", host)?;
                (Request::get(list), "webinars")
            }
            _ => return Ok(Choices::default()),
        };
        let mut list = list.query("page_size", "300");
        if let Some(cursor) = &query.cursor {
            list = list.query("next_page_token", cursor);
        }
        let page = answer(http.send(list)?, http.sent_at())?;
        let mut seen = Vec::new();
        let mut choices = Vec::new();
        for one in items(&page[key]) {
            let (Ok(id), Some(topic)) = (text_at(one, "/id"), one["topic"].as_str()) else {
                continue;
            };
            let label = match one["start_time"].as_str() {
                Some(start) => format!("{topic} ({start})"),
                None => topic.to_owned(),
            };
            if query.matches(&label) && !seen.contains(&id) {
                choices.push(Choice::new(id.clone(), label));
                seen.push(id);
            }
        }
        Ok(Choices {
            choices,
            next_cursor: text_at(&page, "/next_page_token").ok(),
        })
    }

    fn fields(_: &Query, _: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        let mut fields = vec![
            CatalogField::new("email", "Email", FieldType::String)
                .constraint("required", true)
                .constraint("format", "email")
                .constraint("max_length", 128),
            CatalogField::new("first_name", "First name", FieldType::String)
                .constraint("max_length", MAX_NAME)
                .description("The start of the address when there is none."),
            CatalogField::new("last_name", "Last name", FieldType::String).constraint("max_length", MAX_NAME),
        ];
        fields.extend(DETAILS.map(|(key, label)| CatalogField::new(key, label, FieldType::String)));
        fields.push(
            CatalogField::new("custom_questions", "Custom questions", FieldType::Object)
                .description("Questions with their answers; or map custom_questions.QUESTION one by one."),
        );
        Ok(fields)
    }
}

heddle_sdk::export!(Zoom);

/// Whose meetings are offered.
fn host(connection: &Connection) -> &str {
    connection.setting("host").unwrap_or("me")
}

/// The person as the mapping says, and as the payload says where the mapping says nothing.
fn registrant(delivery: &Delivery) -> Result<Value, Failure> {
    let email = delivery.email()?;
    let person = delivery.person();
    // Zoom asks for a first name.
    let first = person
        .first_name
        .or_else(|| Some(email.split('@').next()?.to_owned()));
    let fields = delivery.fields_or([
        ("first_name", first),
        ("last_name", person.last_name),
        ("phone", person.phone),
    ]);
    let mut registrant = Map::from_iter([("email".to_owned(), Value::from(email))]);
    let mut questions = Vec::new();
    let mut ask = |title: &str, value: &Value| {
        questions.push(json!({"title": title, "value": text_of(value, ", ")}));
    };
    for (key, value) in &fields {
        let text = text_of(value, ", ");
        match (key.as_str(), value) {
            ("custom_questions", Value::Object(all)) => {
                all.iter().for_each(|(title, value)| ask(title, value));
            }
            _ if text.trim().is_empty() => {}
            ("first_name" | "last_name", _) => {
                let name: String = text.chars().take(MAX_NAME).collect();
                registrant.insert(key.clone(), name.into());
            }
            (key, _) if DETAILS.iter().any(|(known, _)| *known == key) => {
                registrant.insert(key.to_owned(), text.into());
            }
            (key, value) => {
                if let Some(title) = key.strip_prefix("custom_questions.") {
                    ask(title, value);
                }
            }
        }
    }
    if !questions.is_empty() {
        registrant.insert("custom_questions".into(), questions.into());
    }
    Ok(Value::Object(registrant))
}

/// The JSON of a success, or what Zoom's refusal means: the status, and a code in the body.
fn answer(reply: Reply, sent_at: Option<i64>) -> Result<Value, Failure> {
    if reply.is_success() {
        return reply.json();
    }
    let failure = reply.failure();
    let refusal = reply.json().unwrap_or_default();
    Err(match (reply.status, refusal["code"].as_i64()) {
        // The token is good, but may not do this.
        (401, Some(4700 | 4711)) => Failure::permanent(format!(
            "the app lacks a scope for this: add it and activate the app again; {}",
            failure.message
        )),
        // An invalid access token, a revoked authorization.
        (_, Some(124 | 4741)) => Failure::authentication(failure.message),
        (429, _) => {
            let wait = failure.retry_after_ms.unwrap_or_else(|| wait_ms(&reply, sent_at));
            failure.after_ms(wait)
        }
        _ => failure,
    })
}

/// How long a limit lasts that came without `Retry-After`: those of a day end at midnight, UTC.
fn wait_ms(reply: &Reply, sent_at: Option<i64>) -> u64 {
    let kind = reply.header("x-ratelimit-type").unwrap_or_default();
    if format!("{kind} {}", reply.text())
        .to_lowercase()
        .contains("daily")
    {
        let left = sent_at.map_or(3_600_000, |now| DAY_MS - now.rem_euclid(DAY_MS));
        return u64::try_from(left).unwrap_or(0);
    }
    // Seconds, or an instant in seconds: a long time is no wait.
    let reset = reply
        .wait_ms("x-ratelimit-reset")
        .filter(|wait| *wait <= 86_400_000);
    reset
        .or_else(|| reply.wait_until_ms("x-ratelimit-reset"))
        .unwrap_or(1_000)
}

#[cfg(test)]
mod tests;
