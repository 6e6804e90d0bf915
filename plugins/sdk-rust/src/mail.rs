//! What destinations that send e-mail need.

use serde_json::{Map, Value};

use crate::input::address;
use crate::template::{Escape, render};
use crate::{Delivery, Failure};

/// A person or a thing that sends or gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// What people call it.
    pub name: Option<String>,
    /// Its address.
    pub email: String,
}

impl Mailbox {
    /// Reads `nina@acme.io` or `Nina Ray <nina@acme.io>`; anything else is a mapping failure.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let (name, email) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, email)) => (name.trim().trim_matches('"'), email),
            None => ("", text),
        };
        let bad = |c: char| c.is_control() || matches!(c, '<' | '>' | '"');
        match address(email) {
            Ok(email) if !name.contains(bad) => Ok(Self {
                name: Some(name.to_owned()).filter(|name| !name.is_empty()),
                email,
            }),
            _ => Err(Failure::mapping(
                "the sender must be an address, or a name and an address as in Acme <hello@acme.io>",
            )),
        }
    }
}

impl Delivery {
    /// The payload's members, and the mapped fields in the place of those of the same name: what the
    /// text of a mail is filled from.
    pub fn members(&self) -> Map<String, Value> {
        let mut members = self.event.payload().as_object().cloned().unwrap_or_default();
        members.extend(self.fields.clone());
        members
    }

    /// An input of the rule filled from [`Self::members`], as HTML; missing or empty is a mapping failure.
    pub fn html(&self, key: &str) -> Result<String, Failure> {
        let html = render(&self.input(key)?, &Value::Object(self.members()), Escape::Html)?;
        if html.trim().is_empty() {
            return Err(Failure::mapping(format!(
                "the rule's {key:?} is empty once it is filled"
            )));
        }
        Ok(html)
    }

    /// An input of the rule filled from [`Self::members`], as one line of plain text such as a subject;
    /// nothing when there is none or it is empty.
    pub fn line(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(template) = self.optional_input(key) else {
            return Ok(None);
        };
        let text = render(&template, &Value::Object(self.members()), Escape::None)?;
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        Ok(Some(words.join(" ")).filter(|line| !line.is_empty()))
    }

    /// The variables of a template that the destination keeps, as the mapping filled them: the members
    /// of the field `template_variables`, and each field `template_variables.NAME` as NAME. Nothing
    /// when it filled neither.
    pub fn template_variables(&self) -> Option<Map<String, Value>> {
        let mut variables = match self.fields.get("template_variables") {
            Some(Value::Object(variables)) => variables.clone(),
            _ => Map::new(),
        };
        for (key, value) in &self.fields {
            if let Some(name) = key.strip_prefix("template_variables.") {
                variables.insert(name.to_owned(), value.clone());
            }
        }
        Some(variables).filter(|variables| !variables.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scene;
    use serde_json::json;

    #[test]
    fn a_mailbox_is_an_address_with_or_without_a_name() {
        let read = |text: &str| Mailbox::parse(text).ok().map(|one| (one.name, one.email));
        let named = |name: &str, email: &str| Some((Some(name.to_owned()), email.to_owned()));
        assert_eq!(read(" a@b.co "), Some((None, "a@b.co".into())));
        assert_eq!(read("<a@b.co>"), Some((None, "a@b.co".into())));
        assert_eq!(read("Ann Bee <a@b.co>"), named("Ann Bee", "a@b.co"));
        assert_eq!(read("\"Acme, Inc.\" <a@b.co>"), named("Acme, Inc.", "a@b.co"));
        for bad in [
            "",
            "Ann",
            "Ann <>",
            "Ann <a@b>",
            "Ann <a@b.co",
            "A\r\nBcc: x <a@b.co>",
            "<x@y.co> <a@b.co>",
            "a@b.co, c@d.co",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_mails_text_is_filled_from_the_mapping_before_the_payload() {
        let scene = || {
            Scene::action("x")
                .payload(json!({"name": "<b>Nina</b>", "plan": "free", "x": "a\r\nBcc: b"}))
                .field("plan", "pro")
        };
        let delivery = scene()
            .input("body", "<p>{{name}} is on {{plan}}</p>")
            .input("subject", " {{x}}: {{name}} ")
            .delivery();
        assert_eq!(
            delivery.html("body").unwrap(),
            "<p>&lt;b&gt;Nina&lt;/b&gt; is on pro</p>"
        );
        assert_eq!(
            delivery.line("subject").unwrap().unwrap(),
            "a Bcc: b: <b>Nina</b>"
        );
        assert_eq!(delivery.line("none").unwrap(), None);
        let empty = scene()
            .input("body", "{{none}} ")
            .input("subject", "{{none}}")
            .delivery();
        assert!(empty.html("body").is_err() && empty.html("none").is_err());
        assert_eq!(empty.line("subject").unwrap(), None);
    }

    #[test]
    fn template_variables_are_mapped_together_or_one_by_one() {
        let delivery = Scene::action("x")
            .field("template_variables", json!({"a": 1, "b": 2}))
            .field("template_variables.b", 3)
            .field("other", 4)
            .delivery();
        let variables = delivery.template_variables().map(Value::Object);
        assert_eq!(variables, Some(json!({"a": 1, "b": 3})));
        assert_eq!(
            Scene::action("x")
                .field("other", 4)
                .delivery()
                .template_variables(),
            None
        );
    }
}
