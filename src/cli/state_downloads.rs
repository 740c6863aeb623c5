//! What `state` prints of files that are fetched, or were.

use std::fmt::Write;

use comfy_table::CellAlignment;

use super::cells::{moment, table};
use crate::model::Timestamp;
use crate::observe::grouped;
use crate::state::view::{self, DownloadLine, Filter, Inspection};
use crate::state::{Download, DownloadStatus};

/// The table under the files; nothing if nothing was ever fetched.
pub fn list(inspection: &Inspection, filter: &Filter, now: Timestamp) -> String {
    let downloads = view::select_downloads(inspection, filter);
    if downloads.is_empty() {
        return String::new();
    }
    let mut table = table(&[
        "VERSION",
        "TYPE",
        "DOWNLOAD",
        "BYTES",
        "DONE",
        "CHECKSUM",
        "LAST ACTIVITY",
        "NOTE",
    ]);
    for download in downloads {
        let line = DownloadLine::from(download);
        table.add_row([
            line.version.to_string(),
            line.kind.to_string(),
            line.status.to_string(),
            grouped(line.bytes),
            line.percent.map_or_else(String::new, |percent| format!("{percent:.1} %")),
            line.verification.to_string(),
            line.last_activity_at.map_or_else(String::new, |at| moment(at, now)),
            note(download, inspection.owner.is_some()),
        ]);
    }
    for column in [3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// The part of `state show` about downloads.
pub fn show(downloads: &[&Download], now: Timestamp) -> String {
    let mut text = String::new();
    for download in downloads {
        let at =
            |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| moment(at, now));
        let said = |value: Option<String>| value.unwrap_or_else(|| "not said".to_owned());
        let mut rows = vec![
            ("download", download.key.file.clone()),
            ("folder", download.key.folder.clone()),
            ("site", download.site.clone()),
            ("status", download.status.to_string()),
            (
                "bytes",
                format!("{} of {}", grouped(download.synced), said(download.length.map(grouped))),
            ),
            ("checksum", said(download.checksum.map(|checksum| checksum.to_string()))),
            ("verification", download.verification.to_string()),
            ("etag", said(download.etag.clone())),
            ("begun", at(Some(download.started_at))),
            ("last activity", at(download.last_activity)),
            ("completed", at(download.completed_at)),
        ];
        rows.extend(download.error.clone().map(|error| ("error", error)));
        for (name, value) in rows {
            _ = writeln!(text, "{name:14} {value}");
        }
        text.push('\n');
    }
    text
}

/// The first line of what is wrong; what to do about it is in `state show`.
fn note(download: &Download, owned: bool) -> String {
    let error = download.error.as_deref().and_then(|error| error.lines().next());
    match error {
        Some(error) => error.to_owned(),
        None if download.status == DownloadStatus::Downloading && !owned => {
            "interrupted, goes on at the next start".to_owned()
        }
        None => String::new(),
    }
}
