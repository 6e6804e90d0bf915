//! SQLite's own page cache, but for one of its walks.
//!
//! At the end of every transaction SQLite has its cache drop the pages behind the end of the database. The
//! cache knows the highest page number that it ever had, and looks for such pages only if that is higher.
//! But when a page is split and two pages change their numbers, one of them has the number of the lock
//! page for a moment (2^30 / 4,096 + 1, `balance_nonroot`), and that counts. So in any database of less than a
//! gibibyte, nearly every commit of ours walked through the whole cache, eight thousand places in memory,
//! for nothing. With bulk requests that was 11 % of the time of the thread that writes.
//!
//! This counts the numbers itself, and hands on what is asked for otherwise. Nothing here keeps a page.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;
use rusqlite::ffi::{sqlite3_pcache as Inner, sqlite3_pcache_methods2 as Table, sqlite3_pcache_page as Page};

/// What SQLite's own cache can do.
struct Methods {
    create: unsafe extern "C" fn(c_int, c_int, c_int) -> *mut Inner,
    cache_size: unsafe extern "C" fn(*mut Inner, c_int),
    page_count: unsafe extern "C" fn(*mut Inner) -> c_int,
    fetch: unsafe extern "C" fn(*mut Inner, c_uint, c_int) -> *mut Page,
    unpin: unsafe extern "C" fn(*mut Inner, *mut Page, c_int),
    rekey: unsafe extern "C" fn(*mut Inner, *mut Page, c_uint, c_uint),
    truncate: unsafe extern "C" fn(*mut Inner, c_uint),
    destroy: unsafe extern "C" fn(*mut Inner),
    shrink: unsafe extern "C" fn(*mut Inner),
}

static OWN: OnceLock<Methods> = OnceLock::new();

/// Puts itself before SQLite's cache. To be called before SQLite is used for the first time; where it runs
/// already, it refuses, and everything stays as it is.
pub(crate) fn install() {
    // SAFETY: a table of options that are all `None`, and of null pointers, is one that may be filled in.
    let mut table: Table = unsafe { std::mem::zeroed() };
    // SAFETY: the option takes a pointer to such a table.
    let asked = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETPCACHE2, &raw mut table) };
    if asked != ffi::SQLITE_OK {
        return;
    }
    let Some(methods) = Methods::of(&table) else {
        return;
    };
    if OWN.set(methods).is_err() {
        return;
    }
    table.xCreate = Some(create);
    table.xCachesize = Some(cache_size);
    table.xPagecount = Some(page_count);
    table.xFetch = Some(fetch);
    table.xUnpin = Some(unpin);
    table.xRekey = Some(rekey);
    table.xTruncate = Some(truncate);
    table.xDestroy = Some(destroy);
    table.xShrink = Some(shrink);
    // SAFETY: the option takes a pointer to a table, which SQLite copies.
    let _ = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PCACHE2, &raw const table) };
}

impl Methods {
    fn of(table: &Table) -> Option<Self> {
        Some(Self {
            create: table.xCreate?,
            cache_size: table.xCachesize?,
            page_count: table.xPagecount?,
            fetch: table.xFetch?,
            unpin: table.xUnpin?,
            rekey: table.xRekey?,
            truncate: table.xTruncate?,
            destroy: table.xDestroy?,
            shrink: table.xShrink?,
        })
    }

    fn own() -> &'static Self {
        match OWN.get() {
            Some(methods) => methods,
            None => unreachable!("SQLite has the table only after this was set"),
        }
    }
}

/// What SQLite takes for its cache.
struct Counting {
    own: *mut Inner,
    numbers: Numbers,
}

/// The highest page numbers that a cache may have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    highest: c_uint,
    /// The number that one page has for a moment, above all others.
    lifted: Option<c_uint>,
}

impl Numbers {
    fn enters(&mut self, number: c_uint) {
        self.highest = self.highest.max(number);
    }

    fn changes(&mut self, from: c_uint, to: c_uint) {
        if self.lifted == Some(from) {
            self.lifted = None;
            self.enters(to);
        } else if to > self.highest && self.lifted.is_none() {
            self.lifted = Some(to);
        } else {
            self.enters(to);
        }
    }

    /// Whether there may be pages with this number or a higher one. There are none afterwards.
    fn cut(&mut self, limit: c_uint) -> bool {
        let found = self.highest >= limit || self.lifted.is_some_and(|lifted| lifted >= limit);
        if found {
            self.highest = self.highest.min(limit.saturating_sub(1));
            self.lifted = self.lifted.filter(|lifted| *lifted < limit);
        }
        found
    }
}

/// What SQLite was given by [`create`].
///
/// # Safety
///
/// `cache` is from [`create`], was not given to [`destroy`], and nobody else uses it: SQLite uses a cache
/// only while it holds the lock of its connection.
unsafe fn counting<'a>(cache: *mut Inner) -> &'a mut Counting {
    // SAFETY: see above.
    unsafe { &mut *cache.cast::<Counting>() }
}

