//! Captures in a folder, and what their conversations are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::ends::Ends;
use super::labels::{Label, Labels, Truth};
use super::replay::Flow;
use crate::failure::Failure;

/// The file of labels, in the folder itself.
const LABELS: &str = "labels.tsv";
/// What captures are called; `.gz` or `.zst` may follow.
const EXTENSIONS: [&str; 3] = ["pcap", "pcapng", "cap"];
/// Folders whose captures need no labels: nothing in them is Skype.
const KINDS: [&str; 2] = ["other", "teams"];
/// Folders within folders, at most.
const DEPTH: usize = 8;

/// A folder of captures.
#[derive(Debug)]
pub(super) struct Corpus {
    /// In order of folder and name.
    pub(super) captures: Vec<Capture>,
    pub(super) labels: Labels,
}

/// A capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) path: PathBuf,
    /// The file's name, which labels go by.
    pub(super) name: String,
    /// The name of the folder that it lies in; of folders in `other` and `teams`, those.
    pub(super) folder: String,
}

/// A conversation, and what it is.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) ends: Ends,
    pub(super) truth: Truth,
    /// What its label rests on.
    pub(super) ground: String,
    /// What replay says of it; `None` if only the label knows it.
    pub(super) flow: Option<Flow>,
}

impl Corpus {
    /// Looks through a folder and those in it.
    ///
    /// # Errors
    /// There is no capture, two have one name, or the labels can't be read.
    pub(super) fn find(folder: &Path) -> Result<Self, Failure> {
        let mut captures = Vec::new();
        let wrong = |error| Failure::wrong(format_args!("{}: {error}", folder.display()));
        let own = fs::canonicalize(folder).map_err(wrong)?;
        let own = own.file_name().unwrap_or_default().to_string_lossy();
        collect(folder, &own, DEPTH, &mut captures)?;
        captures.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
        if captures.is_empty() {
            return Err(Failure::wrong(format_args!(
                "{}: no capture here ({} files, also .gz and .zst)",
                folder.display(),
                EXTENSIONS.join(", ")
            )));
        }
        let mut names = BTreeMap::new();
        for capture in &captures {
            if let Some(other) = names.insert(&capture.name, &capture.path) {
                return Err(Failure::wrong(format_args!(
                    "{} and {} have one name, by which labels go: rename one",
                    other.display(),
                    capture.path.display()
                )));
            }
        }
        let file = folder.join(LABELS);
        let labels = if file.exists() {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let wrong = |error| Failure::wrong(format_args!("{}: {error}", file.display()));
            Labels::parse(&text).map_err(wrong)?
        } else {
            eprintln!("no labels: {} is not there", file.display());
            Labels::default()
        };
        Ok(Self { captures, labels })
    }

    /// What is odd about the labels: those that name captures or kinds that there are not.
    pub(super) fn warnings(&self) -> Vec<String> {
        let kinds = self.labels.unknown.iter().map(|(word, line)| {
            format!("{LABELS}, line {line}: the label `{word}` is not known and counts as other")
        });
        let missing = self
            .labels
            .captures()
            .filter(|name| !self.captures.iter().any(|capture| capture.name == *name))
            .map(|name| format!("{LABELS} has lines for {name}, which is not here"));
        kinds.chain(missing).collect()
    }

    /// Joins what replay found in a capture with its labels.
    pub(super) fn join(&self, capture: &Capture, flows: Vec<Flow>) -> Vec<Conversation> {
        let labels = self.labels.of(&capture.name);
        let unnamed = match (labels, capture.folder.as_str()) {
            (_, "teams") => Truth::Teams,
            (Some(_), _) | (None, "other") => Truth::Other,
            (None, _) => Truth::Unlabelled,
        };
        let mut labels = labels.cloned().unwrap_or_default();
        let mut all: Vec<_> = flows
            .into_iter()
            .map(|flow| {
                let ends = flow.ends();
                let label = labels.remove(&ends).unwrap_or(Label {
                    truth: unnamed,
                    ground: String::new(),
                });
                conversation(ends, label, Some(flow))
            })
            .collect();
        all.extend(
            labels
                .into_iter()
                .map(|(ends, label)| conversation(ends, label, None)),
        );
        all
    }
}

fn conversation(ends: Ends, label: Label, flow: Option<Flow>) -> Conversation {
    Conversation {
        ends,
        truth: label.truth,
        ground: label.ground,
        flow,
    }
}

