//! The store: what is known of every file of every job, durable. sled stays behind this door.
