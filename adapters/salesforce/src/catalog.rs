//! What an org has to offer: campaigns, objects, and the fields of its contacts.

use heddle_sdk::prelude::*;

use crate::{Api, answer, escaped, found};

/// All campaigns, active ones first, by pages of a query that Salesforce keeps open.
pub fn campaigns(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let request = match &query.cursor {
        Some(cursor) => Request::get(url!("/query/{}", cursor)?),
        None => {
            let like = query.search().map(|search| {
                let part = escaped(search, "\\'%_");
                format!(" WHERE Name LIKE '%{part}%'")
            });
            let soql = format!(
                "SELECT Id, Name FROM Campaign{} ORDER BY IsActive DESC, Name ASC",
                like.unwrap_or_default()
            );
            Request::get("/query").query("q", &soql)
        }
    };
    let page = found(answer(
        &api.call(request.header("Sforce-Query-Options", "batchSize=200"))?,
    )?)?;
    let choice = |campaign: &Value| Some(Choice::new(campaign["Id"].as_str()?, campaign["Name"].as_str()?));
    let next = page["nextRecordsUrl"]
        .as_str()
        .and_then(|url| url.rsplit('/').next());
    Ok(Choices {
        choices: items(&page["records"]).iter().filter_map(choice).collect(),
        next_cursor: next.map(str::to_owned),
    })
}

/// The objects that records can be made of.
pub fn objects(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let all = api.get("/sobjects")?;
    let choice = |object: &Value| {
        let name = object["name"].as_str()?;
        let label = object["label"].as_str().unwrap_or(name);
        let meant = query.matches(label) || query.matches(name);
        (object["createable"] == true && meant).then(|| Choice::new(name, label))
    };
    Ok(Choices {
        choices: items(&all["sobjects"]).iter().filter_map(choice).collect(),
        next_cursor: None,
    })
}

/// The contact's picklists, each with its values.
pub fn picklists(query: &Query, api: &mut Api) -> Result<Choices, Stop> {
    let contact = api.get("/sobjects/Contact/describe")?;
    let choice = |field: &Value| {
        let (name, label) = named(field)?;
        let is_picklist = matches!(field["type"].as_str(), Some("picklist" | "multipicklist"));
        let options = values(field)
            .map(|(value, label)| Choice::new(value, label))
            .collect();
        let offered = is_picklist && field["updateable"] == true && query.matches(label);
        offered.then(|| Choice::new(name, label).options(options))
    };
    Ok(Choices {
        choices: items(&contact["fields"]).iter().filter_map(choice).collect(),
        next_cursor: None,
    })
}

/// The contact's fields that can be written.
pub fn fields(api: &mut Api) -> Result<Vec<CatalogField>, Stop> {
    let contact = api.get("/sobjects/Contact/describe")?;
    Ok(items(&contact["fields"]).iter().filter_map(field).collect())
}

fn field(field: &Value) -> Option<CatalogField> {
    let (name, label) = named(field)?;
    if field["createable"] != true && field["updateable"] != true {
        return None;
    }
    let kind = match field["type"].as_str()? {
        "boolean" => FieldType::Boolean,
        "int" | "double" | "currency" | "percent" | "long" => FieldType::Number,
        "date" => FieldType::Date,
        "datetime" => FieldType::Datetime,
        "picklist" if field["restrictedPicklist"] == true => FieldType::Enum,
        "multipicklist" => FieldType::MultiEnum,
        "address" | "location" | "base64" | "anyType" | "complexvalue" => return None,
        _ => FieldType::String,
    };
    let mut catalog = CatalogField::new(name, label, kind)
        .description(field["inlineHelpText"].as_str().unwrap_or_default());
    if name == "Email" {
        catalog = catalog.constraint("required", true);
    }
    if let Some(format @ ("email" | "phone" | "url")) = field["type"].as_str() {
        catalog = catalog.constraint("format", format);
    }
    match (kind, field["length"].as_u64()) {
        (FieldType::Enum | FieldType::MultiEnum, _) => {
            let allowed: Vec<&str> = values(field).map(|(value, _)| value).collect();
            catalog = catalog.constraint("allowed_values", allowed);
        }
        (FieldType::String, Some(length @ 1..)) => catalog = catalog.constraint("max_length", length),
        _ => {}
    }
    Some(catalog)
}

fn named(field: &Value) -> Option<(&str, &str)> {
    let name = field["name"].as_str()?;
    Some((name, field["label"].as_str().unwrap_or(name)))
}

/// The values of a picklist that are in use, with their labels.
fn values(field: &Value) -> impl Iterator<Item = (&str, &str)> {
    let active = items(&field["picklistValues"])
        .iter()
        .filter(|value| value["active"] != false);
    active.filter_map(|value| {
        let name = value["value"].as_str()?;
        Some((name, value["label"].as_str().unwrap_or(name)))
    })
}
