//! A reload that has to be confirmed: what it goes back to is kept on disk, so that a restart keeps
//! the promise. Nothing is there while no reload waits and none was taken back.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Gateway;
use super::audit::Outcome;
use super::source::Source;
use crate::policy::{Config, Problems, Snapshot};
use crate::telemetry::{self, Who};

/// Where daemons keep this unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/skype-ips";
const FILE: &str = "reload.json";
const SECOND: u64 = 1_000_000_000;
/// Format of the file.
const FORMAT: u32 = 1;

/// What became of the last reload that had to be confirmed, as long as it matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    pub(super) stage: Stage,
    /// Version of the configuration that was to be confirmed.
    pub(super) tried: String,
    /// Version of the one before.
    pub(super) confirmed: String,
    /// The one before.
    files: Snapshot,
    pub(super) reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// It waits for its confirmation.
    Pending {
        /// Nanoseconds since the Unix epoch at which it goes back.
        deadline: u64,
        /// Seconds that there were.
        within: u64,
        /// Lost packets over which it goes back at once.
        max_lost: u64,
    },
    /// It was taken back, and is not taken again while it stays the same.
    TakenBack {
        /// When, nanoseconds since the Unix epoch.
        at: u64,
        why: String,
    },
}

impl Record {
    pub(super) fn pending(
        tried: &Config,
        confirmed: (&str, &Snapshot),
        (within, max_lost): (u64, u64),
        now: u64,
        reason: Option<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            stage: Stage::Pending {
                deadline: now.saturating_add(within.saturating_mul(SECOND)),
                within,
                max_lost,
            },
            tried: tried.hash.clone(),
            confirmed: confirmed.0.to_owned(),
            files: confirmed.1.clone(),
            reason,
        }
    }

    /// The same for a configuration that takes the place of the one tried.
    pub(super) fn of(&self, tried: &Config) -> Self {
        Self {
            tried: tried.hash.clone(),
            ..self.clone()
        }
    }

    pub(super) const fn files(&self) -> &Snapshot {
        &self.files
    }

    pub(super) fn taken_back(&self, at: u64, why: String) -> Self {
        Self {
            stage: Stage::TakenBack { at, why },
            ..self.clone()
        }
    }

    /// Nanoseconds since the Unix epoch at which it goes back, if it waits.
    pub(super) const fn deadline(&self) -> Option<u64> {
        match self.stage {
            Stage::Pending { deadline, .. } => Some(deadline),
            Stage::TakenBack { .. } => None,
        }
    }

    /// Nanoseconds that are left to confirm it; `None` if it doesn't wait. A clock that was put back
    /// gives no more time than there was.
    pub(super) fn left(&self, now: u64) -> Option<u64> {
        match self.stage {
            Stage::Pending {
                deadline, within, ..
            } => Some(
                deadline
                    .saturating_sub(now)
                    .min(within.saturating_mul(SECOND)),
            ),
            Stage::TakenBack { .. } => None,
        }
    }
}

/// The file that keeps a [`Record`].
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    record: Option<Record>,
}

