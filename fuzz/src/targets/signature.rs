//! A signature beside a capture, and the list of those who may sign.

use std::sync::OnceLock;

use crate::commands::Line;
use crate::form::edit::records;
use crate::{bases, room};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";

pub fn run(input: &[u8]) {
    static LINES: OnceLock<[Line; 2]> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        [
            Line::new("verify --allowed-signers %/allowed %/s.parquet"),
            Line::new("verify --allowed-signers %/allowed -I alice@example.org -T json %/s.parquet"),
        ]
    });
    let Some((which, rest)) = input.split_first() else { return };
    let which = usize::from(*which);
    let armoured = bases::SIGNATURES[which % bases::SIGNATURES.len()];
    let mut text = armoured.as_bytes().to_vec();
    let mut allowed = bases::ALLOWED_SIGNERS.to_vec();
    let mut file = bases::CAPTURES[0].to_vec();
    let edits = records(rest);
    let mut binary = unarmoured(armoured);
    let mut changed = false;
    for edit in edits.iter().filter(|edit| edit.area % 5 < 2) {
        if binary.len() < 1 << 20 {
            edit.bytes(&mut binary, edit.sub as usize);
        }
        changed = true;
    }
    if changed {
        text = format!("{BEGIN}{}\n{END}", base64(&binary)).into_bytes();
    }
    for edit in &edits {
        let bytes = match edit.area % 5 {
            2 => &mut text,
            3 => &mut allowed,
            4 => &mut file,
            _ => continue,
        };
        if bytes.len() < 1 << 20 {
            edit.bytes(bytes, edit.sub as usize);
        }
    }
    room::put("s.parquet", &file);
    room::put("s.parquet.sig", &text);
    room::put("allowed", &allowed);
    lines[which / bases::SIGNATURES.len() % 2].run();
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn unarmoured(text: &str) -> Vec<u8> {
    let text = text.trim().trim_start_matches(BEGIN.trim()).trim_end_matches(END.trim());
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in digits {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, part) in bytes.chunks(3).enumerate() {
        let word = part.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63] as char;
            out.push(if at <= part.len() { digit } else { '=' });
        }
        // As ssh-keygen has it: 70 digits in a line.
        if index % 17 == 16 {
            out.push('\n');
        }
    }
    out
}
