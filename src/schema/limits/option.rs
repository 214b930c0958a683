//! The option that raises limits, and sizes as they are written on a command line.

use super::Limits;

/// The option of every command that reads captures.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct AllowLarge {
    /// Accept captures with a page, or rows decoded at a time, of up to SIZE in memory; only for files that you trust
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    allow_large: Option<u64>,
}

impl AllowLarge {
    /// The limits that follow.
    pub fn limits(self) -> Limits {
        self.allow_large.map_or_else(Limits::default, Limits::of)
    }
}

/// Reads a size in bytes: `512M`, `4G`, `1GiB`.
///
/// # Errors
/// Says what it may look like.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => Some(0),
        "K" | "KiB" => Some(10),
        "M" | "MiB" => Some(20),
        "G" | "GiB" => Some(30),
        "T" | "TiB" => Some(40),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(shift).and_then(|(n, shift)| n.checked_mul(1u64.checked_shl(shift)?));
    size.ok_or_else(|| format!("{text:?} is not a size: write 512M or 4G"))
}
