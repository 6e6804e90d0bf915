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

/// A request whose events get new marks each time.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    marks: Vec<usize>,
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

    fn new(path: &str, headers: &str, body: &str) -> Self {
        let bytes = http::request("POST", path, headers, body.as_bytes());
        let marks = (0..bytes.len())
            .filter(|place| bytes[*place..].starts_with(MARK_KEY))
            .map(|place| place + MARK_KEY.len())
            .collect();
        Self { bytes, marks }
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
        &self.bytes
    }
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
    }
}
