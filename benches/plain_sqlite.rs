//! What SQLite itself can do: the rows of a finished database, written again by a prepared
//! statement in a loop, in batches of 1,000. `benches/ratios` compares the sink with it.
//!
//! Arguments: the finished database, the table, a new database. Prints seconds.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::Instant;

use rusqlite::Connection;

fn main() -> rusqlite::Result<()> {
    let arguments: Vec<String> = std::env::args().filter(|word| !word.starts_with("--")).collect();
    let [_, source, table, target] = arguments.as_slice() else {
        println!("skipped: it is run by benches/ratios");
        return Ok(());
    };
    let source = Connection::open(source)?;
    let mut rows = Vec::new();
    let mut query = source.prepare(&format!(
        "SELECT data_id, hash, data, version, run, updated_at FROM {table} ORDER BY rowid"
    ))?;
    let mut found = query.query([])?;
    while let Some(row) = found.next()? {
        let text = |index| row.get::<_, String>(index);
        rows.push((text(0)?, text(1)?, text(2)?, text(3)?, row.get::<_, i64>(4)?, text(5)?));
    }
    let mut seconds = f64::MAX;
    for _ in 0..3 {
        for suffix in ["", "-wal", "-shm"] {
            _ = std::fs::remove_file(format!("{target}{suffix}"));
        }
        let mut target = Connection::open(target)?;
        target.pragma_update(None, "journal_mode", "wal")?;
        target.pragma_update(None, "synchronous", "normal")?;
        target.execute_batch(&format!(
            "CREATE TABLE {table} (data_id TEXT PRIMARY KEY, hash TEXT, data TEXT, version TEXT,
             run INTEGER, updated_at TEXT)"
        ))?;
        let began = Instant::now();
        for batch in rows.chunks(1_000) {
            let transaction = target.transaction()?;
            let insert = format!("INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)");
            let mut insert = transaction.prepare_cached(&insert)?;
            for (id, hash, data, version, run, at) in batch {
                insert.execute((id, hash, data, version, run, at))?;
            }
            drop(insert);
            transaction.commit()?;
        }
        seconds = seconds.min(began.elapsed().as_secs_f64());
    }
    println!("{seconds:.3}");
    Ok(())
}
