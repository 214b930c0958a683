use super::captures::*;
use super::*;

#[test]
fn look() {
    let made = make(&everything());
    std::fs::copy(&made.path, "/tmp/wtdemo.parquet").unwrap();
}
