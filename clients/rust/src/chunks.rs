//! Cutting many events into requests that the server takes.

use std::ops::Range;

/// The most events of one request.
pub const MAX_EVENTS: usize = 100;
/// The most bytes of one request.
pub const MAX_BYTES: usize = 5 * 1024 * 1024;

/// Cuts in order, each chunk as large as may be; an event that is too large goes alone.
pub fn chunks(texts: &[String]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut from, mut bytes) = (0, 2);
    for (place, text) in texts.iter().enumerate() {
        let own = text.len() + 1;
        if place > from && (place - from == MAX_EVENTS || bytes + own > MAX_BYTES) {
            found.push(from..place);
            (from, bytes) = (place, 2);
        }
        bytes += own;
    }
    if from < texts.len() {
        found.push(from..texts.len());
    }
    found
}

/// The JSON array of these.
pub fn body(texts: &[String]) -> String {
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_at_most_a_hundred_events_and_five_mebibytes() {
        let small = vec!["{}".to_owned(); 250];
        assert_eq!(chunks(&small), [0..100, 100..200, 200..250]);
        let large = vec!["x".repeat(2 * 1024 * 1024); 5];
        assert_eq!(chunks(&large), [0..2, 2..4, 4..5]);
        assert!(
            chunks(&large)
                .into_iter()
                .all(|range| body(&large[range]).len() <= MAX_BYTES)
        );
        assert_eq!(chunks(&[]), []);
        assert_eq!(chunks(&vec!["x".repeat(6 * 1024 * 1024); 2]), [0..1, 1..2]);
    }
}
