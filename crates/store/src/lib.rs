//! The log in one SQLite file: `entry` holds every line, `scope` the state of each scope as of the line that `mark` names.
//!
//! It must not know what a line means. A snapshot is a cache, written now and then so that a start need not fold the whole
//! log: the log alone decides, and [`SqliteStore::verify`] proves that both agree.

mod migrations;
pub mod prune;

use std::path::{Path, PathBuf};
use std::time::Duration;

use oarlock_core::crew::{Crew, Line};
use oarlock_core::fleet::Fleet;
use oarlock_core::ids::{SessionId, Timestamp};
use oarlock_core::machine::{Entry, Scope};
use oarlock_core::session::{Session, fact::Fact};
use oarlock_engine::{Stamped, Store, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

/// How long a reader waits for a lock: there is one writer, so only a backup tool can hold it, and briefly.
const BUSY: Duration = Duration::from_secs(5);
/// The fleet's name among scopes; no session id has this form.
const FLEET: &str = "fleet";

/// Lines after which the states they changed are written: a start folds at most so many, in 20 ms or so, and a line costs the
/// disk little more than itself.
pub const LINES_PER_MARK: u64 = 1_000;

/// The log in a SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    db: Connection,
    /// The position as of which the snapshots are.
    marked: u64,
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |source| StoreError::Failed { doing, source: Box::new(source) }
}

fn damaged(place: impl Into<String>) -> impl FnOnce(serde_json::Error) -> StoreError {
    let place = place.into();
    move |source| StoreError::Damaged { place, source: Box::new(source) }
}

