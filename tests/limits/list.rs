//! Which test walks which limit. A limit that has none makes this fail.

use std::collections::BTreeSet;

use vmtrace::schema::limits::{FIXED, GROWING};

/// Limits with the file and the name of their tests: an input at the limit is accepted, one above is refused. Where no such
/// input can be made cheaply, or by a command, that is a test of the function that decides, beside it.
const TESTS: &[(&str, &str, &str)] = &[
    ("MAX_FOOTER", "tests/limits/of_captures.rs", "a_footer_is_as_large_as_it_may_be"),
    ("MAX_FOOTER", "src/schema/claims.rs", "page_indexes_are_no_larger_together_than_a_footer"),
    ("MAX_NESTING", "src/schema/claims.rs", "what_a_footer_has_is_counted_up_to_its_limits"),
    ("MAX_UNKNOWN_DEPTH", "src/schema/thrift.rs", "what_is_not_known_is_followed_to_a_depth"),
    ("MAX_ELEMENTS", "src/schema/claims.rs", "what_a_footer_has_is_counted_up_to_its_limits"),
    ("MAX_NAME", "src/schema/claims.rs", "what_a_footer_has_is_counted_up_to_its_limits"),
    ("MAX_FIXED", "tests/limits/of_captures.rs", "values_of_fixed_length_are_short"),
    ("MAX_ROW_GROUPS", "src/schema/claims.rs", "what_a_footer_has_is_counted_up_to_its_limits"),
    ("MAX_ROW_GROUP_ROWS", "tests/limits/of_captures.rs", "a_row_group_has_so_many_rows"),
    ("MAX_RANGES", "tests/limits/of_captures.rs", "a_row_has_so_many_ranges"),
    ("MAX_JSON", "tests/limits/of_captures.rs", "a_manifest_has_so_many_bytes"),
    ("MAX_JSON_VALUES", "tests/limits/of_captures.rs", "a_manifest_has_so_many_values"),
    ("MAX_HOSTS", "tests/limits/of_captures.rs", "a_manifest_has_so_many_hosts"),
    ("MAX_HOSTS", "src/schema/manifest/hosts.rs", "a_manifest_with_too_many_hosts_or_one_twice_is_refused"),
    ("MAX_SIGNATURE", "tests/limits/of_captures.rs", "signatures_and_signers_are_small"),
    ("MAX_HEAD", "src/schema/frame.rs", "heads_and_tails_are_as_long_as_they_may_be_and_no_longer"),
    ("MAX_TAIL", "src/schema/frame.rs", "heads_and_tails_are_as_long_as_they_may_be_and_no_longer"),
    ("MAX_DESCRIPTION", "src/schema/group.rs", "a_description_is_unpacked_up_to_its_limit"),
    ("MAX_FRAME_OBJECTS", "src/schema/limits/tests.rs", "json_of_any_length_is_as_dense_as_it_may_be"),
    ("MAX_FRAME_VALUES", "src/schema/limits/tests.rs", "json_of_any_length_is_as_dense_as_it_may_be"),
    ("MAX_JOURNAL_FRAME", "tests/limits/of_captures.rs", "a_frame_of_a_journal_has_so_many_bytes"),
    ("MAX_ENTRIES", "tests/limits/of_archives.rs", "an_archive_has_so_many_entries"),
    ("MAX_CAPTURES", "tests/limits/of_archives.rs", "so_many_captures_are_read_of_an_archive"),
    ("MAX_ENTRY_NAME", "tests/limits/of_archives.rs", "names_of_entries_are_short"),
    ("MAX_UNPACKED", "tests/limits/of_archives.rs", "so_much_is_unpacked"),
    ("MAX_RATIO", "tests/limits/of_archives.rs", "an_entry_is_so_many_times_what_it_is_packed"),
    ("SMALL_ENTRY", "tests/limits/of_archives.rs", "a_small_entry_may_be_packed_as_it_likes"),
    ("MAX_SUMS", "tests/limits/of_archives.rs", "digests_of_an_archive_are_short"),
    ("MAX_STATED_GAPS", "src/derive/stated.rs", "each_list_is_as_long_as_it_may_be_and_no_longer"),
    ("MAX_STATED_EVENTS", "src/derive/stated.rs", "each_list_is_as_long_as_it_may_be_and_no_longer"),
    ("MAX_STATED_FAMILIES", "src/derive/stated.rs", "each_list_is_as_long_as_it_may_be_and_no_longer"),
    ("MAX_STATED_LEDGER", "src/derive/stated.rs", "each_list_is_as_long_as_it_may_be_and_no_longer"),
    ("MAX_STATED_STEPS", "src/derive/stated.rs", "each_list_is_as_long_as_it_may_be_and_no_longer"),
    ("MAX_STATED", "src/derive/stated.rs", "all_hosts_together_state_so_much"),
    ("MAX_STATED_BYTES", "src/derive/stated.rs", "all_hosts_together_state_so_much"),
    ("MAX_KINDS", "tests/limits/of_commands.rs", "so_many_kinds_of_events_are_counted"),
    ("MAX_HOSTS", "src/derive/counts.rs", "so_many_hosts_are_counted"),
    ("MAX_SLICES", "tests/limits/of_commands.rs", "so_many_slices_are_merged"),
    ("MAX_RECORDINGS", "tests/limits/of_commands.rs", "so_many_recordings_are_merged"),
    ("MAX_MAPPED", "src/derive/redact/kinds.rs", "a_map_has_so_many_values"),
    ("MAX_MAPPED_BYTES", "src/derive/redact/kinds.rs", "a_map_has_so_many_bytes"),
    ("MAX_KEY", "tests/limits/of_commands.rs", "a_key_has_so_many_bytes"),
    ("MAX_BUNDLED", "tests/limits/of_commands.rs", "a_bundle_has_so_many_captures"),
    ("MAX_PAGE", "tests/limits/of_commands.rs", "a_page_is_as_large_as_it_may_be"),
    ("MAX_CONDITION_DEPTH", "tests/limits/of_commands.rs", "conditions_are_nested_so_deep"),
    ("MAX_PATTERN", "tests/limits/of_commands.rs", "a_pattern_has_so_many_bytes"),
    ("MAX_PROCESSES", "src/replay/timelines.rs", "there_are_so_many_processes"),
    ("MAX_FLOW_CALLS", "src/derive/slice.rs", "a_flow_has_so_many_calls"),
    ("MAX_FLOW_CALLS", "src/replay/flows.rs", "a_flow_has_so_many_calls"),
    ("MAX_MEMORY_PIECES", "src/model/memory/image.rs", "an_image_is_as_large_as_it_may_be"),
    ("MAX_MEMORY_BYTES", "src/model/memory/image.rs", "an_image_is_as_large_as_it_may_be"),
    ("MAX_SQL", "tests/limits/of_queries.rs", "sql_has_so_many_bytes"),
    ("MAX_DIRECTORIES", "tests/limits/of_queries.rs", "directories_are_entered_so_deep"),
    ("MAX_FILES", "tests/limits/of_queries.rs", "so_many_files_are_taken"),
    ("MAX_MADE_TEXT", "src/query/functions/mod.rs", "text_is_made_up_to_a_limit"),
    ("MAX_REMOTE_COLUMN", "src/query/remote.rs", "a_column_elsewhere_is_as_large_as_it_may_be"),
    ("MAX_SPILLED", "src/query/spill.rs", "files_are_as_large_together_as_they_may_be"),
    ("MAX_MESSAGE", "src/query/cluster/codec.rs", "a_part_is_as_large_as_it_may_be"),
    ("page", "src/schema/limits/tests.rs", "limits_that_grow_are_kept_to_the_byte"),
    ("batch", "src/schema/limits/tests.rs", "limits_that_grow_are_kept_to_the_byte"),
    ("pages", "src/schema/limits/tests.rs", "limits_that_grow_are_kept_to_the_byte"),
    ("value", "tests/limits/of_captures.rs", "a_value_has_so_many_bytes"),
    ("row_group", "tests/limits/of_captures.rs", "a_row_group_has_so_many_bytes"),
    ("metadata", "src/schema/claims.rs", "a_footer_takes_no_more_memory_than_it_may"),
];

