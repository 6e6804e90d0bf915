//! Messages to Discord channels: <https://discord.com/developers/docs/resources/message#create-message>
//! and <https://discord.com/developers/docs/resources/webhook#execute-webhook>.
//!
//! Title and text as an embed: by a bot to the channel that the rule names, or by a webhook URL to the
//! channel that it belongs to. Nobody is mentioned, whatever the payload holds.
//!
//! A duplicate by a bot within a few minutes is dropped by Discord, since all attempts carry the same
//! nonce. Later, or by a webhook, Discord cannot deduplicate: an attempt whose outcome is unknown and
//! which is repeated may post the message twice.

use std::time::Duration;

use heddle_sdk::prelude::*;

/// The longest title and text of an embed, in UTF-16 units.
const MAX_TITLE: usize = 256;
const MAX_TEXT: usize = 4096;
/// How many servers a page of choices looks into: each one is a request.
const SERVERS_A_PAGE: usize = 10;

/// The destination.
pub struct Discord;

impl Adapter for Discord {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        if delivery.action != "send_message" {
            return Err(delivery.unknown_action());
        }
        let mut message = message(delivery)?;
        let way = Way::of(&delivery.connection)?;
        let request = match way {
            Way::Bot => {
                message["nonce"] = nonce(&delivery.id).into();
                message["enforce_nonce"] = true.into();
                let channel = delivery.input("id")?;
                Request::post(url!("https://discord.com/api/v10/channels/{}/messages", channel)?)
            }
            // Without `wait` a message that is not saved is not reported.
            Way::Webhook => Request::post("credential:webhook_url").query("wait", "true"),
        };
        let posted = way.call(request.json(&message), http)?;
        let receipt = Receipt::new("posted");
        Ok(match text_at(&posted, "/id") {
            Ok(id) => receipt.external_id(id),
            Err(_) => receipt,
        })
    }

    /// Asks for the bot's own name, or for the webhook's, and posts nothing.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let way = Way::of(connection)?;
        let (request, name) = match way {
            Way::Bot => (Request::get("https://discord.com/api/v10/users/@me"), "/username"),
            Way::Webhook => (Request::get("credential:webhook_url"), "/name"),
        };
        let found = way.call(request, http)?;
        Ok(match text_at(&found, name) {
            Ok(name) => Account::named(name),
            Err(_) => Account::unnamed("Discord accepts the credential"),
        })
    }

    /// The text and announcement channels of the bot's servers, some servers a page.
    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        let way = Way::of(&query.connection)?;
        if way == Way::Webhook {
            return Ok(Choices::default()); // Its channel is fixed.
        }
        let mut list = Request::get("https://discord.com/api/v10/users/@me/guilds")
            .query("limit", &SERVERS_A_PAGE.to_string());
        if let Some(cursor) = &query.cursor {
            list = list.query("after", cursor);
        }
        let servers = way.call(list, http)?;
        let servers = items(&servers);
        let mut choices = Vec::new();
        for server in servers {
            let id = text_at(server, "/id")?;
            let list = Request::get(url!("https://discord.com/api/v10/guilds/{}/channels", id)?);
            let reply = http.send(agent(list))?;
            if matches!(reply.status, 403 | 404) {
                continue; // The bot was just removed from this server.
            }
            let channels = way.answer(&reply)?;
            let named = |channel: &Value| {
                let takes_messages = matches!(channel["type"].as_i64(), Some(0 | 5));
                let label = format!("#{} ({})", channel["name"].as_str()?, server["name"].as_str()?);
                (takes_messages && query.matches(&label))
                    .then(|| Some(Choice::new(channel["id"].as_str()?, label)))?
            };
            choices.extend(items(&channels).iter().filter_map(named));
        }
        let last = servers.last().filter(|_| servers.len() >= SERVERS_A_PAGE);
        Ok(Choices {
            choices,
            next_cursor: last.and_then(|server| text_at(server, "/id").ok()),
        })
    }
}

heddle_sdk::export!(Discord);

/// The rule's title and text as an embed.
fn message(delivery: &Delivery) -> Result<Value, Failure> {
    let text = delivery.template("template", Escape::Markdown)?;
    if text.trim().is_empty() {
        return Err(Failure::mapping(
            "the message is empty once its template is filled",
        ));
    }
    let mut embed = json!({"description": cut(text, MAX_TEXT)});
    if delivery.optional_input("title").is_some() {
        let title = delivery.template("title", Escape::Markdown)?;
        if !title.trim().is_empty() {
            embed["title"] = cut(title, MAX_TITLE).into();
        }
    }
    Ok(json!({"embeds": [embed], "allowed_mentions": {"parse": []}}))
}

/// A message that is too long says most of what it should when it is cut, and nothing when refused.
fn cut(mut text: String, limit: usize) -> String {
    let mut length = 0;
    let mut keep = 0;
    for (start, c) in text.char_indices() {
        length += c.len_utf16();
        if length < limit {
            keep = start + c.len_utf8();
        }
    }
    if length > limit {
        text.truncate(keep);
        text.push('…');
    }
    text
}

/// What Discord deduplicates by: at most 25 characters. Of a delivery's id the first 25 digits.
fn nonce(id: &str) -> String {
    id.chars().filter(|c| *c != '-').take(25).collect()
}

/// Discord asks its clients to name themselves in this form, and blocks others.
fn agent(request: Request) -> Request {
    let agent = concat!("DiscordBot (urn:heddle, ", env!("CARGO_PKG_VERSION"), ")");
    request.header("User-Agent", agent)
}

/// How this connection posts.
#[derive(Clone, Copy, PartialEq)]
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
                "the connection has neither a bot token nor a webhook URL",
            ))
        }
    }

    fn call(self, request: Request, http: &mut Http) -> Result<Value, Stop> {
        Ok(self.answer(&http.send(agent(request))?)?)
    }

    /// The JSON of a success, or what Discord's refusal means.
    fn answer(self, reply: &Reply) -> Result<Value, Failure> {
        match reply.status {
            204 => return Ok(Value::Null),
            _ if reply.is_success() => return reply.json(),
            _ => {}
        }
        let failure = reply.failure();
        let refusal = reply.json().unwrap_or_default();
        Err(match (reply.status, refusal["code"].as_i64()) {
            (429, _) => {
                let wait = wait_ms(&refusal["retry_after"]);
                failure.after_ms(wait.or_else(|| reply.wait_ms("x-ratelimit-reset-after")))
            }
            // Unknown webhook, unknown channel: a webhook's channel is its only one. A bot has others,
            // so its rule alone fails.
            (404, Some(10_015 | 10_003)) if self == Self::Webhook => Failure::gone(failure.message),
            (404, Some(10_003)) => Failure::permanent(format!(
                "the channel is gone, or the bot cannot see it; {}",
                failure.message
            )),
            // Invalid authentication token, invalid webhook token.
            (_, Some(50_014 | 50_027)) => Failure::authentication(failure.message),
            // What stands in front of Discord blocks this address for a while.
            (403, Some(40_333)) => Failure::retryable(failure.message).after_ms(reply.retry_after_ms()),
            _ => failure,
        })
    }
}

/// Seconds with a fraction, such as 1.337.
fn wait_ms(seconds: &Value) -> Option<u64> {
    let wait = Duration::try_from_secs_f64(seconds.as_f64()?).ok()?;
    u64::try_from(wait.as_millis()).ok()
}

#[cfg(test)]
mod tests;
