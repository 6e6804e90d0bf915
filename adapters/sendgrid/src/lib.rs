//! E-mail by Twilio SendGrid: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>.
//!
//! SendGrid cannot deduplicate: a second delivery of the same event, after an attempt whose outcome is
//! unknown, sends the e-mail twice. Both carry the delivery's id as the custom argument
//! `heddle_delivery_id`, which SendGrid's event webhook repeats.

use heddle_sdk::Mailbox;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

/// The destination.
pub struct SendGrid;

impl Adapter for SendGrid {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let content = match delivery.action.as_str() {
            "send_email_template" => by_template(delivery)?,
            "send_email" => by_body(delivery)?,
            _ => return Err(delivery.unknown_action()),
        };
        let request = mail(&delivery.connection, message(delivery, content)?);
        let sent = accepted(http.send(request)?)?;
        let receipt = Receipt::new("SendGrid took the e-mail");
        Ok(match sent.header("x-message-id") {
            Some(id) => receipt.external_id(id),
            None => receipt,
        })
    }

    /// With a default sender, a send in sandbox mode: SendGrid looks at the key and the message, and
    /// delivers nothing. Without one, the list of what the key may do.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let Some(from) = connection.setting("from") else {
            return check_scopes(connection, http);
        };
        // A setting that cannot work is refused when it is saved.
        let from = Mailbox::parse(from).map_err(|failure| Failure::permanent(failure.message))?;
        let to = json!([{"email": from.email}]);
        let message = json!({
            "personalizations": [{ "to": to }], "from": as_json(from), "subject": "Heddle looks at the connection",
            "content": [{"type": "text/plain", "value": "Sandbox mode: never delivered."}],
            "mail_settings": {"sandbox_mode": {"enable": true}},
        });
        accepted(http.send(mail(connection, message))?)?;
        Ok(Account::unnamed(
            "SendGrid accepts the key and the sender in sandbox mode; nothing was sent",
        ))
    }

    /// The account's dynamic templates, page by page.
    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        if query.action != "send_email_template" {
            return Ok(Choices::default());
        }
        let mut list = Request::get(format!("{}/templates", api(&query.connection)))
            .query("generations", "dynamic")
            .query("page_size", "200");
        // The token as it stood in a link: encoded already, and nothing else is let in.
        let encoded = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        if let Some(token) = query.cursor.as_deref().filter(|token| token.chars().all(encoded)) {
            list.url.push_str("&page_token=");
            list.url.push_str(token);
        }
        let page = accepted(http.send(list)?)?.json()?;
        let choice = |template: &Value| {
            let (id, name) = (template["id"].as_str()?, template["name"].as_str()?);
            query.matches(name).then(|| Choice::new(id, name))
        };
        let next = page["_metadata"]["next"].as_str();
        let token = next.and_then(|link| {
            link.split(['?', '&'])
                .find_map(|part| part.strip_prefix("page_token="))
        });
        Ok(Choices {
            choices: items(&page["result"]).iter().filter_map(choice).collect(),
            next_cursor: token.map(str::to_owned),
        })
    }

    fn fields(_: &Query, _: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        Ok(vec![
            CatalogField::new("email", "Email", FieldType::String)
                .constraint("required", true)
                .constraint("format", "email"),
            CatalogField::new("template_variables", "Template variables", FieldType::Object)
                .description("Names and values for a template; or map template_variables.NAME one by one."),
        ])
    }
}

heddle_sdk::export!(SendGrid);

fn api(connection: &Connection) -> &'static str {
    match connection.setting("region") {
        Some("eu") => "https://api.eu.sendgrid.com/v3",
        _ => "https://api.sendgrid.com/v3",
    }
}

fn mail(connection: &Connection, message: Value) -> Request {
    Request::post(format!("{}/mail/send", api(connection))).json(&message)
}

fn check_scopes(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
    let list = Request::get(format!("{}/scopes", api(connection)));
    let may = accepted(http.send(list)?)?.json()?;
    if !items(&may["scopes"]).iter().any(|scope| scope == "mail.send") {
        return Err(
            Failure::permanent("the key may not send e-mail: it lacks the permission mail.send").into(),
        );
    }
    Ok(Account::unnamed("the key may send e-mail; nothing was sent"))
}

/// A template that SendGrid keeps, with the mapped variables or else all that is known. SendGrid takes
/// the subject from the template, which may name `{{subject}}`.
fn by_template(delivery: &Delivery) -> Result<Value, Failure> {
    let mut data = delivery
        .template_variables()
        .unwrap_or_else(|| delivery.members());
    let mut content = json!({"template_id": delivery.input("id")?});
    if let Some(subject) = delivery.line("subject")? {
        data.insert("subject".into(), subject.clone().into());
        content["subject"] = subject.into();
    }
    content["personalizations"] = json!([{ "dynamic_template_data": data }]);
    Ok(content)
}

fn by_body(delivery: &Delivery) -> Result<Value, Failure> {
    let subject = delivery.line("subject")?;
    let subject = subject.ok_or_else(|| Failure::mapping("the rule's \"subject\" is missing or empty"))?;
    Ok(json!({
        "subject": subject, "content": [{"type": "text/html", "value": delivery.html("body")?}],
        "personalizations": [Map::new()],
    }))
}

/// The content with its sender, its one recipient and what tells the delivery.
fn message(delivery: &Delivery, mut content: Value) -> Result<Value, Failure> {
    let from = delivery.optional_input("from");
    let from = from.as_deref().or_else(|| delivery.connection.setting("from"));
    let from = from.ok_or_else(|| Failure::mapping("neither the rule nor the connection names a sender"))?;
    content["from"] = as_json(Mailbox::parse(from)?);
    let envelope = &mut content["personalizations"][0];
    envelope["to"] = json!([{"email": delivery.email()?}]);
    envelope["custom_args"] = json!({"heddle_delivery_id": delivery.id});
    Ok(content)
}

fn as_json(mailbox: Mailbox) -> Value {
    match mailbox.name {
        Some(name) => json!({"email": mailbox.email, "name": name}),
        None => json!({"email": mailbox.email}),
    }
}

/// A success, or what SendGrid's refusal means.
fn accepted(reply: Reply) -> Result<Reply, Failure> {
    if reply.is_success() {
        return Ok(reply);
    }
    let failure = reply.failure();
    let wait = failure.retry_after_ms;
    Err(match reply.status {
        // A key that is good, of an account that has used up what it paid for: an hourly look finds
        // the end.
        401 if failure.message.contains("Maximum credits exceeded") => {
            Failure::rate_limited(failure.message).after_ms(wait.or(Some(3_600_000)))
        }
        429 => failure.after_ms(wait.or_else(|| reply.wait_until_ms("x-ratelimit-reset"))),
        _ => failure,
    })
}

#[cfg(test)]
mod tests;
