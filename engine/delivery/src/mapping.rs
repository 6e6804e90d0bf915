//! What fills the destination's fields of a delivery: the rule's own mapping, else the connection's
//! default, else the one that its field catalog suggests. Compiled once, and again whenever the
//! connection is prepared anew, which every change of a mapping or catalog leads to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use heddle_core::id::RuleId;
use heddle_core::manifest::Manifest;
use heddle_core::mapping::{Mapped, Mapping, generated};
use heddle_core::outcome::{Outcome, OutcomeCode};
use heddle_store::{Claimed, MappingMaterial};

/// The compiled mappings of rules that are kept per connection; beyond it they are compiled anew.
const RULES: usize = 1_000;

/// The mappings of one connection.
pub struct Mappings {
    default: Option<Compiled>,
    /// The keys that the catalog says are required.
    required: HashSet<String>,
    of_rules: Mutex<HashMap<RuleId, (Arc<str>, Compiled)>>,
}

/// A mapping, or why what is stored is none.
type Compiled = Result<Arc<Mapping>, Arc<str>>;

impl Mappings {
    /// From what is stored of a connection.
    pub fn new(material: MappingMaterial) -> Self {
        let default = match (&material.schema, &material.catalog) {
            (Some(schema), _) => Some(compile(schema)),
            (None, Some(catalog)) => Some(compile(&generated(catalog).to_string())),
            (None, None) => None,
        };
        let fields = material.catalog.map(|catalog| catalog.fields).unwrap_or_default();
        let required = fields
            .into_iter()
            .filter(|field| field.constraints.required == Some(true));
        let required = required.map(|field| field.key).collect();
        Self {
            default,
            required,
            of_rules: Mutex::default(),
        }
    }

    /// The destination's fields for a delivery; `None` where nothing is mapped. The error is the outcome
    /// of the attempt: no request is to be made.
    pub fn apply(&self, claimed: &Claimed, manifest: &Manifest) -> Result<Option<Mapped>, Outcome> {
        let mapping = match (&claimed.rule.mapping, &self.default) {
            (Some(schema), _) => self.of_rule(claimed.rule.id, schema),
            (None, Some(default)) => default.clone(),
            (None, None) => return Ok(None),
        };
        let failed = |message: String| Outcome::permanent(OutcomeCode::MappingError, message);
        let mapping = mapping.map_err(|problem| {
            failed(format!(
                "The stored mapping cannot be used; save it again: {problem}."
            ))
        })?;
        let needed = manifest.actions.get(claimed.rule.action());
        let required = |dest: &str| {
            needed.is_some_and(|action| action.fields.iter().any(|field| field == dest))
                || self.required.contains(dest)
        };
        mapping
            .apply(&claimed.event, &required)
            .map(Some)
            .map_err(|problem| failed(format!("The mapping failed at {problem}.")))
    }

    fn of_rule(&self, rule: RuleId, schema: &Arc<str>) -> Compiled {
        let mut known = self.of_rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, compiled)) = known.get(&rule)
            && of == schema
        {
            return compiled.clone();
        }
        let compiled = compile(schema);
        if known.len() >= RULES {
            known.clear();
        }
        known.insert(rule, (Arc::clone(schema), compiled.clone()));
        compiled
    }
}

/// The door lets nothing in that does not compile; an older Heddle may have let in what this one does
/// not.
fn compile(schema: &str) -> Compiled {
    let schema = serde_json::from_str(schema).map_err(|error| Arc::from(error.to_string()))?;
    Mapping::parse(&schema, "schema")
        .map(Arc::new)
        .map_err(|problems| {
            problems
                .first()
                .map_or("".into(), |problem| problem.to_string().into())
        })
}
