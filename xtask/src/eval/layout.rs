//! Figures in columns.

use super::figures::Share;

/// Rows of cells under a header, the first column to the left and the others to the right.
/// Short rows leave their last columns empty.
pub(super) fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut widths = vec![0; header.len()];
    for row in std::iter::once(&header).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = if index == 0 {
                format!("{cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
            line.push_str(&cell);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `98.72 %`; a dash of nothing.
pub(super) fn percent(part: u64, all: u64) -> String {
    if all == 0 {
        return "-".to_owned();
    }
    format!("{:.2} %", 100.0 * part as f64 / all as f64)
}

/// `144 of 145 (99.31 %)`.
pub(super) fn share(share: Share) -> String {
    let Share { part, all } = share;
    format!("{part} of {all} ({})", percent(part, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["a".to_owned(), "1000".to_owned()],
            vec!["long".to_owned()],
        ];
        let text = columns(&["", "n"], &rows);
        assert_eq!(text, "         n\na     1000\nlong\n");
    }

    #[test]
    fn a_share_of_nothing_has_no_percentage() {
        assert_eq!(share(Share { part: 0, all: 0 }), "0 of 0 (-)");
        assert_eq!(share(Share { part: 1, all: 3 }), "1 of 3 (33.33 %)");
    }
}
