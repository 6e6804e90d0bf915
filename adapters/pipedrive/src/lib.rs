//! Pipedrive persons, their fields and their labels, by the second version of the API:
//! <https://developers.pipedrive.com/docs/api/v1/Persons>.
//!
//! The person is searched by email, read, and written with only what changes; there is no call that
//! adds one label or one telephone number, so that the whole list is written with it. A duplicate
//! therefore reads and writes nothing. Pipedrive takes no idempotency key and does not keep addresses
//! unique, and its search is some seconds behind: two deliveries for a new person at the same moment, or
//! a repetition right after a lost answer, may create the person twice. A label that somebody sets
//! between the read and the write is lost.

use heddle_sdk::FailureKind;
use heddle_sdk::prelude::*;
use heddle_sdk::serde_json::Map;

mod field;
mod person;

/// How long to leave the account alone when the day's budget is used up, or when Pipedrive's guard
/// shuts it out for asking too often.
const LONG_WAIT_MS: u64 = 3_600_000;

/// The destination.
pub struct Pipedrive;

impl Adapter for Pipedrive {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        let mut api = Api::of(&delivery.connection, http);
        match delivery.action.as_str() {
            "sync_person" => person::sync(delivery, Map::new(), None, &mut api),
            "update_person_field" => update_person_field(delivery, &mut api),
            "add_label_to_person" => {
                let label = label(delivery)?;
                person::sync(delivery, Map::new(), Some(label), &mut api)
            }
            "remove_label_from_person" => person::remove_label(delivery, label(delivery)?, &mut api),
            _ => Err(delivery.unknown_action()),
        }
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let me = Api::of(connection, http).call(Request::get("/api/v1/users/me"))?;
        Ok(Account::named(text_at(&me, "/data/company_name")?))
    }

    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        let mut api = Api::of(&query.connection, http);
        match query.action.as_str() {
            "update_person_field" => field::with_options(query, &mut api),
            _ => field::labels(query, &mut api),
        }
    }

    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        field::catalog(&mut Api::of(&query.connection, http))
    }
}

heddle_sdk::export!(Pipedrive);

fn update_person_field(delivery: &Delivery, api: &mut Api) -> Result<Receipt, Stop> {
    let (field, value) = (delivery.input("id")?, delivery.input("value")?);
    person::sync(delivery, Map::from_iter([(field, value.into())]), None, api)
}

fn label(delivery: &Delivery) -> Result<u64, Failure> {
    let id = delivery.input("id")?;
    id.parse()
        .map_err(|_| Failure::mapping(format!("{id:?} is no label's id, which is a number")))
}

/// The API of the connection's company.
struct Api<'a> {
    base: String,
    http: &'a mut Http,
}

impl<'a> Api<'a> {
    fn of(connection: &Connection, http: &'a mut Http) -> Self {
        let company = connection.setting("company_domain").unwrap_or("api");
        Self {
            base: format!("https://{company}.pipedrive.com"),
            http,
        }
    }

    /// The answer to a request whose URL is a path, or what Pipedrive's refusal means.
    fn call(&mut self, request: Request) -> Result<Value, Stop> {
        Ok(answer(&self.send(request)?)?)
    }

    fn send(&mut self, mut request: Request) -> Result<Reply, Stop> {
        request.url.insert_str(0, &self.base);
        self.http.send(request)
    }
}

/// The JSON of a success, which says so in the body too.
fn answer(reply: &Reply) -> Result<Value, Failure> {
    if !reply.is_success() {
        return Err(refusal(reply));
    }
    let body = reply.json()?;
    match body["success"].as_bool() {
        Some(true) => Ok(body),
        Some(false) => Err(refusal(reply)),
        None => Err(Failure::retryable(
            "the answer does not say whether it is a success",
        )),
    }
}

fn refusal(reply: &Reply) -> Failure {
    let failure = reply.failure();
    match reply.status {
        // The account is not open: its trial is over, or it is not paid.
        402 => failure.of_kind(FailureKind::Authentication),
        // No answer of the API: the guard before it blocks whoever did not heed rate limits.
        403 if reply.json().is_err() => failure.of_kind(FailureKind::RateLimited).after_ms(LONG_WAIT_MS),
        429 if reply.header("x-daily-ratelimit-token-remaining").map(str::trim) == Some("0") => {
            failure.after_ms(LONG_WAIT_MS)
        }
        429 => {
            let window = reply.wait_ms("x-ratelimit-reset").unwrap_or(0);
            let wait = failure.retry_after_ms.unwrap_or(0).max(window).max(2_000);
            failure.after_ms(wait)
        }
        501 => failure.of_kind(FailureKind::Permanent),
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
