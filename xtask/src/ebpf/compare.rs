//! How two kernel objects differ, by their ELF sections.

use std::collections::BTreeMap;

/// One line per section that differs, in words; empty if none does (then only the order or the
/// headers differ), or if one is no 64-bit little-endian ELF file.
pub(crate) fn differing_sections(kept: &[u8], fresh: &[u8]) -> Vec<String> {
    let (Some(kept), Some(fresh)) = (sections(kept), sections(fresh)) else {
        return Vec::new();
    };
    let names: std::collections::BTreeSet<_> = kept.keys().chain(fresh.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (kept.get(name), fresh.get(name)) {
            (Some(kept), Some(fresh)) if kept == fresh => {}
            (Some(kept), Some(fresh)) if kept.len() == fresh.len() => {
                let count = kept.iter().zip(*fresh).filter(|(a, b)| a != b).count();
                lines.push(format!("{name}: {count} of {} bytes", kept.len()));
            }
            (kept, fresh) => {
                let said = |content: Option<&&[u8]>| match content {
                    Some(content) => format!("{} bytes", content.len()),
                    None => "absent".to_owned(),
                };
                lines.push(format!(
                    "{name}: kept {}, fresh {}",
                    said(kept),
                    said(fresh)
                ));
            }
        }
    }
    lines
}

/// Contents of the sections by name; sections of one name are told apart by a number.
fn sections(elf: &[u8]) -> Option<BTreeMap<String, &[u8]>> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = number(elf, 0x28, 8)?;
    let (size, count, names) = (
        number(elf, 0x3a, 2)?,
        number(elf, 0x3c, 2)?,
        number(elf, 0x3e, 2)?,
    );
    let header = |index: usize| elf.get(table + index * size..)?.get(..size);
    let names = content(elf, header(names)?)?;
    let mut found = BTreeMap::new();
    for index in 1..count {
        let header = header(index)?;
        let name = names
            .get(number(header, 0, 4)?..)?
            .split(|&byte| byte == 0)
            .next()?;
        let mut name = String::from_utf8_lossy(name).into_owned();
        if found.contains_key(&name) {
            name = format!("{name} (section {index})");
        }
        found.insert(name, content(elf, header)?);
    }
    Some(found)
}

fn content<'a>(elf: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    elf.get(number(header, 0x18, 8)?..)?
        .get(..number(header, 0x20, 8)?)
}

/// A little-endian number of `len` bytes (at most 8).
fn number(bytes: &[u8], offset: usize, len: usize) -> Option<usize> {
    let mut wide = [0; 8];
    wide[..len].copy_from_slice(bytes.get(offset..offset.checked_add(len)?)?);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of the sections `names` and `xdp`.
    fn elf(program: &[u8]) -> Vec<u8> {
        let names = b"\0.names\0xdp\0";
        let mut file = vec![0; 0x40];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file.extend_from_slice(names);
        file.extend_from_slice(program);
        let table = file.len();
        file[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        file[0x3a] = 0x40;
        file[0x3c] = 3;
        file[0x3e] = 1;
        let mut header = |name: u8, offset: usize, len: usize| {
            let mut header = [0; 0x40];
            header[0] = name;
            header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
            file.extend_from_slice(&header);
        };
        header(0, 0, 0);
        header(1, 0x40, names.len());
        header(8, 0x40 + names.len(), program.len());
        file
    }

    #[test]
    fn a_changed_section_is_named_with_how_much_of_it_changed() {
        let lines = differing_sections(&elf(&[1, 2, 3]), &elf(&[1, 9, 3]));
        assert_eq!(lines, ["xdp: 1 of 3 bytes"]);
    }

    #[test]
    fn a_section_of_another_size_is_named_with_both_sizes() {
        let lines = differing_sections(&elf(&[1, 2, 3]), &elf(&[1]));
        assert_eq!(lines, ["xdp: kept 3 bytes, fresh 1 bytes"]);
    }

    #[test]
    fn equal_files_and_files_that_are_no_elf_differ_in_no_section() {
        assert_eq!(
            differing_sections(&elf(&[1]), &elf(&[1])),
            Vec::<String>::new()
        );
        assert_eq!(
            differing_sections(b"text", &elf(&[1])),
            Vec::<String>::new()
        );
        assert_eq!(
            differing_sections(&elf(&[1])[..0x50], &elf(&[1])),
            Vec::<String>::new()
        );
    }
}
