use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::{BadRecord, DumpName, Job, Ordinal, fault};

/// Where the records of one file that cannot be delivered are kept for a person to look at:
/// `bad-records/JOB/VERSION/TYPE/ORDINAL.xml` and `.json`. A repeat writes the same names again.
#[derive(Clone, Debug)]
pub struct BadRecords {
    folder: PathBuf,
}

#[derive(Serialize)]
struct Note<'a> {
    file: String,
    ordinal: u64,
    xml_offset: u64,
    length: u64,
    kept: usize,
    reason: &'a str,
}

impl BadRecords {
    /// The place for one file of a job.
    pub fn new(bad_records: &Path, job: &Job, file: DumpName) -> BadRecords {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
        let job: String = job.as_str().chars().map(safe).collect();
        let version = file.version.to_string();
        BadRecords { folder: bad_records.join(job).join(version).join(file.kind.name()) }
    }

    /// Keeps one, durably, before the mark may pass it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, file: DumpName, ordinal: Ordinal, bad: &BadRecord) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let note = Note {
            file: file.to_string(),
            ordinal: ordinal.0,
            xml_offset: bad.start.0,
            length: bad.length,
            kept: bad.raw.len(),
            reason: &bad.reason,
        };
        fault::place("bad_record.before");
        self.write(&format!("{ordinal}.xml"), &bad.raw)?;
        fault::place("bad_record.written");
        self.write(&format!("{ordinal}.json"), &serde_json::to_vec_pretty(&note)?)?;
        File::open(&self.folder)?.sync_all()?;
        fault::place("bad_record.after");
        Ok(())
    }

    /// Forgets what an earlier run of the file set aside.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The folder, for the words that point to it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.folder.join(name))?;
        file.write_all(bytes)?;
        file.sync_data()
    }
}
