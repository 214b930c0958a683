//! What counts as a crash, each once: `scripts/fuzz corpus` wants every one of these inputs to be one.

use std::io::Write;

use crate::oracle::{Output, limit_time, watched};

pub fn run(input: &[u8]) {
    limit_time(1);
    watched("the test of the oracle", Output::Text, || match input {
        b"panic" => panic!("as it is wanted"),
        b"memory" => drop(std::hint::black_box(Vec::<u8>::with_capacity(600 << 20))),
        b"pieces" => {
            drop((0..600).map(|_| std::hint::black_box(Vec::<u8>::with_capacity(1 << 20))).collect::<Vec<_>>())
        }
        b"control" => drop(std::io::stdout().write_all(b"a\x1b[31m\n")),
        b"order" => drop(std::io::stderr().write_all("a\u{202e}b\n".as_bytes())),
        b"bytes" => drop(std::io::stdout().write_all(b"a\xff\n")),
        b"time" => (0..u64::MAX).for_each(|number| _ = std::hint::black_box(number)),
        _ => {}
    });
}