impl SqliteStore {
    /// Opens the file, making or migrating it as needed.
    ///
    /// # Errors
    /// When it cannot be opened, is no log of oarlock, or is newer than this build.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut db = Connection::open(path).map_err(failed("open"))?;
        db.busy_timeout(BUSY).map_err(failed("open"))?;
        migrations::migrate(&mut db, path)?;
        // FULL flushes the WAL at each commit: what was answered for survives a power cut.
        db.pragma_update(None, "synchronous", "FULL").map_err(failed("open"))?;
        db.set_prepared_statement_cache_capacity(16);
        let marked = read_mark(&db)?;
        Ok(Self { path: path.to_owned(), db, marked })
    }

    /// Opens the file for reading only, beside the writer.
    ///
    /// # Errors
    /// When it cannot be opened or is newer than this build.
    pub fn open_reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
        db.busy_timeout(BUSY).map_err(failed("open"))?;
        migrations::check(&db, path)?;
        db.pragma_update(None, "query_only", true).map_err(failed("open"))?;
        Ok(Self { path: path.to_owned(), db, marked: 0 })
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks SQLite to check every page of the file; returns a sentence per fault.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn check_pages(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.db.prepare("PRAGMA integrity_check(20)").map_err(failed("check"))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed("check"))?;
        let rows = rows.collect::<Result<Vec<_>, _>>().map_err(failed("check"))?;
        Ok(rows.into_iter().filter(|row| row != "ok").collect())
    }

    /// Writes the state of every scope as of the last line, which is otherwise done now and then.
    ///
    /// # Errors
    /// When the file cannot be read or written; what was marked before stays.
    pub fn mark(&mut self) -> Result<(), StoreError> {
        let (crew, seq, _) = self.load()?;
        self.write_mark(seq, &crew)
    }

    /// Folds the kept log from its base.
    fn replay(&self) -> Result<Crew, StoreError> {
        self.fold(self.read_scopes("base")?, 0)
    }

    /// Returns the state as stored: the snapshots, and what came after them.
    fn stored(&self) -> Result<Crew, StoreError> {
        self.fold(self.read_scopes("scope")?, read_mark(&self.db)?)
    }

    /// Takes in every line after a position.
    fn fold(&self, mut crew: Crew, mut after: u64) -> Result<Crew, StoreError> {
        loop {
            let lines = self.read(after, 10_000)?;
            let Some(last) = lines.last() else { return Ok(crew) };
            after = last.seq;
            for stamped in &lines {
                crew.record(stamped.seq, stamped.at, &stamped.line);
            }
        }
    }

    /// Writes the state of every scope that changed since the last mark, and sets the mark.
    fn write_mark(&mut self, seq: u64, crew: &Crew) -> Result<(), StoreError> {
        let doing = "write the states of";
        let transaction = self.db.transaction().map_err(failed(doing))?;
        {
            let sql = "SELECT DISTINCT scope FROM entry WHERE seq > ?1";
            let mut changed = transaction.prepare_cached(sql).map_err(failed(doing))?;
            let mut rows = changed.query([signed(self.marked)]).map_err(failed(doing))?;
            let sql = "INSERT INTO scope (id, seq, body) VALUES (?1, ?2, ?3)
                       ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, body = excluded.body";
            let mut snapshot = transaction.prepare_cached(sql).map_err(failed(doing))?;
            while let Some(row) = rows.next().map_err(failed(doing))? {
                let scope: String = row.get(0).map_err(failed(doing))?;
                let (seq, body) = match crew.sessions.get(&SessionId::from(scope.as_str())) {
                    Some(session) => (session.seq, json(session)?),
                    None => (crew.fleet.seq, json(&crew.fleet)?),
                };
                snapshot.execute(params![scope, signed(seq), body]).map_err(failed(doing))?;
            }
        }
        transaction.execute("UPDATE mark SET seq = ?1", [signed(seq)]).map_err(failed(doing))?;
        transaction.commit().map_err(failed(doing))?;
        self.marked = seq;
        Ok(())
    }

    fn read_scopes(&self, table: &'static str) -> Result<Crew, StoreError> {
        let sql = format!("SELECT id, body FROM {table}");
        let mut statement = self.db.prepare(&sql).map_err(failed("read"))?;
        let mut rows = statement.query([]).map_err(failed("read"))?;
        let mut crew = Crew::default();
        while let Some(row) = rows.next().map_err(failed("read"))? {
            let id: String = row.get(0).map_err(failed("read"))?;
            let body: String = row.get(1).map_err(failed("read"))?;
            if id == FLEET {
                let scope: Scope<Fleet> = serde_json::from_str(&body).map_err(damaged(id.as_str()))?;
                crew.fleet = scope;
            } else {
                let scope: Scope<Session> = serde_json::from_str(&body).map_err(damaged(id.as_str()))?;
                crew.sessions.insert(SessionId(id), scope);
            }
        }
        Ok(crew)
    }
}

/// Returns the position as of which the snapshots are. In a file of the first format they are as of the last line.
fn read_mark(db: &Connection) -> Result<u64, StoreError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed("read"));
    let tables = number("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'mark'")?;
    let mark = match tables {
        0 => number("SELECT COALESCE(MAX(seq), 0) FROM entry")?,
        _ => number("SELECT seq FROM mark")?,
    };
    Ok(mark.unsigned_abs())
}

/// Reads one row of `entry`.
fn stamped(row: &Row<'_>) -> Result<Stamped, StoreError> {
    let column = failed("read");
    let seq: i64 = row.get(0).map_err(&column)?;
    let at: i64 = row.get(1).map_err(&column)?;
    let scope: String = row.get(2).map_err(&column)?;
    let body: String = row.get(3).map_err(&column)?;
    let place = || format!("line {seq}");
    let line = if scope == FLEET {
        Line::Fleet(serde_json::from_str(&body).map_err(damaged(place()))?)
    } else {
        let entry: Entry<Fact> = serde_json::from_str(&body).map_err(damaged(place()))?;
        Line::Session(SessionId(scope), entry)
    };
    Ok(Stamped { seq: seq.unsigned_abs(), at: Timestamp(at.unsigned_abs()), line })
}

