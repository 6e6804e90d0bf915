//! ActiveCampaign contacts: <https://developers.activecampaign.com/reference/sync-a-contacts-data>.
//!
//! Every action but the removals first creates or updates the contact by its address. Nobody who
//! unsubscribed from a list is subscribed again unless the rule says so, and somebody who never was on
//! a list is not marked as having left it.
//!
//! A duplicate changes nothing, with two exceptions. `track_event` records the event again, since
//! ActiveCampaign cannot deduplicate events: an attempt whose outcome is unknown and which is repeated
//! may do so. `add_to_automation` enters the contact again if the automation allows that.

use heddle_sdk::prelude::*;

mod catalog;
mod contact;

/// The destination.
pub struct ActiveCampaign;

impl Adapter for ActiveCampaign {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "sync_contact" => {
                let contact = contact::sync(delivery, http)?;
                Ok(Receipt::new("the contact is up to date").external_id(contact))
            }
            "add_to_list" => add_to_list(delivery, http),
            "remove_from_list" => remove_from_list(delivery, http),
            "add_tag" => add_tag(delivery, http),
            "remove_tag" => remove_tag(delivery, http),
            "add_to_automation" => add_to_automation(delivery, http),
            "track_event" => track_event(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    /// Reads the key's own user.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let user = http.send(Request::get(format!("{}/users/me", api(connection)?)))?;
        let user = permitted(user)?;
        Ok(Account::named(text_at(&user, "/user/email")?))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        match query.action.as_str() {
            "add_tag" | "remove_tag" => catalog::tags(query, http),
            "add_to_automation" => catalog::named("automations", query, http),
            _ => catalog::named("lists", query, http),
        }
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(query, http)
    }
}

heddle_sdk::export!(ActiveCampaign);

/// The API of the account. People paste the URL with and without a path.
fn api(connection: &Connection) -> Result<String, Failure> {
    let host = connection
        .setting("api_url")
        .and_then(|url| url.trim().strip_prefix("https://"))
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .filter(|host| !host.is_empty())
        .ok_or_else(|| Failure::permanent("the connection has no API URL that begins with https://"))?;
    Ok(format!("https://{host}/api/3"))
}

/// The rule's list, tag or automation: ActiveCampaign numbers them all.
fn id(delivery: &Delivery) -> Result<u64, Failure> {
    let id = delivery.input("id")?;
    id.trim().parse().map_err(|_| {
        Failure::mapping(format!(
            "the rule's id {id:?} is no number, as ActiveCampaign's ids are"
        ))
    })
}

fn add_to_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = id(delivery)?;
    let contact = contact::sync(delivery, http)?;
    let membership = contact::related(delivery, &contact, "contactLists", "list", list, http)?;
    let status = membership.map(|membership| text_of(&membership["status"], ""));
    let message = match status.as_deref() {
        Some("1") => format!("the contact is on list {list}"),
        Some("2") if !delivery.is_on("resubscribe") => {
            format!(
                "the contact unsubscribed from list {list} and is left so, since the rule does not resubscribe"
            )
        }
        status => {
            contact::set_list(delivery, &contact, list, true, status == Some("2"), http)?;
            format!("the contact is on list {list}")
        }
    };
    Ok(Receipt::new(message).external_id(contact))
}

fn remove_from_list(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let list = id(delivery)?;
    let Some(contact) = contact::find(delivery, http)? else {
        return Ok(Receipt::new("there is no such contact, so it is on no list"));
    };
    let message = format!("the contact is not on list {list}");
    let membership = contact::related(delivery, &contact, "contactLists", "list", list, http)?;
    if membership.is_some_and(|membership| text_of(&membership["status"], "") != "2") {
        contact::set_list(delivery, &contact, list, false, false, http)?;
    }
    Ok(Receipt::new(message).external_id(contact))
}

fn add_tag(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let tag = id(delivery)?;
    let contact = contact::sync(delivery, http)?;
    let body = json!({"contactTag": {"contact": contact::number(&contact), "tag": tag}});
    let url = format!("{}/contactTags", api(&delivery.connection)?);
    answer(http.send(Request::post(url).json(&body))?)?;
    Ok(Receipt::new(format!("the contact has tag {tag}")).external_id(contact))
}

