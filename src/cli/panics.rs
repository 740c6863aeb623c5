//! What a panic prints.

use std::panic::{set_hook, take_hook};

use crate::state;

/// Lets a panic print nothing where it becomes an error of the store's, which is printed.
pub fn hush() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !state::is_guarded() {
            usual(panic);
        }
    }));
}
