//! The figures in `docs/accuracy.md`.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// The document, from the workspace's folder.
const DOCUMENT: &str = "docs/accuracy.md";
/// A place in it: the lines before and after a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    begin: &'static str,
    end: &'static str,
}

/// What was found in captures.
pub(super) const CAPTURES: Section = Section {
    begin: "<!-- eval: begin; `cargo xtask eval --write-docs` writes what follows -->",
    end: "<!-- eval: end -->",
};
/// Which roles were found in simulated traffic.
pub(super) const ROLES: Section = Section {
    begin: "<!-- roles: begin; `cargo xtask eval --roles --write-docs` writes what follows -->",
    end: "<!-- roles: end -->",
};
/// How calls were said to have come about in it.
pub(super) const PATHS: Section = Section {
    begin: "<!-- paths: begin; `cargo xtask eval --roles --write-docs` writes what follows -->",
    end: "<!-- paths: end -->",
};

/// Puts the report into the document, in place of the one that is there.
pub(super) fn write(section: Section, report: &str) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let document = fs::read_to_string(&path).context(DOCUMENT)?;
    let Section { begin, end } = section;
    let document = replaced(section, &document, report)
        .with_context(|| format!("{DOCUMENT} has no line `{begin}` with `{end}` after it"))?;
    fs::write(&path, document).context(DOCUMENT)?;
    eprintln!("wrote {DOCUMENT}");
    Ok(())
}

fn replaced(Section { begin, end }: Section, document: &str, report: &str) -> Option<String> {
    let (before, rest) = document.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    let report = report.trim_end();
    Some(format!(
        "{before}{begin}\n\n```text\n{report}\n```\n\n{end}{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        for section in [CAPTURES, ROLES, PATHS] {
            let Section { begin, end } = section;
            let old = format!("# A\n\n{begin}\nold\n{end}\n\n## B\n");
            let new = replaced(section, &old, "new\n").expect("both marks");
            assert_eq!(
                new,
                format!("# A\n\n{begin}\n\n```text\nnew\n```\n\n{end}\n\n## B\n")
            );
            assert_eq!(replaced(section, &new, "new"), Some(new.clone()));
            assert_eq!(replaced(section, "# A\n", "new"), None);
        }
    }
}
