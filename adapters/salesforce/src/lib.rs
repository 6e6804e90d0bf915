//! Salesforce contacts, campaign members and records of any object, by the REST API:
//! <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest.htm>.
//!
//! The contact is found by its email (the oldest of several), updated with the mapped fields or else
//! created, and then made a member of a campaign, or no member. Records are created or updated by an
//! external id, or only created.
//!
//! A duplicate changes nothing, but for `create_record`: Salesforce takes no idempotency key, so that an
//! attempt whose outcome is unknown and which is repeated may make the record twice. Two deliveries for a
//! new contact at the same moment may make two, unless a duplicate rule of the org forbids it.

use heddle_sdk::FailureKind;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod catalog;
mod contact;
mod record;

/// The version that the requests and answers are written for, and where it is.
const DATA: &str = "/services/data/v62.0";

/// The day's calls are counted over the last 24 hours, so that some become free with every hour.
const LIMIT_WAIT_MS: u64 = 900_000;

/// The destination.
pub struct Salesforce;

impl Adapter for Salesforce {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let mut api = Api::of(&delivery.connection, http)?;
        match delivery.action.as_str() {
            "add_to_campaign" => add_to_campaign(delivery, &mut api),
            "remove_from_campaign" => remove_from_campaign(delivery, &mut api),
            "update_property" => update_property(delivery, &mut api),
            "upsert_record" => record::upsert(delivery, &mut api),
            "create_record" => record::create(delivery, &mut api),
            _ => Err(delivery.unknown_action()),
        }
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let found = Api::of(connection, http)?.query("SELECT Name FROM Organization LIMIT 1")?;
        Ok(Account::named(text_at(&found, "/records/0/Name")?))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        let mut api = Api::of(&query.connection, http)?;
        match query.action.as_str() {
            "update_property" => catalog::picklists(query, &mut api),
            "upsert_record" | "create_record" => catalog::objects(query, &mut api),
            _ => catalog::campaigns(query, &mut api),
        }
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        catalog::fields(&mut Api::of(&query.connection, http)?)
    }
}

heddle_sdk::export!(Salesforce);

fn add_to_campaign(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let campaign = campaign(delivery)?;
    let contact = contact::upsert(delivery, Map::new(), api)?;
    let member = json!({"CampaignId": campaign, "ContactId": contact});
    let created = api.call(Request::post("/sobjects/CampaignMember").json(&member))?;
    if error_code(&created).as_deref() != Some("DUPLICATE_VALUE") {
        answer(&created)?;
    }
    Ok(Receipt::new(format!("the contact is in the campaign {campaign}")).external_id(contact))
}

fn remove_from_campaign(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let campaign = campaign(delivery)?;
    let contact = contact::upsert(delivery, Map::new(), api)?;
    let (of, who) = (quoted(&campaign), quoted(&contact));
    let found = api.query(&format!(
        "SELECT Id FROM CampaignMember WHERE CampaignId = {of} AND ContactId = {who} LIMIT 1"
    ))?;
    if let Some(member) = items(&found["records"]).first() {
        let removed = api.call(Request::delete(url!(
            "/sobjects/CampaignMember/{}",
            text_at(member, "/Id")?
        )?))?;
        // 404: somebody else removed it since.
        if removed.status != 404 {
            answer(&removed)?;
        }
    }
    Ok(Receipt::new(format!("the contact is not in the campaign {campaign}")).external_id(contact))
}

fn update_property(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let (property, value) = (name(&delivery.input("id")?)?, delivery.input("value")?);
    let property_is = Map::from_iter([(property.clone(), value.into())]);
    let contact = contact::upsert(delivery, property_is, api)?;
    Ok(Receipt::new(format!("the contact's {property} is set")).external_id(contact))
}

fn campaign(delivery: &Delivery) -> Result<String, Failure> {
    let id = delivery.input("id")?;
    if matches!(id.len(), 15 | 18) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Failure::mapping(format!(
        "{id:?} is no campaign's id, which has 15 or 18 letters and digits"
    )))
}