#[test]
fn each_limit_has_a_test_at_its_edge() {
    let limits: BTreeSet<&str> = FIXED.iter().map(|limit| limit.name).chain(GROWING.iter().map(|l| l.name)).collect();
    let tested: BTreeSet<&str> = TESTS.iter().map(|(limit, ..)| *limit).collect();
    let differ: Vec<_> = limits.symmetric_difference(&tested).collect();
    assert!(differ.is_empty(), "limits without a test, or tests of none: {differ:?}");
}

/// The tests are there, and look at the limit that they are listed for.
#[test]
fn tests_that_are_listed_are_there() {
    for (limit, file, test) in TESTS {
        let text = std::fs::read_to_string(super::root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let begin = text.find(&format!("fn {test}() {{")).unwrap_or_else(|| panic!("{file} has no test {test}"));
        let before = text[..begin].trim_end().lines().last().unwrap_or_default();
        assert_eq!(before.trim(), "#[test]", "{file}: {test} is no test");
        // It ends with the first brace as far to the left as it begins.
        let indent = text[..begin].len() - text[..begin].trim_end_matches(' ').len();
        let end = format!("\n{}}}\n", " ".repeat(indent));
        let body = &text[begin..][..text[begin..].find(&end).expect("it ends")];
        let words: BTreeSet<&str> = body.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let of_all = body.contains("GROWING") && GROWING.iter().any(|growing| growing.name == *limit);
        assert!(words.contains(limit) || of_all, "{file}: {test} does not look at {limit}");
    }
}
