//! Messages to Slack: <https://docs.slack.dev/reference/methods/chat.postMessage>.
//!
//! By bot token to the channel that the rule names, or to the person who has an e-mail address; or by an
//! incoming-webhook URL to the channel that it belongs to. Slack cannot deduplicate: a second delivery
//! of the same event, after an attempt whose outcome is unknown, posts the message twice.
//!
//! The Web API answers 200 to nearly everything and says in the body whether it worked.

use heddle_sdk::address;
use heddle_sdk::prelude::*;

/// The destination.
pub struct Slack;

impl Adapter for Slack {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let direct = match delivery.action.as_str() {
            "send_message" => false,
            "send_direct_message" => true,
            _ => return Err(delivery.unknown_action()),
        };
        let text = delivery.template("template", Escape::SlackMrkdwn)?;
        if text.trim().is_empty() {
            return Err(Failure::mapping("the message is empty once its template is filled").into());
        }
        match Way::of(&delivery.connection)? {
            Way::Bot if direct => post_to_person(&recipient(delivery)?, &text, http),
            Way::Bot => post_to_channel(&delivery.input("id")?, &text, http),
            Way::Webhook if direct => Err(Failure::permanent(
                "an incoming webhook posts to its channel only; direct messages need a bot token",
            )
            .into()),
            Way::Webhook => post_by_webhook(&text, http),
        }
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        match Way::of(connection)? {
            Way::Bot => {
                let answer = call(http, "auth.test", &json!({}))?.or_failure()?;
                Ok(Account::named(text_at(&answer.body, "/team")?))
            }
            Way::Webhook => Ok(Account::unnamed(
                "an incoming webhook can only be tried by posting; nothing was sent",
            )),
        }
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        if Way::of(&query.connection)? == Way::Webhook {
            return Ok(Choices::default()); // Its channel is fixed.
        }
        let list = |types| {
            let request = Request::get("https://slack.com/api/conversations.list").query("types", types);
            let request = request.query("exclude_archived", "true").query("limit", "200");
            match &query.cursor {
                Some(cursor) => request.query("cursor", cursor),
                None => request,
            }
        };
        let mut answer = Answer::of(http.send(list("public_channel,private_channel"))?)?;
        if answer.error() == Some("missing_scope") {
            answer = Answer::of(http.send(list("public_channel"))?)?;
        }
        let page = answer.or_failure()?.body;
        let channels = items(&page["channels"]);
        let named = |channel: &Value| {
            Some((
                channel["id"].as_str()?.to_owned(),
                channel["name"].as_str()?.to_owned(),
            ))
        };
        Ok(Choices {
            choices: channels
                .iter()
                .filter_map(named)
                .filter(|(_, name)| query.matches(name))
                .map(|(id, name)| Choice::new(id, format!("#{name}")))
                .collect(),
            next_cursor: text_at(&page, "/response_metadata/next_cursor").ok(),
        })
    }
}

heddle_sdk::export!(Slack);

/// How this connection posts.
#[derive(PartialEq)]
enum Way {
    Bot,
    Webhook,
}

impl Way {
    fn of(connection: &Connection) -> Result<Self, Failure> {
        if connection.has_secret("access_token") {
            Ok(Self::Bot)
        } else if connection.has_secret("webhook_url") {
            Ok(Self::Webhook)
        } else {
            Err(Failure::authentication(
                "the connection has neither a bot token nor an incoming webhook URL",
            ))
        }
    }
}

/// Whom a direct message is for: the rule's address, filled from the payload, or else the event's.
fn recipient(delivery: &Delivery) -> Result<String, Failure> {
    match delivery.optional_input("email") {
        Some(_) => address(&delivery.template("email", Escape::None)?),
        None => delivery.email(),
    }
}

