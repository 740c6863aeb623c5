//! What PostgreSQL itself can do: the rows of a finished SQLite database, by a bare COPY into a
//! table of the sink's own kind. `benches/ratios` compares the sink with it.
//!
//! Arguments: the finished database, the table, a PostgreSQL URL, in whose database the table is
//! made anew as `plain`. Prints seconds.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::error::Error;
use std::fmt::Write;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use discogs_extractor::database::postgres::{Connected, Server};
use futures_util::SinkExt;
use rusqlite::Connection;

/// Bytes that are handed over at once, as psql does.
const PIECE: usize = 1 << 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().filter(|word| !word.starts_with("--")).collect();
    let [_, source, table, target] = arguments.as_slice() else {
        println!("skipped: it is run by benches/ratios");
        return Ok(());
    };
    let source = Connection::open(source)?;
    let mut query = source.prepare(&format!(
        "SELECT data_id, hash, data, version, run, updated_at FROM {table} ORDER BY rowid"
    ))?;
    let mut found = query.query([])?;
    let mut pieces = vec![String::new()];
    while let Some(row) = found.next()? {
        let text = |index| row.get::<_, String>(index);
        let mut piece = pieces.pop().unwrap_or_default();
        for value in [text(0)?, text(1)?, text(2)?, text(3)?] {
            piece += &escaped(&value);
            piece.push('\t');
        }
        writeln!(piece, "{}\t{}", row.get::<_, i64>(4)?, text(5)?)?;
        let full = piece.len() > PIECE;
        pieces.push(piece);
        if full {
            pieces.push(String::new());
        }
    }
    let server: Server = target.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seconds = runtime.block_on(copy(&server, table, &pieces))?;
    println!("{seconds:.3}");
    Ok(())
}

async fn copy(server: &Server, table: &str, pieces: &[String]) -> Result<f64, Box<dyn Error>> {
    let Connected { client, talking } = server.connect().await?;
    tokio::spawn(talking);
    let mut seconds = f64::MAX;
    for _ in 0..3 {
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS plain;
                 CREATE TABLE plain (LIKE {table} INCLUDING ALL);
                 ALTER TABLE plain SET (fillfactor = 50, toast_tuple_target = 128);
                 CHECKPOINT"
            ))
            .await?;
        let began = Instant::now();
        let sql = "COPY plain (data_id, hash, data, version, run, updated_at) FROM STDIN";
        let mut into = pin!(client.copy_in::<_, Bytes>(sql).await?);
        for piece in pieces {
            into.send(Bytes::copy_from_slice(piece.as_bytes())).await?;
        }
        into.finish().await?;
        seconds = seconds.min(began.elapsed().as_secs_f64());
    }
    client.batch_execute("DROP TABLE plain").await?;
    Ok(seconds)
}

/// As COPY's text format writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