fn remove_tag(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let tag = id(delivery)?;
    let Some(contact) = contact::find(delivery, http)? else {
        return Ok(Receipt::new("there is no such contact, so it has no tag"));
    };
    if let Some(tagged) = contact::related(delivery, &contact, "contactTags", "tag", tag, http)? {
        let path = url!("/contactTags/{}", text_at(&tagged, "/id")?)?;
        let reply = http.send(Request::delete(api(&delivery.connection)? + &path))?;
        if reply.status != 404 {
            answer(reply)?;
        }
    }
    Ok(Receipt::new(format!("the contact does not have tag {tag}")).external_id(contact))
}

fn add_to_automation(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let automation = id(delivery)?;
    let contact = contact::sync(delivery, http)?;
    let body = json!({"contactAutomation": {"contact": contact::number(&contact), "automation": automation}});
    let url = format!("{}/contactAutomations", api(&delivery.connection)?);
    answer(http.send(Request::post(url).json(&body))?)?;
    Ok(Receipt::new(format!("the contact entered automation {automation}")).external_id(contact))
}

fn track_event(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let connection = &delivery.connection;
    let account = connection
        .setting("actid")
        .filter(|_| connection.has_secret("event_key"));
    let account = account.ok_or_else(|| {
        Failure::permanent("the connection lacks the account id (actid) or the event key of event tracking")
    })?;
    let name = delivery.optional_input("event_name_override");
    let name = name.unwrap_or_else(|| delivery.event.event.clone());
    if name.chars().count() > 32 {
        let hint = "give the rule another";
        return Err(Failure::mapping(format!(
            "the event name {name:?} has more than 32 characters; {hint}"
        ))
        .into());
    }
    let data = match delivery.optional_input("event_data") {
        Some(_) => delivery.template("event_data", Escape::None)?,
        None => String::new(),
    };
    let visit = json!({"email": delivery.email()?}).to_string();
    let contact = contact::sync(delivery, http)?;
    let mut form = vec![("actid", account), ("event", &name), ("visit", &visit)];
    if !data.is_empty() {
        form.push(("eventdata", &data));
    }
    let reply = http.send(Request::post("https://trackcmp.net/event").form(&form))?;
    // A refusal, too, may come with status 200.
    let body = answer(reply)?;
    if !matches!(text_of(&body["success"], "").as_str(), "1" | "true") {
        let reason = body["message"].as_str().unwrap_or("no reason given");
        return Err(Failure::permanent(format!("ActiveCampaign did not take the event: {reason}")).into());
    }
    Ok(Receipt::new(format!("tracked {name}")).external_id(contact))
}

/// The JSON of a success (nothing for an empty body), or what the refusal means.
fn answer(reply: Reply) -> Result<Value, Failure> {
    if reply.is_success() {
        return match reply.body.as_slice() {
            [] => Ok(Value::Null),
            _ => reply.json(),
        };
    }
    let mut failure = reply.failure();
    if let Ok(body) = reply.json() {
        let mut reasons = text_of(&body["message"], "");
        for error in items(&body["errors"]).iter().take(5) {
            for part in [&error["title"], &error["detail"], &error["source"]["pointer"]] {
                let text = text_of(part, "");
                if !text.is_empty() {
                    reasons.push(' ');
                    reasons.push_str(&text);
                }
            }
        }
        if !reasons.is_empty() {
            failure.message = format!(
                "ActiveCampaign answered {}: {}",
                reply.status,
                reasons.trim_start()
            );
        }
    }
    Err(failure)
}

/// [`answer`], where a 403 means that the key is wrong or its user may not see contacts at all: then
/// no action can work.
fn permitted(reply: Reply) -> Result<Value, Failure> {
    let status = reply.status;
    answer(reply).map_err(|failure| match status {
        403 => Failure::authentication(failure.message),
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
