//! `cargo xtask eval`: how well Skype is found in captures whose conversations are known, beside
//! nDPI.

mod corpus;
mod docs;
mod ends;
mod figures;
mod json;
mod kernel;
mod labels;
mod layout;
mod misses;
mod ndpi;
mod replay;
mod report;
mod roles;
mod score;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use self::corpus::{Capture, Conversation, Corpus};
use self::labels::Truth;
use self::ndpi::{Calls, Ndpi, VARIANTS, Variant};
use self::score::Tally;
use crate::failure::Failure;
use crate::setup::{self, Install};
use crate::{machine, process, test, workspace};

/// Measures detection over captures whose conversations are labelled.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with captures and `labels.tsv`; without it, the shared captures
    dir: Option<PathBuf>,

    /// Print JSON objects, one per line
    #[arg(long)]
    json: bool,

    /// Network whose hosts are inside; without it, private addresses are
    #[arg(long, value_name = "CIDR")]
    inside: Vec<String>,

    /// Install nothing: without nDPI there is nothing to compare with
    #[arg(long)]
    no_install: bool,

    /// Build skype-ips with optimisation
    #[arg(long)]
    release: bool,

    /// Measure instead which roles of hosts are found in simulated traffic, how soon, and how calls came
    /// about
    #[arg(long, conflicts_with_all = ["dir", "json", "inside", "no_install", "release"])]
    roles: bool,

    /// Put the report into docs/accuracy.md
    #[arg(long)]
    write_docs: bool,
}

/// A capture, and what was found in it.
#[derive(Debug)]
struct File {
    capture: Capture,
    /// Packets read, of whatever protocol.
    packets: u64,
    /// Whether it could be read to its end.
    complete: bool,
    conversations: Vec<Conversation>,
    /// What nDPI calls Skype, by [`VARIANTS`]; `None` where it is missing or can't read the file.
    calls: [Option<Calls>; VARIANTS.len()],
}

impl File {
    fn labelled_skype(&self) -> impl Iterator<Item = &Conversation> {
        let all = self.conversations.iter();
        all.filter(|conversation| conversation.truth == Truth::Skype)
    }

    #[cfg(test)]
    fn of(folder: &str, packets: u64, conversations: Vec<Conversation>) -> Self {
        Self {
            capture: Capture {
                path: PathBuf::new(),
                name: "made-up.pcap".to_owned(),
                folder: folder.to_owned(),
            },
            packets,
            complete: true,
            conversations,
            calls: [None, None],
        }
    }
}

/// All that was measured.
#[derive(Debug)]
struct Evaluation {
    files: Vec<File>,
    /// `None` where nDPI is not installed.
    ndpi_version: Option<String>,
    kernel: kernel::Counted,
}

impl Evaluation {
    /// How skype-ips did, in all.
    fn ours(&self) -> Tally {
        let mut sum = Tally::default();
        for file in &self.files {
            sum += &Tally::ours(&file.conversations);
        }
        sum
    }

    /// How nDPI did on the captures that it can read; `None` where it is not installed.
    fn ndpi_tallies(&self) -> impl Iterator<Item = (&'static Variant, Option<Tally>)> {
        (0..).zip(&VARIANTS).map(|(index, variant): (usize, _)| {
            let mut sum = Tally::default();
            for file in &self.files {
                if let Some(calls) = &file.calls[index] {
                    sum += &Tally::ndpi(&file.conversations, calls);
                }
            }
            (variant, self.ndpi_version.is_some().then_some(sum))
        })
    }
}

/// Runs `cargo xtask eval`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.roles {
        return roles::run(args.write_docs);
    }
    let folder = match &args.dir {
        Some(folder) => folder.clone(),
        None => workspace::captures().ok_or_else(|| {
            Failure::wrong("no captures here: name their folder, or set SKYPE_IPS_CAPTURES")
        })?,
    };
    let corpus = Corpus::find(&folder)?;
    for warning in corpus.warnings() {
        eprintln!("warning: {warning}");
    }
    setup::for_evaluating(Install::unless(args.no_install));
    let program = build(args.release)?;
    let evaluation = evaluate(args, &folder, &corpus, &program)?;
    let report = report::text(&evaluation);
    if args.json {
        let lines = json::lines(&evaluation);
        print(
            &lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
        )?;
    } else {
        print(&report)?;
    }
    if args.write_docs {
        docs::write(docs::CAPTURES, &report)?;
    }
    let all = evaluation.files.len();
    let complete = evaluation.files.iter().filter(|file| file.complete);
    match all - complete.count() {
        0 => Ok(()),
        cut_off => Err(Failure::failed(format_args!(
            "{cut_off} of {all} captures could not be read to the end"
        ))),
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(
            format_args!("can't write the report: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Builds the program as the caller; returns its file.
fn build(release: bool) -> Result<PathBuf, Failure> {
    test::take_back_target()?;
    let mut build = machine::cargo();
    build.args(["build", "--locked", "--package", "skype-ips"]);
    let profile = if release {
        build.arg("--release");
        "release"
    } else {
        "debug"
    };
    process::run(build.current_dir(workspace::root()))?;
    Ok(workspace::target_folder()?.join(profile).join("skype-ips"))
}

fn evaluate(
    args: &Args,
    folder: &Path,
    corpus: &Corpus,
    program: &Path,
) -> Result<Evaluation, Failure> {
    let ndpi = Ndpi::find(&workspace::target_folder()?.join("eval"));
    let mut files = Vec::new();
    let all = corpus.captures.len();
    for (number, capture) in (1..).zip(&corpus.captures) {
        eprintln!("[{number}/{all}] {}/{}", capture.folder, capture.name);
        let replayed = replay::run(program, &args.inside, &capture.path)?;
        if let Some(complaint) = &replayed.complaint {
            eprintln!("{complaint}");
        }
        let run = |variant| ndpi.as_ref()?.run(variant, &capture.path);
        files.push(File {
            packets: replayed.packets,
            complete: replayed.complaint.is_none(),
            conversations: corpus.join(capture, replayed.flows),
            calls: VARIANTS.each_ref().map(run),
            capture: capture.clone(),
        });
    }
    Ok(Evaluation {
        files,
        ndpi_version: ndpi.map(|ndpi| ndpi.version),
        kernel: kernel::count(folder),
    })
}