unsafe extern "C" fn create(page_bytes: c_int, extra_bytes: c_int, purgeable: c_int) -> *mut Inner {
    // SAFETY: handed on.
    let own = unsafe { (Methods::own().create)(page_bytes, extra_bytes, purgeable) };
    if own.is_null() {
        return ptr::null_mut();
    }
    let numbers = Numbers::default();
    Box::into_raw(Box::new(Counting { own, numbers })).cast()
}

unsafe extern "C" fn cache_size(cache: *mut Inner, pages: c_int) {
    // SAFETY: `cache` is from `create`; handed on.
    unsafe { (Methods::own().cache_size)(counting(cache).own, pages) }
}

unsafe extern "C" fn page_count(cache: *mut Inner) -> c_int {
    // SAFETY: `cache` is from `create`; handed on.
    unsafe { (Methods::own().page_count)(counting(cache).own) }
}

unsafe extern "C" fn fetch(cache: *mut Inner, number: c_uint, make: c_int) -> *mut Page {
    // SAFETY: `cache` is from `create`; handed on.
    let cache = unsafe { counting(cache) };
    if make != 0 {
        cache.numbers.enters(number);
    }
    // SAFETY: handed on.
    unsafe { (Methods::own().fetch)(cache.own, number, make) }
}

unsafe extern "C" fn unpin(cache: *mut Inner, page: *mut Page, discard: c_int) {
    // SAFETY: `cache` is from `create`; handed on.
    unsafe { (Methods::own().unpin)(counting(cache).own, page, discard) }
}

unsafe extern "C" fn rekey(cache: *mut Inner, page: *mut Page, from: c_uint, to: c_uint) {
    // SAFETY: `cache` is from `create`.
    let cache = unsafe { counting(cache) };
    cache.numbers.changes(from, to);
    // SAFETY: handed on.
    unsafe { (Methods::own().rekey)(cache.own, page, from, to) }
}

unsafe extern "C" fn truncate(cache: *mut Inner, limit: c_uint) {
    // SAFETY: `cache` is from `create`.
    let cache = unsafe { counting(cache) };
    if cache.numbers.cut(limit) {
        // SAFETY: handed on.
        unsafe { (Methods::own().truncate)(cache.own, limit) }
    }
}

unsafe extern "C" fn destroy(cache: *mut Inner) {
    // SAFETY: `cache` is from `create`, and not used any more.
    let cache = unsafe { Box::from_raw(cache.cast::<Counting>()) };
    // SAFETY: handed on.
    unsafe { (Methods::own().destroy)(cache.own) }
}

unsafe extern "C" fn shrink(cache: *mut Inner) {
    // SAFETY: `cache` is from `create`; handed on.
    unsafe { (Methods::own().shrink)(counting(cache).own) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_pages_that_change_numbers_by_way_of_a_high_one_leave_nothing_to_cut() {
        let mut numbers = Numbers::default();
        (1..=100).for_each(|number| numbers.enters(number));
        numbers.changes(40, 262_145);
        numbers.changes(60, 40);
        numbers.changes(262_145, 60);
        assert!(!numbers.cut(101));
        assert!(numbers.cut(100));
        assert!(!numbers.cut(100), "it is cut");
    }

    proptest! {
        #[test]
        fn nothing_that_is_to_be_cut_is_overlooked(steps in prop::collection::vec((0..4_u8, 1..20_u32, 1..30_u32), 1..60)) {
            let (mut numbers, mut pages) = (Numbers::default(), BTreeSet::new());
            for (what, a, b) in steps {
                match what {
                    0 | 1 => {
                        numbers.enters(a);
                        pages.insert(a);
                    }
                    2 if pages.contains(&a) => {
                        numbers.changes(a, b);
                        // A page that has the number already is dropped for it.
                        pages.remove(&a);
                        pages.insert(b);
                    }
                    _ => {
                        let there = pages.iter().any(|number| *number >= b);
                        prop_assert!(numbers.cut(b) || !there);
                        pages.retain(|number| *number < b);
                    }
                }
            }
        }
    }

    #[test]
    fn a_database_that_grows_shrinks_and_rolls_back_is_whole() {
        crate::open::before_sqlite();
        assert!(OWN.get().is_some(), "it is not in use");
        let directory = tempfile::tempdir().unwrap();
        let database = rusqlite::Connection::open(directory.path().join("pages.db")).unwrap();
        database
            .execute_batch(
                "PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = wal; PRAGMA cache_size = 50;
                 CREATE TABLE texts (id INTEGER PRIMARY KEY, key BLOB, text TEXT); CREATE INDEX keys ON texts (key);",
            )
            .unwrap();
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
                    INSERT INTO texts (key, text) SELECT randomblob(16), hex(randomblob(200)) FROM n";
        for round in 0..6 {
            database
                .execute_batch(&format!("BEGIN; {fill}; {};", ["COMMIT", "ROLLBACK"][round % 2]))
                .unwrap();
            database
                .execute_batch("DELETE FROM texts WHERE id % 3 = 0; PRAGMA incremental_vacuum;")
                .unwrap();
            let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
            let found = database.query_row("PRAGMA integrity_check", [], check).unwrap();
            assert_eq!(found, "ok", "round {round}");
        }
    }
}
