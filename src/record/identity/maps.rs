//! The text of /proc/PID/maps (proc_pid_maps(5)).

use crate::record::text;
use crate::record::wire::VMT_PATH_MAX;
use crate::schema::regions::Mapping;

/// Bytes of a path kept, of its end, as of other files' paths.
const MOST_PATH: usize = VMT_PATH_MAX as usize;

/// The mappings of a process, in order; `None` if a line is none.
pub fn parse(text: &[u8]) -> Option<Vec<Mapping>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mappings: Vec<Mapping> = lines.map(line).collect::<Option<_>>()?;
    mappings.is_sorted_by(|a, b| a.end <= b.start).then_some(mappings)
}

/// `START-END PERMS OFFSET MAJOR:MINOR INODE`, then spaces and the path, in which the kernel writes a line feed as `\012`.
fn line(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (field, behind) = rest.split_at_checked(end)?;
        rest = behind.get(1..).unwrap_or_default();
        std::str::from_utf8(field).ok()
    };
    let (range, perms, offset, device, inode) = (field()?, field()?, field()?, field()?, field()?);
    let path = rest.get(rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len())..).unwrap_or_default();
    let hex = |digits| u64::from_str_radix(digits, 16).ok();
    let (start, end) = range.split_once('-')?;
    let (start, end) = (hex(start)?, hex(end)?);
    if start >= end || perms.len() != 4 {
        return None;
    }
    Some(Mapping {
        start,
        end,
        perms: perms.to_string(),
        path: kept(path),
        file_offset: hex(offset)?,
        device: device.to_string(),
        inode: inode.parse().ok()?,
        build_id: String::new(),
    })
}

/// A path as text. Of one that is too long the end, behind `...`.
fn kept(path: &[u8]) -> String {
    match path.len().checked_sub(MOST_PATH).and_then(|cut| path.get(cut..)) {
        Some(end) if end.len() < path.len() => format!("...{}", text::escape(end)),
        _ => text::escape(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let text = b"55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0                          [heap]\n\
            7f0000000000-7f0000001000 r-xs 00002000 fd:01 1234567                    /tmp/a  b\\012c\xff (deleted)\n\
            7f0000001000-7f0000002000 ---p 00000000 00:00 0 \n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        let mappings = parse(text).unwrap();
        let paths: Vec<&str> = mappings.iter().map(|mapping| &*mapping.path).collect();
        assert_eq!(paths, ["[heap]", "/tmp/a  b\\\\012c\\xff (deleted)", "", "[vsyscall]"]);
        let file = &mappings[1];
        assert_eq!(
            (file.start, file.end, file.file_offset, file.inode),
            (0x7f0000000000, 0x7f0000001000, 0x2000, 1234567)
        );
        assert_eq!((&*file.perms, &*file.device), ("r-xs", "fd:01"));
    }

    #[test]
    fn of_a_long_path_the_end_is_kept() {
        let of = |path: &str| parse(format!("1-2 rwxp 0 0:0 7 {path}").as_bytes()).unwrap()[0].path.clone();
        let long = format!("/{}/name", "d".repeat(10_000));
        assert_eq!(of(&long), format!("...{}", &long[long.len() - MOST_PATH..]));
        let just = format!("/{}", "d".repeat(MOST_PATH - 1));
        assert_eq!(of(&just), just);
    }

    #[test]
    fn other_text_is_refused() {
        for wrong in [
            "x",
            "1-2 rwxp 0 0:0",
            "2-1 rwxp 0 0:0 0",
            "1-2 rwxp 0 0:0 x",
            "1-2 rw 0 0:0 0",
            "1-3 rwxp 0 0:0 0\n2-4 rwxp 0 0:0 0",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse(b""), Some(Vec::new()));
    }
}
