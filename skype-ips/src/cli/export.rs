//! `skype-ips export`: a policy in the words of other systems.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use super::{Failure, print, word};
use crate::export::windows_registry::{self, ProxyType, Settings};
use crate::policy::Config;
use crate::toml_file::printable;

/// Write a policy in the words of another system
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    into: Into,
}

#[derive(Debug, clap::Subcommand)]
enum Into {
    WindowsRegistry(WindowsRegistry),
}

/// A .reg file with Skype's own settings, for the computers that a policy is for
#[derive(clap::Args, Debug)]
pub struct WindowsRegistry {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Which policy, where the configuration has several
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// What the proxy of `only-via` speaks [default: socks5 on port 1080, else https]
    #[arg(long, value_name = "https|socks5",
        value_parser = word(ProxyType::from_word, ProxyType::ALL, ProxyType::word))]
    proxy_type: Option<ProxyType>,

    /// Write into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `export`.
///
/// # Errors
/// Status 2 if the configuration can't be used or the policy isn't named; status 1 if the output
/// can't be written.
pub fn run(args: Args) -> Result<(), Failure> {
    match args.into {
        Into::WindowsRegistry(args) => windows_registry(args),
    }
}

fn windows_registry(args: WindowsRegistry) -> Result<(), Failure> {
    let config = Config::load(std::slice::from_ref(&args.config)).map_err(Failure::usage)?;
    let index = choose(&config, args.policy.as_deref())?;
    let settings = Settings::of(&config.policies, index, args.proxy_type);
    for text in &settings.unsaid {
        eprintln!("warning: {text}");
    }
    let text = windows_registry::render(&config.policies, index, &settings);
    let Some(path) = args.output else {
        // A person reads text; a file or another program gets what regedit reads.
        return match io::stdout().is_terminal() {
            true => print(&text.replace("\r\n", "\n")),
            false => io::stdout()
                .lock()
                .write_all(&windows_registry::encode(&text))
                .map_err(|error| Failure::failed(format!("can't write the output: {error}"))),
        };
    };
    std::fs::write(&path, windows_registry::encode(&text))
        .map_err(|error| Failure::failed(format!("can't write {}: {error}", printable(&path))))
}

/// The place of the policy that is meant.
fn choose(config: &Config, name: Option<&str>) -> Result<usize, Failure> {
    let policies = config.policies.policies();
    let names = || {
        let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        names.join(", ")
    };
    match (name, policies) {
        (_, []) => Err(Failure::usage("the configuration has no policy to export")),
        (None, [_]) => Ok(0),
        (None, _) => Err(Failure::usage(format!(
            "the configuration has several policies; say which with --policy: {}",
            names()
        ))),
        (Some(name), _) => policies
            .iter()
            .position(|policy| policy.name == name)
            .ok_or_else(|| {
                Failure::usage(format!(
                    "no policy is named {name:?}; there are: {}",
                    names()
                ))
            }),
    }
}
