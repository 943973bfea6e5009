//! x
pub mod engine;
pub mod kernel;
pub mod policy;