/// Posts to the member of the workspace who has the address.
fn post_to_person(email: &str, text: &str, http: &mut Http) -> Result<Receipt, Stop> {
    // This one method takes no JSON.
    let look_up = Request::get("https://slack.com/api/users.lookupByEmail").query("email", email);
    let found = Answer::of(http.send(look_up)?)?;
    if found.error() == Some("users_not_found") {
        let message = "Slack says users_not_found: nobody in the workspace has this address";
        return Err(Failure::permanent(message).into());
    }
    let person = text_at(&found.or_failure()?.body, "/user/id")?;
    let opened = call(http, "conversations.open", &json!({"users": person}))?.or_failure()?;
    let channel = text_at(&opened.body, "/channel/id")?;
    let posted = call(http, "chat.postMessage", &message_to(&channel, text))?.or_failure()?;
    Ok(receipt(format!("sent to {person}"), &posted))
}

/// Posts to a channel; joins it first when it turns out that the bot has to.
fn post_to_channel(channel: &str, text: &str, http: &mut Http) -> Result<Receipt, Stop> {
    let message = message_to(channel, text);
    let mut answer = call(http, "chat.postMessage", &message)?;
    if answer.error() == Some("not_in_channel") {
        let joined = call(http, "conversations.join", &json!({ "channel": channel }))?;
        if let Err(mut failure) = joined.or_failure() {
            failure
                .message
                .insert_str(0, "not in the channel, and joining failed; invite the app. ");
            return Err(failure.into());
        }
        answer = call(http, "chat.postMessage", &message)?;
    }
    Ok(receipt(format!("posted to {channel}"), &answer.or_failure()?))
}

fn message_to(channel: &str, text: &str) -> Value {
    json!({"channel": channel, "text": text, "unfurl_links": false, "unfurl_media": false})
}

fn receipt(message: String, posted: &Answer) -> Receipt {
    let receipt = Receipt::new(message);
    match posted.body["ts"].as_str() {
        Some(ts) => receipt.external_id(ts),
        None => receipt,
    }
}

/// Posts to the channel of the incoming webhook, which answers with a word in plain text.
fn post_by_webhook(text: &str, http: &mut Http) -> Result<Receipt, Stop> {
    let message = json!({"text": text, "unfurl_links": false, "unfurl_media": false});
    let reply = http.send(Request::post("credential:webhook_url").json(&message))?;
    let word = reply.text().trim().to_owned();
    match (reply.status, word.as_str()) {
        (404 | 410, _) => Err(Failure::gone(reply.failure().message).into()),
        (403, "invalid_token") => Err(Failure::authentication(reply.failure().message).into()),
        _ => {
            reply.success()?;
            Ok(Receipt::new("posted by the incoming webhook"))
        }
    }
}

/// Calls a method of the Web API.
fn call(http: &mut Http, method: &str, arguments: &Value) -> Result<Answer, Stop> {
    let request = Request::post(format!("https://slack.com/api/{method}"))
        .body("application/json; charset=utf-8", arguments.to_string());
    Ok(Answer::of(http.send(request)?)?)
}

/// An answer of the Web API: HTTP 200, whether it worked or not.
struct Answer {
    body: Value,
    wait_ms: Option<u64>,
}

impl Answer {
    fn of(reply: Reply) -> Result<Self, Failure> {
        let reply = reply.success()?;
        Ok(Self {
            body: reply.json()?,
            wait_ms: reply.retry_after_ms(),
        })
    }

    /// Slack's word for what went wrong.
    fn error(&self) -> Option<&str> {
        match self.body["ok"].as_bool() {
            Some(true) => None,
            _ => Some(self.body["error"].as_str().unwrap_or("an answer without ok")),
        }
    }

    /// This answer, unless it says that the method did not work.
    fn or_failure(self) -> Result<Self, Failure> {
        let Some(error) = self.error() else {
            return Ok(self);
        };
        let message = match self.body["needed"].as_str() {
            Some(scope) => format!("Slack says {error}: the app needs the scope {scope}"),
            None => format!("Slack says {error}"),
        };
        let failure = match error {
            "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" => {
                Failure::authentication(message)
            }
            "ratelimited" | "rate_limited" => Failure::rate_limited(message),
            "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "an answer without ok" => Failure::retryable(message),
            _ => Failure::permanent(message),
        };
        Err(failure.after_ms(self.wait_ms))
    }
}

#[cfg(test)]
mod tests;
