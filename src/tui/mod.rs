//! A picture on a terminal. What is drawn and what a key does are functions of values; only
//! `terminal` has to do with one.

mod cells;
mod columns;
mod draw;
mod ink;
mod keys;
mod screen;
mod terminal;

pub use terminal::{End, Look, News, run};
