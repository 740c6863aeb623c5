use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{panic, thread};

use super::count;
use super::gzip::{Packing, pack};
use crate::model::{DumpName, Kind, Sha256, Version};

/// What set to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many releases; the other types follow in proportion (see [`count`]).
    pub records: u64,
    /// Another seed gives other records.
    pub seed: u64,
    /// The version in the file names.
    pub version: Version,
    /// The types to make; the checksum file names these only.
    pub kinds: Vec<Kind>,
    /// gzip's, 0 to 9; more counts as 9.
    pub level: u32,
    /// How many gzip members each file consists of, at most one a record. All but the first begin
    /// inside a record.
    pub members: u32,
}

impl Options {
    /// All four types, level 6, one member, as the real dumps are.
    pub fn new(records: u64, seed: u64, version: Version) -> Options {
        Options { records, seed, version, kinds: Kind::ALL.to_vec(), level: 6, members: 1 }
    }
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Summary {
    /// One for each type, in the order of the options.
    pub dumps: Vec<DumpSummary>,
    /// The file of checksums, in the form of `sha256sum`.
    pub checksum: PathBuf,
}

/// One dump that was made.
#[derive(Clone, Debug)]
pub struct DumpSummary {
    /// Where it is.
    pub path: PathBuf,
    /// What its name says.
    pub name: DumpName,
    /// How many records it holds.
    pub records: u64,
    /// Its size unpacked, in bytes.
    pub xml_bytes: u64,
    /// Its size on disk, in bytes.
    pub gzip_bytes: u64,
    /// Of the file on disk.
    pub sha256: Sha256,
}

/// Why a set could not be made. Nothing half-written stays.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}\nhint: the folder must be writable and have room for the set", .path.display())]
pub struct SampleError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

/// Makes a set in `folder`, which is created if need be.
///
/// Files are written as `….part` and renamed when all are on disk, the checksums last: a set that
/// has its checksum file is whole. A set of the same version is replaced.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn make(options: &Options, folder: &Path) -> Result<Summary, SampleError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| SampleError { path, error }
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut parts = Parts::default();
    let dumps: Vec<(DumpName, PathBuf, PathBuf)> = options
        .kinds
        .iter()
        .map(|&kind| {
            let name = DumpName { version: options.version, kind };
            let path = folder.join(name.to_string());
            let part = parts.of(&path);
            (name, path, part)
        })
        .collect();

    let dumps = thread::scope(|scope| {
        let makers: Vec<_> = dumps
            .into_iter()
            .map(|(name, path, part)| scope.spawn(move || dump(options, name, path, &part)))
            .collect();
        let made = makers
            .into_iter()
            .map(|maker| maker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)));
        made.collect::<Result<Vec<_>, _>>()
    })?;

    let checksum = folder.join(format!("discogs_{}_CHECKSUM.txt", options.version));
    let part = parts.of(&checksum);
    write_checksums(&dumps, &part).map_err(at(&part))?;
    match fs::remove_file(&checksum) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&checksum)(error)),
        _ => {}
    }
    for (part, path) in &parts.0 {
        fs::rename(part, path).map_err(at(path))?;
    }
    Ok(Summary { dumps, checksum })
}

fn dump(
    options: &Options,
    name: DumpName,
    path: PathBuf,
    part: &Path,
) -> Result<DumpSummary, SampleError> {
    let records = count(name.kind, options.records);
    let packing = Packing { level: options.level.min(9), members: options.members };
    let packed = File::create(part)
        .and_then(|file| pack(name.kind, records, options.seed, packing, file))
        .map_err(|error| SampleError { path: part.to_owned(), error })?;
    Ok(DumpSummary {
        path,
        name,
        records,
        xml_bytes: packed.xml_bytes,
        gzip_bytes: packed.gzip_bytes,
        sha256: packed.sha256,
    })
}

fn write_checksums(dumps: &[DumpSummary], path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    for dump in dumps {
        writeln!(file, "{}  {}", dump.sha256, dump.name)?;
    }
    file.sync_all()
}

/// The unfinished files and what they become; what is still unfinished in the end is removed.
#[derive(Default)]
struct Parts(Vec<(PathBuf, PathBuf)>);

impl Parts {
    fn of(&mut self, path: &Path) -> PathBuf {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        self.0.push((part.clone().into(), path.to_owned()));
        part.into()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (part, _) in &self.0 {
            // Gone already, by its renaming or never made: nothing to do about it.
            let _ = fs::remove_file(part);
        }
    }
}
