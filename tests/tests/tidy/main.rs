//! The house rules that a machine can check, by topic.

mod circles;
mod codes;
mod documented;
mod documents;
mod imports;
mod lines;
mod map;
mod source;
