//! Members of Mailchimp audiences: <https://mailchimp.com/developer/marketing/api/list-members/>.
//!
//! Members are created or updated by their address. Nobody who unsubscribed is subscribed again unless
//! the rule says so, and removing somebody means to unsubscribe them. Tags and events do not subscribe:
//! they add a stranger as a non-subscribed contact (`transactional`).
//!
//! A duplicate changes nothing, but for `track_event`: Mailchimp cannot deduplicate events, so an
//! attempt whose outcome is unknown and which is repeated may record the event twice.

use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;

/// The destination.
pub struct Mailchimp;

impl Adapter for Mailchimp {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "add_to_list" => add_to_list(delivery, http),
            "remove_from_list" => remove_from_list(delivery, http),
            "add_tag" => add_tag(delivery, http),
            "remove_tag" => remove_tag(delivery, http),
            "track_event" => track_event(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Reads the account's name.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let root = format!("{}/", api(connection)?);
        let account = answer(http.send(Request::get(root).query("fields", "account_name"))?)?;
        Ok(Account::named(text_at(&account, "/account_name")?))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        match query.action.as_str() {
            "add_tag" | "remove_tag" => catalog::tags(query, http),
            _ => catalog::audiences(query, http),
        }
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(query, http)
    }
}

heddle_sdk::export!(Mailchimp);

/// The API of the account's data center.
fn api(connection: &Connection) -> Result<String, Failure> {
    let center = connection
        .setting("data_center")
        .ok_or_else(|| Failure::permanent("the connection has no data center"))?;
    Ok(format!("https://{center}.api.mailchimp.com/3.0"))
}

/// The member of the rule's audience whom the event is about: its URL, with `below` behind it.
/// Mailchimp takes the address in place of its hash.
fn member(delivery: &Delivery, below: &str) -> Result<String, Failure> {
    let (list, email) = (delivery.input("id")?, delivery.email()?.to_lowercase());
    let path = url!("/lists/{}/members/{}", list, email)?;
    Ok(format!("{}{path}{below}", api(&delivery.connection)?))
}

fn add_to_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let new = match delivery.is_on("double_opt_in") {
        true => "pending",
        false => "subscribed",
    };
    let member = upsert(delivery, new, http)?;
    let found = member["status"].as_str().unwrap_or("of an unknown status");
    let wanted = match (found, delivery.optional_input("resubscribe").as_deref()) {
        ("subscribed" | "pending", _) => None,
        // Was never asked.
        ("transactional", _) => Some(new),
        (_, Some("true")) => Some("subscribed"),
        (_, Some("confirm")) => Some("pending"),
        _ => None,
    };
    if let Some(status) = wanted {
        set_status(delivery, status, http)?;
    }
    let receipt = Receipt::new(match wanted.unwrap_or(found) {
        "subscribed" => format!("subscribed to audience {list}"),
        "pending" => format!("asked by e-mail to confirm the subscription to audience {list}"),
        status => {
            format!(
                "updated, but {status} in audience {list} and left so, since the rule does not resubscribe"
            )
        }
    });
    Ok(receipt.external_id(text_at(&member, "/id")?))
}

fn remove_from_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = delivery.input("id")?;
    let url = member(delivery, "")?;
    let reply = http.send(Request::patch(url).json(&json!({"status": "unsubscribed"})))?;
    if reply.status == 404 {
        return Ok(Receipt::new(format!("not a member of audience {list}")));
    }
    answer(reply)?;
    Ok(Receipt::new(format!("unsubscribed from audience {list}")))
}

fn add_tag(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let tag = delivery.input("value")?;
    let tags = json!({"tags": [{"name": tag, "status": "active"}]});
    post_to_member(delivery, "/tags", &tags, http)?;
    Ok(Receipt::new(format!("tagged {tag}")))
}

fn remove_tag(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let tag = delivery.input("value")?;
    let tags = json!({"tags": [{"name": tag, "status": "inactive"}]});
    let reply = http.send(Request::post(member(delivery, "/tags")?).json(&tags))?;
    if reply.status == 404 {
        return Ok(Receipt::new("not a member of the audience, so without the tag"));
    }
    accepted(&reply)?;
    Ok(Receipt::new(format!("no longer tagged {tag}")))
}

