//! Whether the deliveries of a rule go out one after another, as the API has it: `ordering_key`, and
//! `ordering_on_failure` for when one of them fails.

use heddle_core::condition::Key;
use heddle_core::ordering::{OnFailure, Order};
use serde_json::Value;

use crate::error::ApiError;
use crate::extract::{Form, text};

/// What a body says of it. Absent members change nothing.
#[derive(Debug, Default)]
pub struct Wish {
    /// `Some(None)` removes it.
    key: Option<Option<String>>,
    on_failure: Option<OnFailure>,
}

impl Wish {
    /// Takes the members off a form.
    pub fn of(form: &mut Form) -> Self {
        let key = form.take("ordering_key", key);
        let removed = form.has("ordering_key") && key.is_none();
        Self {
            key: if removed { Some(None) } else { key.map(Some) },
            on_failure: form.take("ordering_on_failure", on_failure),
        }
    }

    /// What a rule has then, that had `known` until now.
    pub fn over(self, known: Option<Order>) -> Result<Option<Order>, ApiError> {
        let known_policy = known.as_ref().map(|order| order.on_failure);
        let key = self.key.unwrap_or_else(|| known.map(|order| order.key));
        match (key, self.on_failure) {
            (Some(key), on_failure) => Ok(Some(Order {
                key,
                on_failure: on_failure.or(known_policy).unwrap_or_default(),
            })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ApiError::invalid(
                "ordering_on_failure",
                "needs an ordering_key: without one, no delivery waits for another",
            )),
        }
    }
}

/// An expression's text, when it can give a key.
fn key(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match Key::compile(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(mistake) => Err(mistake.to_string()),
    }
}

fn on_failure(value: &Value) -> Result<OnFailure, String> {
    let known = || OnFailure::ALL.map(OnFailure::as_str).join(" or ");
    OnFailure::parse(text(value)?).ok_or_else(|| format!("must be {}", known()))
}
