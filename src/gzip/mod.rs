//! The dump as it lies on disk: inflate with members, checks, and places to start again from. No tokio.
