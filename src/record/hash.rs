//! The hash that tells whether a record changed.

use sha2::Digest;

use crate::model::Sha256;

/// SHA-256 of a record's canonical JSON.
pub(super) fn hash(json: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(json).into())
}
