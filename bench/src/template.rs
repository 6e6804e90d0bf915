//! The requests of the load client: built once, so that a request costs a few digits.

use crate::http;
use crate::ledger::{MARK_BYTES, MARK_KEY, write_mark};

/// The event that is emitted; `MARK` is replaced.
const EVENT: &str = concat!(
    r#"{"event":"lesson.completed","resource":"course","resource_id":"creator-accelerator","payload":{"#,
    r#""bench":"MARK","student_id":"stu_2048","email":"nina@academyflow.io","lesson_id":"lesson_customer-research","#,
    r#""lesson_title":"Customer Research Fundamentals","module_id":"module_growth-foundations","#,
    r#""module_title":"Growth Foundations","course_id":"course_creator-accelerator","completion_percentage":62,"#,
    r#""time_spent_seconds":1840,"completed_at":"2026-03-21T14:18:00Z"}}"#
);

/// The event's name, which the rules match.
pub const EVENT_NAME: &str = "lesson.completed";

/// Before the number of a name that differs from event to event.
const KIND_KEY: &[u8] = b"\"event\":\"kind.";
const KIND_DIGITS: usize = 5;

/// A request whose events get new marks each time.
#[derive(Clone, Debug)]
pub struct Template {
    path: String,
    bytes: Vec<u8>,
    head: usize,
    marks: Vec<usize>,
    kinds: u64,
    names: Vec<usize>,
}

impl Template {
    /// One event, posted to `path`. `headers` are lines with their ends.
    pub fn event(path: &str, headers: &str) -> Self {
        Self::new(path, headers, &event())
    }

    /// A bulk request of `count` events.
    pub fn bulk(path: &str, headers: &str, count: usize) -> Self {
        Self::new(path, headers, &format!("[{}]", vec![event(); count].join(",")))
    }

    /// One event whose name goes through `kinds` names in turn; [`kind`] tells them.
    pub fn of_kinds(path: &str, headers: &str, kinds: u32) -> Self {
        let body = event().replace(EVENT_NAME, &kind(0));
        Self {
            kinds: kinds.into(),
            ..Self::new(path, headers, &body)
        }
    }

    /// A request with this body. Where it says `MARK` behind `"bench":"`, the events' marks stand.
    pub fn new(path: &str, headers: &str, body: &str) -> Self {
        let body = body.replace("MARK", &"0".repeat(MARK_BYTES));
        let bytes = http::request("POST", path, headers, body.as_bytes());
        let behind = |key: &[u8]| {
            (0..bytes.len())
                .filter(|place| bytes[*place..].starts_with(key))
                .map(|place| place + key.len())
                .collect()
        };
        Self {
            path: path.to_owned(),
            head: bytes.len() - body.len(),
            marks: behind(MARK_KEY),
            kinds: 1,
            names: behind(KIND_KEY),
            bytes,
        }
    }

    /// Where it is posted to.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many events it carries.
    pub fn events(&self) -> usize {
        self.marks.len()
    }

    /// The request with the events' numbers from `first` on, emitted at `micros`.
    pub fn fill(&mut self, first: u64, micros: u64) -> &[u8] {
        for (mark, event) in self.marks.iter().zip(first..) {
            write_mark(&mut self.bytes[*mark..], event, micros);
        }
        for (name, event) in self.names.iter().zip(first..) {
            let number = format!("{:0KIND_DIGITS$}", event % self.kinds);
            self.bytes[*name..*name + KIND_DIGITS].copy_from_slice(number.as_bytes());
        }
        &self.bytes
    }

    /// The body alone of what [`Self::fill`] gives.
    pub fn fill_body(&mut self, first: u64, micros: u64) -> &[u8] {
        let head = self.head;
        &self.fill(first, micros)[head..]
    }
}

/// The name of a kind of event.
pub fn kind(number: u32) -> String {
    format!("kind.{number:0KIND_DIGITS$}")
}

fn event() -> String {
    EVENT.replace("MARK", &"0".repeat(MARK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_request_is_whole_and_carries_its_marks() {
        let mut template = Template::bulk("/x", "x-key: 1\r\n", 3);
        assert_eq!(template.events(), 3);
        let bytes = template.fill(7, 99).to_vec();
        let head = http::head(&bytes).unwrap().unwrap();
        assert_eq!(head.message(), bytes.len());
        let body: serde_json::Value = serde_json::from_slice(&bytes[head.size..]).unwrap();
        assert_eq!(body[2]["event"], EVENT_NAME);
        assert_eq!(body[2]["payload"]["bench"], "000000000009-0000000000000099");
        let alone: serde_json::Value = serde_json::from_slice(template.fill_body(7, 99)).unwrap();
        assert_eq!(alone, body);
    }

    #[test]
    fn kinds_take_turns() {
        let mut template = Template::of_kinds("/x", "", 3);
        for event in [1, 2, 3, 4] {
            let body: serde_json::Value = serde_json::from_slice(template.fill_body(event, 0)).unwrap();
            assert_eq!(body["event"], kind(u32::try_from(event % 3).unwrap()));
        }
    }
}
