//! A policy in the words of other systems.

pub mod windows_registry;
