//! Forgetting the oldest lines: their fold becomes the base from which the rest is replayed.

use oarlock_engine::{Store, StoreError};
use rusqlite::params;

use crate::{FLEET, SqliteStore, failed, json, signed};

/// Lines kept before the oldest go: about 300 MB of log, months of a hundred busy agents.
pub const LINES_KEPT_MAX: u64 = 1_000_000;

impl SqliteStore {
    /// Drops every line before a position, keeping what they amounted to. Clients with an older cursor are told to
    /// begin anew. The last line always stays: it holds the position from which the log goes on.
    ///
    /// # Errors
    /// When the file cannot be read or written; nothing is dropped then.
    pub fn prune(&mut self, first_kept: u64) -> Result<(), StoreError> {
        // What the snapshots do not hold yet would be needed.
        self.mark()?;
        let first_kept = first_kept.min(self.bounds()?.1);
        let mut crew = self.read_scopes("base")?;
        let mut after = 0;
        loop {
            let lines = self.read(after, 10_000)?;
            let old = lines.iter().take_while(|stamped| stamped.seq < first_kept);
            let count = old.clone().count();
            for stamped in old {
                crew.record(stamped.seq, stamped.at, &stamped.line);
                after = stamped.seq;
            }
            if count < lines.len() || count == 0 {
                break;
            }
        }
        let doing = "prune";
        let transaction = self.db.transaction().map_err(failed(doing))?;
        transaction.execute("DELETE FROM base", []).map_err(failed(doing))?;
        let sql = "INSERT INTO base (id, seq, body) VALUES (?1, ?2, ?3)";
        for (id, scope) in &crew.sessions {
            let body = json(scope)?;
            transaction.execute(sql, params![id.as_str(), signed(scope.seq), body]).map_err(failed(doing))?;
        }
        if crew.fleet.seq > 0 {
            let body = json(&crew.fleet)?;
            transaction.execute(sql, params![FLEET, signed(crew.fleet.seq), body]).map_err(failed(doing))?;
        }
        transaction
            .execute("DELETE FROM entry WHERE seq < ?1", [signed(first_kept)])
            .map_err(failed(doing))?;
        transaction.commit().map_err(failed(doing))
    }

    /// Drops the older half of a log that has grown past its limit.
    ///
    /// # Errors
    /// When the file cannot be read or written; nothing is dropped then.
    pub fn prune_if_long(&mut self) -> Result<(), StoreError> {
        let (first, last) = self.bounds()?;
        if last.saturating_sub(first) <= LINES_KEPT_MAX {
            return Ok(());
        }
        self.prune(last - LINES_KEPT_MAX / 2)
    }
}
