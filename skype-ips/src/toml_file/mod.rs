//! Reads a TOML file of ours: typed values, and every problem in one pass, each with its place.

mod file;
mod grammar;
mod place;
mod problems;
mod quantity;
mod reader;

pub use file::MAX_FILE;
pub(crate) use file::read_limited;
pub(crate) use grammar::{
    About, Grammar, Key, Language, NAME_HELP, VERSION, Values, Word, is_name, keys, listed,
    nearest, words,
};
pub use place::{Excerpt, LONG_LINE, Place};
pub(crate) use place::{Source, printable, quoted};
pub(crate) use problems::counted;
pub use problems::{Problem, Problems, Related, Severity};
pub(crate) use quantity::{Quantity, Rate, Share, Size, Wrong, quantity, range, seconds};
pub(crate) use reader::{Document, Reader, Value};
