//! What a destination can bear: how much at once, and how many requests in a time. Stated by its
//! manifest, and obeyed for each account: connections of one type with the same secrets and
//! settings are one account, and share it. Without a secret, only those of one workspace are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most rates of a destination.
pub const MAX_RATES: usize = 8;
/// The most requests of a rate.
pub const MAX_REQUESTS: u32 = 100_000;
/// The longest time of a rate, in seconds: a day.
pub const MAX_PER_SECONDS: u32 = 24 * 60 * 60;
/// The most names by which a rate is narrowed.
pub const MAX_NAMES: usize = 4;

/// What a destination can bear. A member that is not known is refused: a limit that is not
/// understood would not be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Deliveries under way at once, 1 to 1000.
    pub concurrency: u32,
    /// All of them hold at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 16,
            rates: Vec::new(),
        }
    }
}

/// At most `requests` in any `per_seconds`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// 1 to [`MAX_REQUESTS`].
    pub requests: u32,
    /// 1 to [`MAX_PER_SECONDS`].
    pub per_seconds: u32,
    /// Counted apart for each combination of the values of these names: a channel's `["id"]`. At
    /// most [`MAX_NAMES`]. Empty: counted for the account as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
}

impl Limits {
    /// The place and what is wrong there, of the first limit that cannot be kept.
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        if !(1..=1000).contains(&self.concurrency) {
            return Err(("limits.concurrency".into(), "must lie between 1 and 1000".into()));
        }
        if self.rates.len() > MAX_RATES {
            return Err(("limits.rates".into(), format!("has more than {MAX_RATES} rates")));
        }
        for (index, rate) in self.rates.iter().enumerate() {
            rate.check()
                .map_err(|problem| (format!("limits.rates[{index}]"), problem))?;
        }
        Ok(())
    }
}

impl Rate {
    fn check(&self) -> Result<(), String> {
        if !(1..=MAX_REQUESTS).contains(&self.requests) {
            return Err(format!("needs `requests` between 1 and {MAX_REQUESTS}"));
        }
        if !(1..=MAX_PER_SECONDS).contains(&self.per_seconds) {
            return Err(format!("needs `per_seconds` between 1 and {MAX_PER_SECONDS}"));
        }
        if self.of.len() > MAX_NAMES {
            return Err(format!("is narrowed by more than {MAX_NAMES} names"));
        }
        let unusable = |name: &String| name.is_empty() || name.len() > 64;
        if self.of.iter().any(unusable) || (1..self.of.len()).any(|n| self.of[..n].contains(&self.of[n])) {
            return Err("needs names of 1 to 64 bytes in `of`, each once".into());
        }
        Ok(())
    }

    /// The values that narrow this rate: each name looked up among the rule's inputs, then the
    /// mapped fields, then the payload's top level. Texts are compared without regard to case and
    /// surrounding space, since providers do so with what people type; what has no value at all is
    /// counted together.
    pub fn narrowed_by(
        &self,
        inputs: &Map<String, Value>,
        fields: &Map<String, Value>,
        payload: impl Fn(&str) -> Option<Value>,
    ) -> Vec<String> {
        let present = |value: &&Value| !value.is_null();
        let find = |name: &String| {
            let known = inputs.get(name).filter(present);
            known
                .or_else(|| fields.get(name).filter(present))
                .cloned()
                .or_else(|| payload(name))
        };
        self.of
            .iter()
            .map(|name| match find(name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.trim().to_lowercase(),
                Some(other) => other.to_string(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits(value: Value) -> Result<(), String> {
        let limits: Limits = serde_json::from_value(value).map_err(|error| error.to_string())?;
        limits
            .check()
            .map_err(|(place, problem)| format!("{place} {problem}"))
    }

    #[test]
    fn rates_are_read_and_one_that_cannot_be_kept_is_refused_with_its_place() {
        let rate = |changes: Value| {
            let mut rate = json!({"requests": 5, "per_seconds": 1});
            for (key, value) in changes.as_object().unwrap() {
                rate[key] = value.clone();
            }
            json!({"rates": [{"requests": 3, "per_seconds": 86_400, "of": ["id", "email"]}, rate]})
        };
        assert_eq!(limits(rate(json!({}))), Ok(()));
        for (changes, part) in [
            (json!({"requests": 0}), "limits.rates[1] needs `requests`"),
            (json!({"requests": MAX_REQUESTS + 1}), "requests"),
            (json!({"requests": -1}), "integer"),
            (json!({"requests": 1.5}), "floating point"),
            (json!({"per_seconds": 0}), "limits.rates[1] needs `per_seconds`"),
            (json!({"per_seconds": 86_401}), "per_seconds"),
            (json!({"of": [""]}), "names"),
            (json!({"of": ["a", "b", "a"]}), "names"),
            (json!({"of": ["a", "b", "c", "d", "e"]}), "names"),
            (json!({"of": "id"}), "sequence"),
            (json!({"per_second": 1}), "unknown field"),
        ] {
            let error = limits(rate(changes.clone())).unwrap_err();
            assert!(error.contains(part), "{changes}: {error}");
        }
        assert!(limits(json!({"concurrency": 0})).is_err());
        assert!(limits(json!({"concurrency": 1001})).is_err());
        assert!(limits(json!({"rate": []})).unwrap_err().contains("unknown field"));
        let many = vec![json!({"requests": 1, "per_seconds": 1}); MAX_RATES + 1];
        assert!(limits(json!({"rates": many})).unwrap_err().contains("more than"));
    }

    #[test]
    fn a_rate_is_narrowed_by_inputs_before_fields_before_the_payload() {
        let rate = Rate {
            requests: 1,
            per_seconds: 1,
            of: ["id", "email", "plan", "none"].map(str::to_owned).to_vec(),
        };
        let (inputs, fields) = (
            json!({"id": 7, "email": null}),
            json!({"id": 8, "email": " Nina@X.io"}),
        );
        let payload = json!({"id": 9, "email": "other@x.io", "plan": {"b": 1}});
        let values = rate.narrowed_by(inputs.as_object().unwrap(), fields.as_object().unwrap(), |name| {
            payload.get(name).cloned()
        });
        assert_eq!(values, ["7", "nina@x.io", r#"{"b":1}"#, ""]);
    }
}