fn collect(
    path: &Path,
    folder: &str,
    depth: usize,
    captures: &mut Vec<Capture>,
) -> Result<(), Failure> {
    let wrong = |error| Failure::wrong(format_args!("{}: {error}", path.display()));
    for entry in fs::read_dir(path).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy().into_owned();
        if path.is_dir() {
            if depth > 0 {
                let kept = KINDS.contains(&folder);
                let folder = if kept { folder } else { &name };
                collect(&path, folder, depth - 1, captures)?;
            }
        } else if is_capture(&name) {
            captures.push(Capture {
                path,
                name,
                folder: folder.to_owned(),
            });
        }
    }
    Ok(())
}

fn is_capture(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst"));
    let extension = Path::new(plain.unwrap_or(name)).extension();
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(labels: &str) -> Corpus {
        let header = "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tlabel\n";
        Corpus {
            captures: Vec::new(),
            labels: Labels::parse(&format!("{header}{labels}")).expect("right labels"),
        }
    }

    fn capture(folder: &str, name: &str) -> Capture {
        Capture {
            path: PathBuf::new(),
            name: name.into(),
            folder: folder.into(),
        }
    }

    fn truths(corpus: &Corpus, capture: &Capture) -> Vec<(Truth, bool)> {
        let flows = vec![Flow::plain("10.0.0.1:5", "192.0.2.1:6")];
        let joined = corpus.join(capture, flows);
        let truth = |one: &Conversation| (one.truth, one.flow.is_some());
        joined.iter().map(truth).collect()
    }

    #[test]
    fn what_has_no_line_is_what_its_folder_says() {
        let corpus = corpus("a.pcap\tTCP\t10.9.9.9\t5\t192.0.2.1\t6\tskype\n");
        let of = |folder, name| truths(&corpus, &capture(folder, name))[0].0;
        assert_eq!(of("other", "b.pcap"), Truth::Other);
        assert_eq!(of("teams", "b.pcap"), Truth::Teams);
        assert_eq!(of("", "b.pcap"), Truth::Unlabelled);
        assert_eq!(of("skype", "b.pcap"), Truth::Unlabelled);
        // Somebody went through it: what they left out is no Skype.
        assert_eq!(of("", "a.pcap"), Truth::Other);
    }

    #[test]
    fn a_label_counts_from_either_end_and_without_its_conversation() {
        let line = |proto, ip| format!("a.pcap\t{proto}\t192.0.2.1\t6\t{ip}\t5\tskype\n");
        let both = corpus(&(line("UDP", "10.0.0.1") + &line("TCP", "10.0.0.1")));
        assert_eq!(
            truths(&both, &capture("", "a.pcap")),
            [(Truth::Skype, true), (Truth::Skype, false)]
        );
    }

    #[test]
    fn captures_are_told_by_their_extension() {
        for name in ["a.pcap", "a.pcapng", "a.cap", "a.pcap.gz", "a.pcapng.zst"] {
            assert!(is_capture(name), "{name}");
        }
        for name in ["labels.tsv", "README.md", "a.gz", "pcap"] {
            assert!(!is_capture(name), "{name}");
        }
    }

    #[test]
    fn an_empty_folder_is_refused_and_what_is_below_other_is_other() {
        let name = format!("skype-ips-corpus-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("other/dns")).expect("a writable folder");
        let empty = Corpus::find(&root).expect_err("no capture");
        fs::write(root.join("other/dns/a.pcap"), b"").expect("a writable folder");
        fs::write(root.join("b.pcap"), b"").expect("a writable folder");
        let found = Corpus::find(&root);
        fs::remove_dir_all(&root).expect("our own folder");
        assert_eq!(empty.status(), 2);
        assert!(empty.to_string().contains("no capture here"), "{empty}");
        let captures = found.expect("two captures").captures;
        let folders: Vec<_> = captures.iter().map(|one| one.folder.as_str()).collect();
        assert_eq!(folders[0], "other");
        assert!(folders[1].starts_with("skype-ips-corpus"), "{folders:?}");
    }

    #[test]
    fn labels_of_captures_that_are_not_here_are_told() {
        let warnings = corpus("a.pcap\tTCP\t10.9.9.9\t5\t192.0.2.1\t6\tskpye\n").warnings();
        assert!(warnings[0].contains("line 2") && warnings[0].contains("skpye"));
        assert!(warnings[1].contains("a.pcap, which is not here"));
    }
}
