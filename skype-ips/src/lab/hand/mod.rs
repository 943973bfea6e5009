//! The lab by hand: a scenario's networks with kernels' own network stacks, for experiments of
//! one's own.
//!
//! Namespaces have no names; a process holds them, and a folder says where they are. They are
//! gone with that process, whatever ends it.

mod build;
mod holder;
mod plan;
mod processes;
mod shape;
mod state;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) use build::{GATEWAY_OUTSIDE, gateway_inside};
pub use holder::{Holder, hold};
pub use plan::{Home, HomeNat, InsideNetwork, Place, Plan, PlannedParty, Shape};
pub use shape::{Shaper, Shaping};
pub use state::{Namespace, State, Which, default_run_dir};

use super::LabError;

/// Set for every command of [`exec`]: the lab's folder, by which its processes are told from
/// others.
const MARK: &str = "SKYPE_IPS_LAB";
/// Set for every command of [`exec`]: where it runs.
const PARTY_MARK: &str = "SKYPE_IPS_LAB_PARTY";
/// How long the holder may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Builds a plan, which stays until [`down`].
///
/// # Errors
/// A lab of this name is up; else see [`LabError`]. Whatever was set up is gone by then.
pub fn up(which: &Which, holder: &Holder, plan: &Plan) -> Result<State, LabError> {
    if let Some(name) = plan.taken_name() {
        return Err(LabError::PartyName(name));
    }
    if !which.is_held() && which.folder().exists() {
        // Processes may have outlived a holder that was killed.
        remove_rest(which)?;
    }
    holder::start(holder, plan)
}

/// Puts a command in this process's place, in the namespace of a party or of the gateway. Returns
/// only if that fails.
///
/// # Errors
/// No lab is up, it has no such party, or the command can't be run.
pub fn exec(
    which: &Which,
    party: &str,
    program: &OsString,
    arguments: &[OsString],
) -> Result<Infallible, LabError> {
    let state = which.up()?;
    let namespace = state
        .namespaces
        .iter()
        .find(|namespace| namespace.name == party)
        .ok_or_else(|| LabError::UnknownParty {
            party: party.to_owned(),
            known: state.names(),
        })?;
    let failed = |error| LabError::failed(&format!("entering {party}'s namespace"), error);
    let mut entered = Vec::new();
    if state.user_namespace {
        let path = format!("/proc/{}/ns/user", state.holder);
        entered.push((File::open(path).map_err(failed)?, libc::CLONE_NEWUSER));
    }
    let netns = File::open(&namespace.path).map_err(failed)?;
    entered.push((netns, libc::CLONE_NEWNET));
    for (file, kind) in &entered {
        // SAFETY: takes no pointers; the descriptor is open.
        if unsafe { libc::setns(file.as_raw_fd(), *kind) } != 0 {
            return Err(failed(io::Error::last_os_error()));
        }
    }
    drop(entered);
    let error = Command::new(program)
        .args(arguments)
        .env(MARK, which.folder())
        .env(PARTY_MARK, party)
        .exec();
    Err(LabError::Command {
        program: program.to_string_lossy().into_owned(),
        source: error,
    })
}

/// Removes a lab with all processes in it.
///
/// # Errors
/// None is there, or something of it can't be removed.
pub fn down(which: &Which) -> Result<(), LabError> {
    if !which.folder().exists() {
        return Err(LabError::NotUp {
            instance: which.instance.clone(),
        });
    }
    if !which.is_held() {
        return remove_rest(which);
    }
    let start = Instant::now();
    let state = loop {
        match which.read()? {
            Some(state) => break state,
            // Another `lab up` has just begun.
            None if start.elapsed() < END_LIMIT => std::thread::sleep(Duration::from_millis(10)),
            None => {
                let instance = which.instance.clone();
                return Err(LabError::NotReady { instance });
            }
        }
    };
    // Held here too, so that their numbers stay theirs while processes are looked for by them.
    let held: Vec<File> = state
        .namespaces
        .iter()
        .filter_map(|namespace| File::open(&namespace.path).ok())
        .collect();
    end_holder(which, state.holder)?;
    processes::end_all(&state.inodes(), |_| true)?;
    drop(held);
    // In a user namespace the holder takes itself for root, and its folder for a chosen one.
    which.tidy();
    Ok(())
}

/// Ends a holder, which clears up its folder itself.
fn end_holder(which: &Which, holder: u32) -> Result<(), LabError> {
    let start = Instant::now();
    while which.is_held() {
        let signal = if start.elapsed() < END_LIMIT {
            libc::SIGTERM
        } else {
            libc::SIGKILL
        };
        if start.elapsed() > END_LIMIT * 2 {
            return Err(LabError::ProcessesLeft(holder.to_string()));
        }
        // SAFETY: plain numbers. It holds the lock, so the number is still its.
        unsafe { libc::kill(holder as libc::pid_t, signal) };
        std::thread::sleep(Duration::from_millis(10));
    }
    if which.folder().exists() {
        which.sweep()?;
    }
    Ok(())
}

/// Removes what is left of a lab whose holder was killed: processes in its namespaces, its folder.
fn remove_rest(which: &Which) -> Result<(), LabError> {
    if let Some(state) = which.read()? {
        // The numbers may have been given to others' namespaces: the mark says whose it is.
        let folder = which.folder().display().to_string();
        let ours = |process| processes::started_with(process, MARK, &folder);
        processes::end_all(&state.inodes(), ours)?;
    }
    which.sweep()
}

/// The labs that are up, by name. What killed ones left is removed on the way.
///
/// # Errors
/// What is written down about one can't be read.
pub fn all_up(run_dir: &Path) -> Result<Vec<State>, LabError> {
    let mut up = Vec::new();
    for which in Which::all(run_dir) {
        if which.is_held() {
            up.extend(which.read()?);
        } else {
            remove_rest(&which)?;
        }
    }
    Ok(up)
}

impl State {
    /// What commands can be run in: the gateway, the parties, the routers of homes.
    pub fn names(&self) -> Vec<String> {
        let all = self.namespaces.iter().map(|namespace| &namespace.name);
        all.cloned().collect()
    }

    /// The gateway's interfaces, with the name of the network that each leads to.
    pub fn gateway_interfaces(&self) -> Vec<(String, String)> {
        let networks = self.plan.networks.iter().enumerate();
        networks
            .map(|(number, network)| (gateway_inside(number), network.name.clone()))
            .chain([(GATEWAY_OUTSIDE.to_owned(), "outside".to_owned())])
            .collect()
    }

    fn inodes(&self) -> BTreeSet<u64> {
        self.namespaces
            .iter()
            .map(|namespace| namespace.inode)
            .collect()
    }
}
