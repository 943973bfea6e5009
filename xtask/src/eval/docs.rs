//! The figures in `docs/accuracy.md`.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// The document, from the workspace's folder.
const DOCUMENT: &str = "docs/accuracy.md";
const BEGIN: &str = "<!-- eval: begin; `cargo xtask eval --write-docs` writes what follows -->";
const END: &str = "<!-- eval: end -->";

/// Puts the report into the document, in place of the one that is there.
pub(super) fn write(report: &str) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let document = fs::read_to_string(&path).context(DOCUMENT)?;
    let document = replaced(&document, report)
        .with_context(|| format!("{DOCUMENT} has no line `{BEGIN}` with `{END}` after it"))?;
    fs::write(&path, document).context(DOCUMENT)?;
    eprintln!("wrote {DOCUMENT}");
    Ok(())
}

fn replaced(document: &str, report: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let report = report.trim_end();
    Some(format!(
        "{before}{BEGIN}\n\n```text\n{report}\n```\n\n{END}{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_replaced() {
        let old = format!("# A\n\n{BEGIN}\nold\n{END}\n\n## B\n");
        let new = replaced(&old, "new\n").expect("both marks");
        assert_eq!(
            new,
            format!("# A\n\n{BEGIN}\n\n```text\nnew\n```\n\n{END}\n\n## B\n")
        );
        assert_eq!(replaced(&new, "new"), Some(new.clone()));
        assert_eq!(replaced("# A\n", "new"), None);
    }
}