fn track_event(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let name = delivery
        .optional_input("event_name_override")
        .unwrap_or_else(|| delivery.event.event.clone());
    let name: String = name
        .trim()
        .chars()
        .map(|c| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => c,
            _ => '_',
        })
        .collect();
    if !(2..=30).contains(&name.len()) {
        let hint = "give the rule another with 2 to 30 characters";
        return Err(
            Failure::mapping(format!("Mailchimp cannot take the event name {name:?}; {hint}")).into(),
        );
    }
    let scalar = |(key, value): (&String, &Value)| match value {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        value => Some((key.clone(), text_of(value, "").into())),
    };
    let payload = delivery.event.payload().as_object().into_iter().flatten();
    let properties: Map<String, Value> = payload.filter_map(scalar).collect();
    let event = json!({
        "name": name, "properties": properties, "occurred_at": delivery.event.created_at_text(),
    });
    post_to_member(delivery, "/events", &event, http)?;
    Ok(Receipt::new(format!("tracked {name}")))
}

/// Posts below the member; somebody who is no member is added first, without being subscribed.
fn post_to_member(delivery: &Delivery, below: &str, body: &Value, http: &mut Http) -> Result<(), Stop> {
    let request = Request::post(member(delivery, below)?).json(body);
    let mut reply = http.send(request.clone())?;
    if reply.status == 404 {
        upsert(delivery, "transactional", http)?;
        reply = http.send(request)?;
    }
    Ok(accepted(&reply)?)
}

/// Creates the member with `status`, or updates what is there without touching its status.
fn upsert(delivery: &Delivery, status: &str, http: &mut Http) -> Result<Value, Stop> {
    let person = delivery.person();
    let mut fields = delivery.fields_or([("FNAME", person.first_name), ("LNAME", person.last_name)]);
    fields.remove("email");
    let mut body = json!({"email_address": delivery.email()?, "status_if_new": status});
    if let Some(ip) = fields.remove("ip_signup").filter(|ip| !ip.is_null()) {
        body["ip_signup"] = ip;
    }
    for value in fields.values_mut() {
        // An address is an object; everything else that is neither text nor number becomes text.
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Object(_)) {
            *value = text_of(value, ", ").into();
        }
    }
    body["merge_fields"] = fields.into();
    // A field that the audience's forms require must not keep an event from arriving.
    let request = Request::put(member(delivery, "")?).query("skip_merge_validation", "true");
    Ok(answer(http.send(request.json(&body))?)?)
}

/// Sets the status of a member. Mailchimp lets those who unsubscribed by themselves only confirm.
fn set_status(delivery: &Delivery, status: &str, http: &mut Http) -> Result<(), Stop> {
    let request = Request::patch(member(delivery, "")?).json(&json!({ "status": status }));
    Ok(accepted(&http.send(request)?)?)
}

/// The JSON of a success, or what Mailchimp's refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    accepted(&reply)?;
    reply.json()
}

/// Refusals are problem documents (RFC 7807), to be told apart by their title.
fn accepted(reply: &Reply) -> Result<(), Failure> {
    if reply.is_success() {
        return Ok(());
    }
    let mut failure = reply.failure();
    let problem = reply.json().unwrap_or_default();
    let Some(title) = problem["title"].as_str() else {
        // A 403 without a document comes from the gate that throttles.
        return Err(match reply.status {
            403 => Failure::rate_limited(failure.message).after_ms(failure.retry_after_ms),
            _ => failure,
        });
    };
    let wait = failure.retry_after_ms;
    let detail = problem["detail"].as_str().unwrap_or_default();
    let mut message = format!("Mailchimp answered {}, {title}: {detail}", reply.status);
    for error in items(&problem["errors"]).iter().take(5) {
        let (field, text) = (text_of(&error["field"], ""), text_of(&error["message"], ""));
        message.push_str(&format!(" {field}: {text}"));
    }
    failure.message = message;
    Err(match (reply.status, title) {
        // Somebody else created the member at the same moment; the next attempt updates it.
        (400, "Member Exists") => Failure::retryable(failure.message).after_ms(wait).at_most(3),
        (403, "User Disabled" | "Wrong Datacenter" | "API Key Invalid") => {
            Failure::authentication(failure.message)
        }
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