impl Kept {
    /// What is kept of an instance.
    pub(super) fn open(base: &Path, instance: &str) -> Self {
        let folder = base.join(instance);
        let path = folder.join(FILE);
        let record = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Record>(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|record| match record.format {
                    FORMAT => Ok(record),
                    other => Err(format!("its format is {other}, not {FORMAT}")),
                })
                .map_err(|error| {
                    tracing::error!(
                        "{} is not used: {error}; a reload that waited for its confirmation is forgotten",
                        path.display()
                    );
                })
                .ok(),
            Err(_) => None,
        };
        Self { folder, record }
    }

    pub(super) const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// What a reload that waits goes back to. If this version can't read it any more, nothing.
    pub(super) fn confirmed(&self, source: &Source) -> Option<Config> {
        let record = self.record.as_ref()?;
        record.deadline()?;
        source
            .restore(record.files())
            .map_err(|problems| {
                tracing::error!(
                    "a reload waits and can't be taken back: {}",
                    problems.summary()
                );
            })
            .ok()
    }

    /// Keeps a record, on disk before it returns.
    pub(super) fn keep(&mut self, record: Record) -> io::Result<()> {
        let path = self.folder.join(FILE);
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        serde_json::to_writer(&mut file, &record).map_err(|error| failed(error.into()))?;
        file.flush().map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        // The new name lasts through a loss of power only when the folder is on disk too.
        fs::File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        self.record = Some(record);
        Ok(())
    }

    /// Forgets it, and takes the folder away.
    pub(super) fn forget(&mut self) {
        if self.record.take().is_none() {
            return;
        }
        let path = self.folder.join(FILE);
        if let Err(error) = fs::remove_file(&path) {
            tracing::error!("{} was not removed: {error}", path.display());
        }
        let _ = fs::remove_dir(&self.folder);
        // Only if no other instance has its folder there.
        if let Some(base) = self
            .folder
            .parent()
            .filter(|base| *base == Path::new(DEFAULT_STATE_DIR))
        {
            let _ = fs::remove_dir(base);
        }
    }
}

impl Gateway {
    /// Says loudly that the files are not in force, if they are not.
    pub(super) fn say_what_was_chosen(&self, instead: Option<String>) {
        let Some(why) = instead else {
            return;
        };
        tracing::error!(
            "THE CONFIGURATION IN FORCE IS NOT THAT OF THE FILES: {why}; the last confirmed one is used. Change the \
             files, or take them with `skype-ips reload`"
        );
        let change = self.change("rollback", Who::Daemon, None);
        self.audit(change, Outcome::Done, format!("at the start: {why}"));
    }
}

/// What a daemon starts with.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) config: Config,
    /// Why it isn't what the files say now, if it isn't.
    pub(super) instead: Option<String>,
}

/// Which configuration a start takes: what the files say, or the last confirmed one, if a reload of
/// what they say was not confirmed in time. Keeps in `kept` what still holds.
///
/// # Errors
/// What is wrong with the files, or with what was kept.
pub(super) fn choose(source: &Source, kept: &mut Kept, now: u64) -> Result<Choice, Problems> {
    let read = source.read();
    let Some(record) = kept.record.clone() else {
        return read.map(|config| Choice {
            config,
            instead: None,
        });
    };
    let waits = record.left(now);
    let version = read.as_ref().ok().map(|config| config.hash.clone());
    let is_tried = version.as_ref() == Some(&record.tried);
    let why = match (&record.stage, version) {
        (_, Some(version)) if version == record.confirmed => None,
        (Stage::Pending { .. }, Some(_)) if waits > Some(0) => {
            // Its time goes on, also if the files have become others since.
            return read.map(|config| Choice {
                config,
                instead: None,
            });
        }
        (Stage::Pending { .. }, Some(_)) if is_tried => {
            Some("it was not confirmed in time".to_owned())
        }
        (Stage::Pending { .. }, None) => {
            Some("it was not confirmed, and the files have become unusable since".to_owned())
        }
        (Stage::TakenBack { at, why }, Some(_)) if is_tried => Some(format!(
            "it was taken back at {} ({why}) and is the same since",
            telemetry::timestamp(*at)
        )),
        (Stage::TakenBack { .. }, None) => {
            return read.map(|config| Choice {
                config,
                instead: None,
            });
        }
        // The files are others: a new decision of the administrator's.
        _ => None,
    };
    let Some(why) = why else {
        kept.forget();
        return read.map(|config| Choice {
            config,
            instead: None,
        });
    };
    let config = source.restore(record.files())?;
    if matches!(record.stage, Stage::Pending { .. })
        && let Err(error) = kept.keep(record.taken_back(now, why.clone()))
    {
        tracing::error!("{error}");
    }
    Ok(Choice {
        config,
        instead: Some(why),
    })
}
