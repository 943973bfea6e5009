//! Scenarios that come with the program.

use std::path::Path;

use super::model::Scenario;
use super::read::{parse, read};
use crate::toml_file::{Problem, Problems, nearest};

/// A scenario that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! ready {
    ($($name:literal),+ $(,)?) => {
        &[$(Ready {
            name: $name,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/scenarios/",
                $name,
                ".toml"
            )),
        }),+]
    };
}

const READY: &[Ready] = ready![
    "sign-in",
    "call",
    "call-hole-punched",
    "video",
    "file-transfer",
    "relay",
    "super-node",
    "fallback-443",
    "proxy",
    "listening-port",
    "two-subnets",
    "busy-evening",
];

/// All of them, the simplest first.
pub const fn ready() -> &'static [Ready] {
    READY
}

impl Ready {
    /// The scenario itself.
    pub fn scenario(&self) -> Scenario {
        parse(Path::new(self.name), self.text).expect("tests read every ready scenario")
    }
}

/// The ready scenario of that name, or that of a file.
///
/// # Errors
/// Everything that is wrong with the file, if anything is; that there is none.
pub fn load(name_or_path: &str) -> Result<Scenario, Problems> {
    if let Some(ready) = READY.iter().find(|ready| ready.name == name_or_path) {
        return Ok(ready.scenario());
    }
    let path = Path::new(name_or_path);
    if path.exists() {
        return read(path);
    }
    let help = match nearest(name_or_path, READY.iter().map(|ready| ready.name)) {
        Some(near) => format!("did you mean the ready scenario \"{near}\"?"),
        None => "name a file that is there, or a ready scenario (`skype-ips lab list`)".into(),
    };
    let message = "is neither a ready scenario nor a file";
    Err(Problems::of(Problem::of_file(path, message, help)))
}
