//! What an account has to offer: its lists, and their custom fields.

use heddle_sdk::prelude::*;

use crate::{MAX_EMAIL, OWN_FIELDS, account, answer};

const PAGE: u64 = 100;
/// Each list costs a request of its own, and one question may make sixteen.
const LISTS_IN_DEPTH: usize = 10;

/// The lists; AWeber finds them by their whole name only, so they are searched here.
pub fn lists(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
    let account = account(&query.connection, http)?;
    let page = page(&account, query.offset(), PAGE, http)?;
    let choice = |list: &Value| {
        let name = list["name"].as_str().filter(|name| query.matches(name))?;
        Some(Choice::new(text_at(list, "/id").ok()?, name))
    };
    let entries = items(&page["entries"]);
    let more = page["next_collection_link"].is_string() && !entries.is_empty();
    let seen = query
        .offset()
        .saturating_add(u64::try_from(entries.len()).unwrap_or(PAGE));
    Ok(Choices {
        choices: entries.iter().filter_map(choice).collect(),
        next_cursor: more.then(|| seen.to_string()),
    })
}

/// AWeber's own fields, and the custom fields of all lists by their name.
pub fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
    let mut fields = vec![
        CatalogField::new("email", "Email", FieldType::String)
            .constraint("required", true)
            .constraint("format", "email")
            .constraint("max_length", MAX_EMAIL),
    ];
    let labels = ["Name", "Ad tracking", "Notes", "IP address"];
    for ((key, limit), label) in OWN_FIELDS.into_iter().zip(labels) {
        let mut field = CatalogField::new(key, label, FieldType::String);
        if key == "ip_address" {
            field = field.description("A public address, taken only when the subscriber is created.");
        }
        fields.push(field.constraint("max_length", limit));
    }
    let account = account(&query.connection, http)?;
    let page = page(&account, 0, PAGE, http)?;
    let mut seen: Vec<String> = Vec::new();
    for list in items(&page["entries"]).iter().take(LISTS_IN_DEPTH) {
        let id = text_at(list, "/id")?;
        let url = url!(
            "https://api.aweber.com/1.0/accounts/{}/lists/{}/custom_fields",
            account,
            id
        )?;
        let found = answer(http.send(Request::get(url).query("ws.size", "100"))?)?;
        for field in items(&found["entries"]) {
            let Some(name) = field["name"].as_str() else {
                continue;
            };
            let own = name == "email" || OWN_FIELDS.iter().any(|(key, _)| *key == name);
            if !own && !seen.iter().any(|known| known == name) {
                seen.push(name.to_owned());
                fields.push(CatalogField::new(name, name, FieldType::String));
            }
        }
    }
    Ok(fields)
}

fn page(account: &str, start: u64, size: u64, http: &mut Http) -> Result<Value, Stop> {
    let request = Request::get(url!("https://api.aweber.com/1.0/accounts/{}/lists", account)?)
        .query("ws.start", &start.to_string())
        .query("ws.size", &size.to_string());
    Ok(answer(http.send(request)?)?)
}