/// Turns an unsigned number of ours into SQLite's signed one; both stay below 2^63 for ages to come.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|source| StoreError::Failed { doing: "write", source: Box::new(source) })
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError> {
        let crew = self.stored()?;
        let sql = "SELECT seq, at FROM entry ORDER BY seq DESC LIMIT 1";
        let last: Option<(i64, i64)> = self
            .db
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed("read"))?;
        let (seq, at) = last.unwrap_or((0, 0));
        let latest = crew.sessions.values().map(|scope| scope.seq).max().unwrap_or(0).max(crew.fleet.seq);
        let latest = latest.max(self.marked);
        if latest > seq.unsigned_abs() {
            // Going on from here would give positions out again that clients have seen.
            let source = format!("the state is as of line {latest}, and the last line is {seq}").into();
            return Err(StoreError::Damaged { place: format!("line {latest}"), source });
        }
        Ok((crew, seq.unsigned_abs(), Timestamp(at.unsigned_abs())))
    }

    fn append(&mut self, lines: &[Stamped], crew: &Crew) -> Result<(), StoreError> {
        let Some(last) = lines.last() else { return Ok(()) };
        let doing = "append to";
        let transaction = self.db.transaction().map_err(failed(doing))?;
        {
            let sql = "INSERT INTO entry (seq, at, scope, body) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = transaction.prepare_cached(sql).map_err(failed(doing))?;
            for stamped in lines {
                let (scope, body) = match &stamped.line {
                    Line::Fleet(entry) => (FLEET, json(entry)?),
                    Line::Session(id, entry) => (id.as_str(), json(entry)?),
                };
                insert
                    .execute(params![signed(stamped.seq), signed(stamped.at.0), scope, body])
                    .map_err(failed(doing))?;
            }
        }
        transaction.commit().map_err(failed(doing))?;
        if last.seq.saturating_sub(self.marked) >= LINES_PER_MARK
            && let Err(error) = self.write_mark(last.seq, crew)
        {
            // The lines are safe, and a start folds a few more of them.
            tracing::warn!(%error, "the states could not be written; trying again with the next line");
        }
        Ok(())
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        let sql = "SELECT seq, at, scope, body FROM entry WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql).map_err(failed("read"))?;
        let mut rows =
            statement.query(params![signed(after), signed(limit as u64)]).map_err(failed("read"))?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next().map_err(failed("read"))? {
            lines.push(stamped(row)?);
        }
        Ok(lines)
    }

    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT COALESCE(MIN(seq), 1), COALESCE(MAX(seq), 0) FROM entry";
        let (first, last): (i64, i64) =
            self.db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed("read"))?;
        Ok((first.unsigned_abs(), last.unsigned_abs()))
    }

    fn verify(&self) -> Result<Vec<String>, StoreError> {
        // One read transaction, so that the writer cannot move between the two halves of the comparison.
        let transaction = self.db.unchecked_transaction().map_err(failed("read"))?;
        let replayed = self.replay()?;
        let stored = self.stored()?;
        let (first, last) = self.bounds()?;
        let lines: i64 =
            self.db.query_row("SELECT COUNT(*) FROM entry", [], |row| row.get(0)).map_err(failed("read"))?;
        drop(transaction);
        let mut differences = Vec::new();
        let missing = (last + 1).saturating_sub(first).saturating_sub(lines.unsigned_abs());
        if missing > 0 {
            differences.push(format!("Of lines {first} to {last}, {missing} are missing."));
        }
        if replayed.fleet != stored.fleet {
            differences.push("The fleet's stored state is not what its log says.".to_owned());
        }
        for (id, scope) in &replayed.sessions {
            match stored.sessions.get(id) {
                Some(known) if known == scope => {}
                Some(_) => {
                    differences.push(format!("Session {id}: the stored state is not what its log says."))
                }
                None => differences.push(format!("Session {id}: it is in the log and has no stored state.")),
            }
        }
        for id in stored.sessions.keys().filter(|id| !replayed.sessions.contains_key(id)) {
            differences.push(format!("Session {id}: it has a stored state and is not in the log."));
        }
        Ok(differences)
    }
}
