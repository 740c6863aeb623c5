//! From XML to canonical JSON: split at record boundaries, parse, flatten, write, hash. No tokio.
