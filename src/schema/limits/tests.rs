use super::*;
use crate::schema::batch::BATCH_BYTES;

#[test]
fn what_is_recorded_stays_below() {
    let limits = Limits::default();
    // A row group ends with the row that exceeds it.
    assert!(limits.page() > BATCH_BYTES as u64 + limits.value());
    assert!(limits.batch() > BATCH_BYTES as u64 + limits.value());
    assert!(limits.value() > 1 << 20);
    assert_eq!(Limits::of(5), limits);
    assert!(Limits::of(u64::MAX).row_group() > limits.row_group());
}

#[test]
fn what_is_refused_says_what_would_do() {
    type Check = fn(Limits, u64) -> Result<(), TooLarge>;
    let checks: [Check; 5] = [
        |limits, bytes| limits.check_page(bytes, String::new),
        |limits, bytes| limits.check_pages(bytes, String::new),
        |limits, bytes| limits.check_batch(bytes, String::new),
        |limits, bytes| limits.check_value(bytes, String::new),
        |limits, bytes| limits.check_row_group(bytes, String::new),
    ];
    for check in checks {
        for bytes in [(2 << 30) + 1, (3 << 30) + 7, (5 << 32) + 1023] {
            let error = check(Limits::default(), bytes).unwrap_err();
            let size = error.to_string();
            let size = size.split_once("--allow-large ").unwrap().1.split(' ').next().unwrap();
            assert_eq!(check(Limits::of(parse_size(size).unwrap()), bytes), Ok(()), "{error}");
        }
    }
}

#[test]
fn limits_that_grow_are_kept_to_the_byte() {
    type Check = fn(Limits, u64) -> Result<(), TooLarge>;
    let check = |name: &str| -> Check {
        match name {
            "page" => |limits, bytes| limits.check_page(bytes, String::new),
            "pages" => |limits, bytes| limits.check_pages(bytes, String::new),
            "batch" => |limits, bytes| limits.check_batch(bytes, String::new),
            "value" => |limits, bytes| limits.check_value(bytes, String::new),
            "row_group" => |limits, bytes| limits.check_row_group(bytes, String::new),
            other => panic!("no check of {other}"),
        }
    };
    // That of footers is counted while they are walked through: claims.rs.
    for Growing { name, most, .. } in GROWING.iter().filter(|limit| limit.name != "metadata") {
        for limits in [Limits::default(), Limits::of(1 << 30)] {
            assert_eq!(check(name)(limits, most(limits)), Ok(()), "{name}");
            assert!(check(name)(limits, most(limits) + 1).is_err(), "{name}");
        }
    }
}

#[test]
fn sizes_have_units() {
    assert_eq!(parse_size("64M"), Ok(64 << 20));
    assert_eq!(parse_size("2GiB"), Ok(2 << 30));
    assert_eq!(parse_size("7"), Ok(7));
    for bad in ["", "M", "1X", "-1", "99999999999999999999G", "99999999999T"] {
        assert!(parse_size(bad).unwrap_err().contains("is not a size"), "{bad}");
    }
}

#[test]
fn json_of_any_length_is_as_dense_as_it_may_be() {
    let of = |sign: u8, many: usize, bytes: usize| [vec![sign; many], vec![b' '; bytes - many]].concat();
    for (sign, each, first) in
        [(b'{', 64, MAX_FRAME_OBJECTS), (b'[', 64, MAX_FRAME_OBJECTS), (b',', 8, MAX_FRAME_VALUES)]
    {
        assert!(is_sparse(&of(sign, first, first)) && !is_sparse(&of(sign, first + 1, first + 1)));
        let many = first * 2;
        assert!(is_sparse(&of(sign, many, many * each)) && !is_sparse(&of(sign, many, many * each - 1)));
    }
}

#[test]
fn json_is_counted_outside_of_texts() {
    assert!(is_modest(br#"{"a": [1, 2], "b": "[[[,,,{"}"#));
    assert!(is_modest(format!("\"{}\"", ",".repeat(2 << 20)).as_bytes()));
    assert!(!is_modest("{},".repeat(1 << 20).as_bytes()));
    assert!(!is_modest(format!("\"\\\"\"{}", ",".repeat(2 << 20)).as_bytes()), "a quote in a text does not end it");
    assert!(is_modest(&vec![b' '; MAX_JSON]));
    assert!(!is_modest(&vec![b' '; MAX_JSON + 1]));
    assert!(is_modest(&vec![b','; MAX_JSON_VALUES]));
    assert!(!is_modest(&vec![b','; MAX_JSON_VALUES + 1]));
}
