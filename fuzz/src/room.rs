//! A directory for the files that commands read and write. `scripts/fuzz` makes the one above it, in memory, and removes it.

use std::path::PathBuf;
use std::sync::OnceLock;

/// The room of this process.
pub fn room() -> &'static PathBuf {
    static ROOM: OnceLock<PathBuf> = OnceLock::new();
    ROOM.get_or_init(|| {
        let room = std::env::temp_dir().join(format!("room-{}", std::process::id()));
        std::fs::create_dir_all(&room).expect("TMPDIR can be written");
        room
    })
}

/// A file in it.
pub fn path(name: &str) -> PathBuf {
    room().join(name)
}

/// Gives a file in it these bytes.
pub fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, bytes).expect("TMPDIR has room");
    path
}

/// Removes what commands left in it.
pub fn clear() {
    for entry in std::fs::read_dir(room()).into_iter().flatten().flatten() {
        drop(std::fs::remove_file(entry.path()));
    }
}
