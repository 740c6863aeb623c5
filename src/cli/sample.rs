//! `sample`: a dump set to try things with.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Result;

use super::args::SampleArgs;
use super::exit::Exit;
use crate::observe::grouped;
use crate::sample::{Options, make};

/// Runs the command.
pub fn run(args: &SampleArgs) -> Result<Exit> {
    let began = Instant::now();
    let mut options = Options::new(args.records, args.seed, args.dump_version);
    if let Some(kinds) = &args.types {
        options.kinds.retain(|kind| kinds.contains(kind));
    }
    let made = make(&options, &args.into)?;
    let mut out = io::stdout().lock();
    for dump in &made.dumps {
        writeln!(
            out,
            "{} {:>12} records {:>16} bytes of XML {:>15} bytes on disk",
            dump.path.display(),
            grouped(dump.records),
            grouped(dump.xml_bytes),
            grouped(dump.gzip_bytes)
        )?;
    }
    writeln!(out, "{} in {:.2} s", made.checksum.display(), began.elapsed().as_secs_f64())?;
    Ok(Exit::Done)
}
