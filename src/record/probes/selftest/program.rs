//! The smallest possible executable: it ends at once.

/// Where it is loaded.
const BASE: u64 = 0x40_0000;
const HEADERS: u16 = 64 + 56;

/// An x86-64 ELF executable (elf(5)) that calls exit_group(`code`).
pub fn exits_with(code: u8) -> Vec<u8> {
    // mov edi, code; mov eax, 231 (exit_group); syscall
    let text = [0xbf, code, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05];
    let size = u64::from(HEADERS) + text.len() as u64;
    let mut file = Vec::new();
    // Identification: 64-bit, little-endian, version 1, System V.
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    halves(&mut file, &[2, 62]); // ET_EXEC, EM_X86_64
    words(&mut file, &[1]);
    // Entry; the program header follows this header; no sections.
    longs(&mut file, &[BASE + u64::from(HEADERS), 64, 0]);
    words(&mut file, &[0]);
    halves(&mut file, &[64, 56, 1, 0, 0, 0]);
    // One PT_LOAD, to be read and executed: the whole file.
    words(&mut file, &[1, 5]);
    longs(&mut file, &[0, BASE, BASE, size, size, 0x1000]);
    file.extend(text);
    file
}

fn halves(file: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| file.extend(v.to_le_bytes()));
}

fn words(file: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| file.extend(v.to_le_bytes()));
}

fn longs(file: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|v| file.extend(v.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_ends_with_its_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, exits_with(42)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(std::process::Command::new(&path).status().unwrap().code(), Some(42));
    }
}
