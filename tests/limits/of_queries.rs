//! Limits of queries.

use vmtrace::schema::limits::{MAX_DIRECTORIES, MAX_FILES, MAX_SQL};

use super::Room;
use super::captures::{manifest, readv, write};

#[test]
fn sql_has_so_many_bytes() {
    let room = Room::new();
    write(&room.path("t.parquet"), &manifest(), &[&[readv(1)]]);
    let sql = |length: usize| format!("SELECT 1{}", " ".repeat(length - "SELECT 1".len()));
    room.accepts(&["query", "t.parquet", &sql(MAX_SQL)]);
    room.refuses(&["query", "t.parquet", &sql(MAX_SQL + 1)], "the SQL is longer than 65536 bytes");
}

#[test]
fn directories_are_entered_so_deep() {
    let room = Room::new();
    let deepest = (0..MAX_DIRECTORIES).fold(room.path("top"), |path, _| path.join("d"));
    std::fs::create_dir_all(&deepest).unwrap();
    write(&deepest.join("t.parquet"), &manifest(), &[&[readv(1)]]);
    let words = |what| ["query", what, "SELECT 1"];
    room.accepts(&words("top"));
    room.accepts(&words("top/**/*.parquet"));
    std::fs::create_dir(deepest.join("d")).unwrap();
    write(&deepest.join("d/t.parquet"), &manifest(), &[&[readv(1)]]);
    room.refuses(&words("top"), "directories are nested more than 32 deep");
    room.refuses(&words("top/**/*.parquet"), "directories are nested more than 32 deep");
}

#[test]
fn so_many_files_are_taken() {
    let room = Room::new();
    std::fs::create_dir(room.path("many")).unwrap();
    let file = |n: usize| drop(std::fs::File::create(room.path(&format!("many/{n:06}.parquet"))).unwrap());
    (0..MAX_FILES).for_each(file);
    // They are empty, which is found out later.
    room.refuses(&["query", "many", "SELECT 1"], "many/000000.parquet");
    room.passes(&["query", "many", "SELECT 1"], "name fewer");
    file(MAX_FILES);
    room.refuses(&["query", "many", "SELECT 1"], "more than 100000 captures: name fewer");
}
