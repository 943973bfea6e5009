//! What is written down about a lab that is up, so that later commands find it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::LabError;
use super::plan::Plan;
use super::shape::Shaping;
use crate::gateway::{DEFAULT_RUN_DIR, RunDir, RunDirError};

/// The folder of labs among those of daemons.
const FOLDER: &str = "lab";
const FILE: &str = "lab.json";

/// Which lab is meant.
#[derive(Clone, Debug)]
pub struct Which {
    /// Its name among others on this machine.
    pub instance: String,
    /// Folder under which labs have theirs.
    pub run_dir: PathBuf,
}

/// A lab that is up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its name among others on this machine.
    pub instance: String,
    /// The process that holds the namespaces.
    pub holder: u32,
    /// Whether they are in a user namespace of their own, as without root.
    pub user_namespace: bool,
    /// What became of the links' properties; `None` while they are built.
    pub links: Option<Shaping>,
    /// The networks and parties.
    pub plan: Plan,
    /// The gateway, the parties, and what is between them; empty while they are built.
    pub namespaces: Vec<Namespace>,
}

/// A namespace of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name in the lab.
    pub name: String,
    /// Where other processes can open it, as with `nsenter --net=PATH`.
    pub path: PathBuf,
    /// The number by which the kernel tells it from others.
    pub inode: u64,
}

/// The default of [`Which::run_dir`]: root's is the machine's, everybody else has one.
pub fn default_run_dir() -> PathBuf {
    // SAFETY: takes nothing and can't fail.
    let user = unsafe { libc::geteuid() };
    match std::env::var_os("XDG_RUNTIME_DIR") {
        _ if user == 0 => PathBuf::from(DEFAULT_RUN_DIR),
        Some(folder) => Path::new(&folder).join("skype-ips"),
        None => std::env::temp_dir().join(format!("skype-ips-{user}")),
    }
}

impl Which {
    fn base(&self) -> PathBuf {
        self.run_dir.join(FOLDER)
    }

    /// The lab's own folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.base().join(&self.instance)
    }

    /// Takes the folder for a lab that is to be.
    ///
    /// # Errors
    /// A lab of this name is up, the name won't do, or the file system refuses.
    pub(super) fn take(&self) -> Result<Taken, LabError> {
        self.check_owner()?;
        let made = !self.run_dir.exists();
        match RunDir::take(&self.base(), &self.instance) {
            Ok(folder) => Ok(Taken {
                which: self.clone(),
                folder: Some(folder),
                made,
            }),
            Err(RunDirError::Held { instance, .. }) => Err(LabError::AlreadyUp {
                scenario: self
                    .read()
                    .ok()
                    .flatten()
                    .map(|state| state.plan.scenario)
                    .unwrap_or_default(),
                instance,
            }),
            Err(error) => Err(LabError::RunDir(error)),
        }
    }

    /// Whether a process holds the folder.
    pub(super) fn is_held(&self) -> bool {
        // Shared, so that two who ask at the same moment don't take each other for one.
        let lock = fs::File::open(self.folder().join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// What is written down; `None` if nothing is.
    pub(super) fn read(&self) -> Result<Option<State>, LabError> {
        self.check_owner()?;
        let path = self.folder().join(FILE);
        let failed = |source| LabError::failed(&format!("reading {}", path.display()), source);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// What somebody else wrote there would be believed.
    fn check_owner(&self) -> Result<(), LabError> {
        // SAFETY: takes nothing and can't fail.
        let user = unsafe { libc::geteuid() };
        for path in [&self.run_dir, &self.base(), &self.folder()] {
            match fs::metadata(path) {
                Ok(data) if data.uid() != user => {
                    return Err(LabError::NotOwner(path.clone()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A lab that is up and held.
    pub(super) fn up(&self) -> Result<State, LabError> {
        let not_up = || LabError::NotUp {
            instance: self.instance.clone(),
        };
        let state = self.read()?.ok_or_else(not_up)?;
        let instance = self.instance.clone();
        if !self.is_held() {
            Err(LabError::HolderGone { instance })
        } else if state.namespaces.is_empty() {
            Err(LabError::NotReady { instance })
        } else {
            Ok(state)
        }
    }

    /// Removes what a lab whose holder is gone left in the file system.
    pub(super) fn sweep(&self) -> Result<(), LabError> {
        self.take().map(drop)
    }

    /// Removes the folders of all labs, if this was the last one. The outermost is left alone if
    /// somebody chose it.
    pub(super) fn tidy(&self) {
        let _ = fs::remove_dir(self.base());
        if self.run_dir == default_run_dir() {
            let _ = fs::remove_dir(&self.run_dir);
        }
    }

    /// The names of all labs that have a folder here.
    pub(super) fn all(run_dir: &Path) -> Vec<Self> {
        let folders = fs::read_dir(run_dir.join(FOLDER)).into_iter().flatten();
        let mut all: Vec<Self> = folders
            .flatten()
            .filter(|entry| entry.path().join("lock").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|instance| Self {
                instance,
                run_dir: run_dir.to_owned(),
            })
            .collect();
        all.sort_by(|a, b| a.instance.cmp(&b.instance));
        all
    }
}

/// A lab's folder, as long as this process has it. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Taken {
    which: Which,
    folder: Option<RunDir>,
    /// Whether the folder of all labs was not there before.
    made: bool,
}

impl Taken {
    /// Writes a lab down.
    pub(super) fn write(&self, state: &State) -> Result<(), LabError> {
        let path = self.which.folder().join(FILE);
        let failed = |source| LabError::failed(&format!("writing {}", path.display()), source);
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| failed(error.into()))?;
        // Whole or not at all, for who reads at the same time.
        let new = path.with_extension("new");
        fs::write(&new, bytes)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(failed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let folder = self.which.folder();
        for name in [FILE, "lab.new"] {
            // Neither fails but where it isn't there.
            let _ = fs::remove_file(folder.join(name));
        }
        drop(self.folder.take());
        self.which.tidy();
        if self.made {
            let _ = fs::remove_dir(&self.which.run_dir);
        }
    }
}
