//! The file's format, step by step. A step that was released is never changed; a newer file is refused untouched.

use std::path::Path;

use oarlock_engine::StoreError;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::failed;

/// Marks a SQLite file as ours: the ASCII codes of `oarl`.
const APPLICATION_ID: i64 = 0x6f61_726c;

/// Every step ever released, in order; the file's `user_version` counts those it has seen.
const STEPS: &[&str] = &[
    "
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        scope TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entry_by_scope ON entry (scope, seq);
    CREATE TABLE scope (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE base (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
",
    "
    DROP INDEX entry_by_scope;
    CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
    INSERT INTO mark SELECT 1, COALESCE(MAX(seq), 0) FROM entry;
",
];

fn number(db: &Connection, pragma: &str) -> Result<i64, StoreError> {
    db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).map_err(failed("open"))
}

/// Refuses a file that is newer than this build, or not ours. A file without any table is new and fine.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<i64, StoreError> {
    let path = || path.display().to_string();
    let tables = db.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get(0));
    let tables: i64 = tables.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotOurs { path: path() },
        _ => failed("open")(error),
    })?;
    let application = number(db, "application_id")?;
    // Somebody else's file may have no table yet.
    let is_new = tables == 0 && application == 0;
    if application != APPLICATION_ID && !is_new {
        return Err(StoreError::NotOurs { path: path() });
    }
    let (found, known) = (number(db, "user_version")?, STEPS.len() as i64);
    if found > known {
        return Err(StoreError::Newer { path: path(), found, known });
    }
    Ok(found)
}

/// Brings the file to the present format, each step in a transaction of its own.
pub(crate) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    check(db, path)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed("open"))?;
    for (index, step) in STEPS.iter().enumerate() {
        // The writer's lock is held before the version is read: somebody else may be migrating the same file.
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed("migrate"))?;
        if number(&transaction, "user_version")? > index as i64 {
            continue;
        }
        transaction.execute_batch(step).map_err(failed("migrate"))?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed("migrate"))?;
        transaction.pragma_update(None, "user_version", index as i64 + 1).map_err(failed("migrate"))?;
        transaction.commit().map_err(failed("migrate"))?;
    }
    Ok(())
}
