//! What destinations have, and how fields are mapped to it.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// The live data of a connection's actions.
#[derive(ToSchema)]
pub struct ActionData {
    connection_id: Uuid,
    integration_type: String,
    /// By the action's key, then by the member of the rule's metadata that the picked id is for.
    actions: std::collections::BTreeMap<String, std::collections::BTreeMap<String, Choices>>,
}

/// One page of things to pick from, or why there is none.
#[derive(ToSchema)]
pub struct Choices {
    choices: Option<Vec<Choice>>,
    next_cursor: Option<String>,
    #[schema(format = DateTime)]
    refreshed_at: Option<String>,
    age_seconds: Option<u64>,
    /// The destination could not be asked; this is what it said before.
    stale: Option<bool>,
    error: Option<Trouble>,
}

#[derive(ToSchema)]
#[schema(no_recursion)]
pub struct Choice {
    id: String,
    label: String,
    options: Option<Vec<Choice>>,
}

/// Why the destination could not be asked.
#[derive(ToSchema)]
pub struct Trouble {
    code: String,
    message: String,
}

/// What fields a destination has.
#[derive(ToSchema)]
pub struct FieldCatalog {
    id: Uuid,
    workspace_id: Uuid,
    connection_id: Uuid,
    integration_type: String,
    /// Changes when the fields do.
    catalog_version: String,
    #[schema(format = DateTime)]
    refreshed_at: String,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    fields: Vec<CatalogField>,
    age_seconds: u64,
    stale: bool,
    error: Option<Trouble>,
}

#[derive(ToSchema)]
pub struct CatalogField {
    key: String,
    label: Option<String>,
    r#type: FieldType,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    constraints: Option<Value>,
    #[schema(value_type = Option<Object>)]
    provider_meta: Option<Value>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum FieldType {
    String,
    Number,
    Boolean,
    Date,
    Datetime,
    Enum,
    MultiEnum,
    Json,
    Object,
    Array,
    Unknown,
}

#[derive(ToSchema)]
pub struct DefaultMapping {
    status: MappingStatus,
    mapping: Mapping,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum MappingStatus {
    Stored,
    Generated,
}

#[derive(ToSchema)]
pub struct Mapping {
    id: Uuid,
    mapping_id: Uuid,
    version: u32,
    workspace_id: Uuid,
    connection_id: Uuid,
    integration_type: String,
    name: String,
    schema: MappingSchema,
    catalog_version: Option<String>,
    created_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Which destination field gets what.
#[derive(ToSchema)]
pub struct MappingSchema {
    #[schema(minimum = 1, maximum = 1)]
    schema_version: u32,
    #[schema(max_items = 250)]
    fields: Vec<MappingField>,
    #[schema(value_type = Option<Object>)]
    meta: Option<Value>,
}

#[derive(ToSchema)]
pub struct MappingField {
    #[schema(min_length = 1, max_length = 128)]
    dest: String,
    /// A path into the payload, or a literal.
    #[schema(value_type = Object)]
    source: Value,
    #[schema(max_items = 10, value_type = Option<Vec<Object>>)]
    transforms: Option<Vec<Value>>,
    on_error: Option<OnError>,
    #[schema(min_length = 1, max_length = 1024)]
    notes: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum OnError {
    SkipField,
    WarnAction,
    FailAction,
}

#[derive(ToSchema)]
pub struct PutMapping {
    schema: MappingSchema,
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    mapping_id: Option<Uuid>,
    workspace_id: Option<Uuid>,
    /// 409 when the stored mapping has another version by now.
    #[schema(minimum = 1)]
    expected_version: Option<u32>,
}
