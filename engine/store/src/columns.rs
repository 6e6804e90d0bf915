//! From columns to the types of `heddle-core`, and texts cut to what is kept.

use heddle_core::time::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Row, RowIndex};
use serde::de::DeserializeOwned;

/// The instant in a column.
pub(crate) fn time(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp)
}

/// The instant in a column, if there is one.
pub(crate) fn time_if_any(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// One of a fixed set of words.
pub(crate) fn word<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(row.get_ref(column)?.as_str()?).ok_or_else(unreadable)
}

/// One of a fixed set of words, if there is one.
pub(crate) fn word_if_any<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(word) => parse(word).map(Some).ok_or_else(unreadable),
    }
}

/// The JSON in a column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|_| unreadable())
}

/// How much text a column has; none when it is NULL.
pub(crate) fn bytes(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<usize> {
    Ok(row.get_ref(column)?.as_bytes_or_null()?.map_or(0, <[u8]>::len))
}

/// Says nothing of what was read: serde's own words could quote it.
fn unreadable() -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(FromSqlError::InvalidType))
}

/// JSON text of a value that always has one: maps with text keys.
pub(crate) fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// `text`, cut at the last character that ends within `bytes`.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("a", 9), "a");
    }
}
