//! Cursors: where a page ended, as text that means nothing to its bearer. A cursor is a position and
//! no permission: every page is narrowed to its organization again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::StoreError;
use crate::records::PageOf;

/// What a list is ordered by, in one of the fixed-size forms that a cursor can hold.
pub(crate) trait Key: Copy {
    /// Tells the cursors of one list from those of another.
    const TAG: u8;
    /// As bytes after the tag.
    fn to_bytes(self) -> Vec<u8>;
    /// Back from [`Self::to_bytes`].
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Events, by id.
impl Key for [u8; 16] {
    const TAG: u8 = 1;

    fn to_bytes(self) -> Vec<u8> {
        self.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

/// Attempts, by number.
impl Key for u32 {
    const TAG: u8 = 2;

    fn to_bytes(self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

/// The key that a page starts behind.
pub(crate) fn parse<K: Key>(cursor: Option<&str>) -> Result<Option<K>, StoreError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD
        .decode(cursor)
        .map_err(|_| StoreError::BadCursor)?;
    match bytes.split_first() {
        Some((tag, key)) if *tag == K::TAG => K::from_bytes(key).map(Some).ok_or(StoreError::BadCursor),
        _ => Err(StoreError::BadCursor),
    }
}

/// The `LIMIT` of a page's query.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// A page from `limit` + 1 records or fewer: the one too many shows that another page follows.
pub(crate) fn page<T, K: Key>(mut records: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> PageOf<T> {
    let more = records.len() > limit;
    records.truncate(limit);
    let next_cursor = records.last().filter(|_| more).map(|last| cursor(key(last)));
    PageOf { records, next_cursor }
}

/// The cursor of a page that starts behind `key`.
pub(crate) fn cursor<K: Key>(key: K) -> String {
    let mut bytes = vec![K::TAG];
    bytes.extend(key.to_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_the_last_record_and_to_its_own_list_only() {
        let first = page(vec![9u32, 8, 7], 2, |n| *n);
        assert_eq!(first.records, [9, 8]);
        let cursor = first.next_cursor.as_deref();
        assert_eq!(parse::<u32>(cursor), Ok(Some(8)));
        assert_eq!(parse::<[u8; 16]>(cursor), Err(StoreError::BadCursor));
        assert_eq!(page(vec![1u32], 1, |n| *n).next_cursor, None);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in ["", "!", "AQ", "AgAAAA", "é", "AQAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(parse::<[u8; 16]>(Some(bad)), Err(StoreError::BadCursor), "{bad}");
        }
    }
}
