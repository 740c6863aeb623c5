//! `versions`: what a site has, and what of it is here.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use comfy_table::CellAlignment;
use serde::Serialize;

use super::cells::table;
use super::config::{SiteName, Versions};
use super::exit::Exit;
use super::owner::{self, Usage};
use super::store;
use crate::dump::{Needs, RemoteVersion, Site, SiteError, Wanted, open_site, stamp};
use crate::model::{Clock, Kind, SystemClock, Verification, Version};
use crate::observe::grouped;
use crate::state::{Download, DownloadKey};

/// Runs the command.
pub fn run(config: &Versions, state_dir: &Path) -> Result<Exit> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let site = open(&config.site, TRIES, clock)?;
    let wanted = if config.all { Wanted::All } else { Wanted::Newest };
    let found = owner::runtime()?.block_on(site.versions(wanted))?;
    let here = match &config.into {
        Some(folder) => Some(Here::look(folder, state_dir)?),
        None => None,
    };
    let needs = Needs { kinds: &Kind::ALL, checksums: site.publishes_checksums() };
    let line = |version: &RemoteVersion| VersionLine::new(version, needs, here.as_ref());
    // The newest first: it is what most look for.
    let lines: Vec<VersionLine> = found.iter().rev().map(line).collect();
    let text =
        if config.json { serde_json::to_string_pretty(&lines)? + "\n" } else { table_of(&lines) };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")?;
    Ok(Exit::Done)
}

/// How often a list is asked for, while somebody waits for it.
pub const TRIES: u32 = 5;

/// Opens a site; a name that is none is a usage error.
pub fn open(site: &SiteName, tries: u32, clock: Arc<dyn Clock>) -> Result<Arc<dyn Site>> {
    open_site(&site.name, site.silence, tries, clock).map_err(|error| match error {
        SiteError::NoSite { .. } => anyhow!(Usage(error.to_string())),
        other => anyhow!(other),
    })
}

/// A folder, and what is known of the files in it.
struct Here {
    folder: std::path::PathBuf,
    known: Vec<Download>,
}

impl Here {
    fn look(folder: &Path, state_dir: &Path) -> Result<Here> {
        let folder = std::path::absolute(folder).context("there is no current folder")?;
        let folder = folder.canonicalize().unwrap_or(folder);
        Ok(Here { folder, known: store::inspect(state_dir)?.downloads })
    }

    /// How many dumps of the version are here, and how many of those are verified.
    fn count(&self, version: &RemoteVersion) -> (usize, usize) {
        let metadata = |name: &str| std::fs::metadata(self.folder.join(name)).ok();
        let (mut here, mut verified) = (0, 0);
        for dump in &version.dumps {
            let Some(metadata) = metadata(&dump.name.to_string()) else { continue };
            let key = DownloadKey::new(dump.name, &self.folder);
            let known = self.known.iter().find(|known| known.key == key);
            here += 1;
            verified += usize::from(known.is_some_and(|known| {
                known.verification == Verification::Verified
                    && known.stamp == Some(stamp(&metadata))
            }));
        }
        (here, verified)
    }
}

/// A version as it is listed.
#[derive(Serialize)]
struct VersionLine {
    version: Version,
    date: String,
    files: usize,
    bytes: Option<u64>,
    here: Option<usize>,
    verified: Option<usize>,
    complete: bool,
    missing: Vec<String>,
}

impl VersionLine {
    fn new(version: &RemoteVersion, needs: Needs<'_>, here: Option<&Here>) -> VersionLine {
        let (missing, counted) = (version.missing(needs), here.map(|here| here.count(version)));
        let digits = version.version.to_string();
        VersionLine {
            version: version.version,
            date: format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]),
            files: version.dumps.len(),
            bytes: version.bytes(),
            here: counted.map(|(here, _)| here),
            verified: counted.map(|(_, verified)| verified),
            complete: missing.is_empty(),
            missing,
        }
    }
}

fn table_of(lines: &[VersionLine]) -> String {
    if lines.is_empty() {
        return "there are no dumps\n".to_owned();
    }
    let mut table = table(&["VERSION", "DATE", "FILES", "BYTES", "HERE", "COMPLETE"]);
    for line in lines {
        let here = line.here.zip(line.verified);
        let wanted = Kind::ALL.len();
        table.add_row([
            line.version.to_string(),
            line.date.clone(),
            line.files.to_string(),
            line.bytes.map_or_else(String::new, grouped),
            here.map_or_else(String::new, |(here, verified)| match here {
                0 => String::new(),
                _ => format!("{here} of {wanted}, {verified} verified"),
            }),
            if line.complete {
                "yes".to_owned()
            } else {
                format!("no, lacks {}", line.missing.join(", "))
            },
        ]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}