/// The API name of an object or field.
fn name(text: &str) -> Result<String, Failure> {
    let sound = |text: &str| {
        text.len() <= 80
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let text = text.trim();
    if !sound(text) {
        return Err(Failure::mapping(format!(
            "{text:?} is no API name, such as Student_Id__c"
        )));
    }
    Ok(text.to_owned())
}

/// A text as SOQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", escaped(text, "\\'"))
}

/// `text` with a backslash before each of the `special` characters, and blanks for what cannot be
/// written.
fn escaped(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(c) {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
    }
    escaped
}

/// The opt-outs that are left as they are unless the rule allows to end them.
fn without_opt_ins(delivery: &Delivery, mut fields: Map<String, Value>) -> Map<String, Value> {
    const OPT_OUTS: [&str; 3] = ["HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall"];
    if !delivery.is_on("resubscribe") {
        let is_opt_out = |key: &str| OPT_OUTS.iter().any(|one| one.eq_ignore_ascii_case(key));
        fields.retain(|key, value| !is_opt_out(key) || *value == true || *value == "true");
    }
    fields
}

/// The API of the connection's org.
struct Api<'a> {
    base: String,
    http: &'a mut Http,
}

impl<'a> Api<'a> {
    fn of(connection: &Connection, http: &'a mut Http) -> Result<Self, Failure> {
        let url = connection
            .setting("instance_url")
            .unwrap_or_default()
            .trim_end_matches('/');
        let host = url
            .strip_prefix("https://")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is_salesforces = host.ends_with(".salesforce.com") || host.ends_with(".force.com");
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.');
        if !is_salesforces || host.contains(foreign) {
            return Err(Failure::permanent(
                "the instance URL is none, such as https://acme.my.salesforce.com",
            ));
        }
        Ok(Self {
            base: format!("https://{host}{DATA}"),
            http,
        })
    }

    /// The reply to a request whose URL is a path below the version.
    fn call(&mut self, mut request: Request) -> Result<Reply, Stop> {
        request.url.insert_str(0, &self.base);
        self.http.send(request.header("Accept", "application/json"))
    }

    fn get(&mut self, path: &str) -> Result<Value, Stop> {
        Ok(answer(&self.call(Request::get(path))?)?)
    }

    /// The answer to a query in SOQL.
    fn query(&mut self, soql: &str) -> Result<Value, Stop> {
        let reply = self.call(Request::get("/query").query("q", soql))?;
        Ok(found(answer(&reply)?)?)
    }
}

/// The answer to a query, if it is one.
fn found(answer: Value) -> Result<Value, Failure> {
    if answer["records"].is_array() {
        Ok(answer)
    } else {
        Err(Failure::retryable("the answer has no /records"))
    }
}

/// The JSON of a success, `null` for one without a body, or what Salesforce's refusal means.
fn answer(reply: &Reply) -> Result<Value, Failure> {
    if !reply.is_success() {
        return Err(refusal(reply));
    }
    if reply.status == 204 {
        return Ok(Value::Null);
    }
    let body = reply.json()?;
    if body["success"] == false {
        return Err(refusal(reply).of_kind(FailureKind::Permanent));
    }
    Ok(body)
}

fn refusal(reply: &Reply) -> Failure {
    let failure = reply.failure();
    let wait = failure.retry_after_ms.unwrap_or(LIMIT_WAIT_MS);
    match (reply.status, error_code(reply).as_deref()) {
        (403, Some("REQUEST_LIMIT_EXCEEDED")) => failure.of_kind(FailureKind::RateLimited).after_ms(wait),
        // Somebody else writes the record, or the org is busy.
        (_, Some("UNABLE_TO_LOCK_ROW" | "QUERY_TIMEOUT" | "SERVER_UNAVAILABLE")) | (420, _) => {
            failure.of_kind(FailureKind::Retryable)
        }
        _ => failure,
    }
}

/// Salesforce's word for what went wrong: errors come as a list.
fn error_code(reply: &Reply) -> Option<String> {
    let errors = reply.json().ok().filter(|_| !reply.is_success())?;
    Some(errors[0]["errorCode"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests;
