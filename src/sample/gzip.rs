use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{mem, panic, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::parts;
use crate::model::{self, Kind};

/// Large enough that handing over costs nothing, small enough to stay in the cache.
const BLOCK: usize = 256 << 10;
/// Blocks that may wait: one being filled, one being compressed, a few for the jitter.
const WAITING: usize = 4;

/// How a dump is packed.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    pub(super) level: u32,
    pub(super) members: u32,
}

/// What became of a dump.
pub(super) struct Packed {
    pub(super) xml_bytes: u64,
    pub(super) gzip_bytes: u64,
    pub(super) sha256: model::Sha256,
}

struct Block {
    xml: Vec<u8>,
    ends_member: bool,
}

/// Makes a dump's XML on this thread and packs it into `file` on another; on disk when it returns.
pub(super) fn pack(
    kind: Kind,
    count: u64,
    seed: u64,
    packing: Packing,
    file: File,
) -> io::Result<Packed> {
    thread::scope(|scope| {
        let (blocks, waiting) = sync_channel(WAITING);
        let packer = scope.spawn(move || compress(&waiting, packing.level, file));
        let made = generate(kind, count, seed, packing.members, &blocks);
        drop(blocks);
        // If the packer gave up, its reason is the one that counts.
        let (gzip_bytes, sha256) =
            packer.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))?;
        Ok(Packed { xml_bytes: made?, gzip_bytes, sha256 })
    })
}

/// Returns the number of bytes made.
fn generate(
    kind: Kind,
    count: u64,
    seed: u64,
    members: u32,
    blocks: &SyncSender<Block>,
) -> io::Result<u64> {
    let mut xml = Vec::with_capacity(2 * BLOCK);
    let mut total = 0;
    let hand_over = |xml: &mut Vec<u8>, ends_member| {
        let xml = mem::replace(xml, Vec::with_capacity(2 * BLOCK));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the packing thread ended");
        blocks.send(Block { xml, ends_member }).map_err(gone)
    };
    let member_of = |ordinal: u64| (ordinal - 1) * u64::from(members) / count;
    parts(kind, count, seed, |ordinal, part| {
        total += part.len() as u64;
        let begins_member =
            (2..=count).contains(&ordinal) && member_of(ordinal) != member_of(ordinal - 1);
        // A member ends anywhere, so why not inside a record.
        let (before, after) = part.split_at(if begins_member { part.len() / 2 } else { 0 });
        xml.extend_from_slice(before);
        if begins_member || xml.len() >= BLOCK {
            hand_over(&mut xml, begins_member)?;
        }
        xml.extend_from_slice(after);
        Ok(())
    })?;
    hand_over(&mut xml, false)?;
    Ok(total)
}

fn compress(blocks: &Receiver<Block>, level: u32, file: File) -> io::Result<(u64, model::Sha256)> {
    let mut out = Hashing { file, hash: Sha256::new(), bytes: 0 };
    while let Ok(mut block) = blocks.recv() {
        let mut member = GzEncoder::new(out, Compression::new(level));
        loop {
            member.write_all(&block.xml)?;
            if block.ends_member {
                break;
            }
            match blocks.recv() {
                Ok(next) => block = next,
                Err(_) => break,
            }
        }
        out = member.finish()?;
    }
    out.file.sync_all()?;
    Ok((out.bytes, model::Sha256(out.hash.finalize().into())))
}

/// A file whose hash and length are known when it is written.
struct Hashing {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
