//! The words of a capture: an enum for each set of them, with the text that stands in a file and its meaning, once.
//!
//! The recorder writes them, and readers, docs/FORMAT.md and the SQL views are held to them (`tests/vocabulary.rs`).
//! Rule of evolution: a word is never renamed or given another meaning, and a later version may add some. So a reader
//! keeps a word that it does not know as it stands in the file, and never takes it for another one.

use serde::{Deserialize, Serialize};

/// A set of words, and where they stand.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Columns, or fields of the manifest, that hold one of the words.
    pub places: &'static [&'static str],
    /// Each word and its meaning.
    pub words: &'static [(&'static str, &'static str)],
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident in $($place:literal)+; $($word:ident $text:literal $meaning:literal;)+) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`: ", $meaning, ".")] #[serde(rename = $text)] $word,)+
        }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// All texts and their meaning.
            pub const VOCABULARY: Vocabulary = Vocabulary { places: &[$($place),+], words: &[$(($text, $meaning)),+] };

            /// The text that stands in a file.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }

            /// The word of a text.
            ///
            /// # Errors
            /// Gives the text back where it is none of these words: of a later version, or of a forged file.
            pub fn parse(text: &str) -> Result<Self, &str> {
                match text { $($text => Ok(Self::$word),)+ unknown => Err(unknown) }
            }

            /// Whether a text is this word.
            pub fn is(self, text: &str) -> bool {
                text == self.as_str()
            }
        }
    };
}

/// Every vocabulary, in the order of the documentation.
pub const VOCABULARIES: &[Vocabulary] = &[
    Abi::VOCABULARY,
    Direction::VOCABULARY,
    IovSource::VOCABULARY,
    IovVerdict::VOCABULARY,
    PayloadStatus::VOCABULARY,
    PayloadEntropy::VOCABULARY,
    PayloadSide::VOCABULARY,
    PayloadAt::VOCABULARY,
    DescriptorKind::VOCABULARY,
    DescriptorMode::VOCABULARY,
    RegionSource::VOCABULARY,
    LostCause::VOCABULARY,
    Loss::VOCABULARY,
    EndReason::VOCABULARY,
    Tier::VOCABULARY,
    SelfTest::VOCABULARY,
    ClockSync::VOCABULARY,
    RedactionLevel::VOCABULARY,
];

words! {
    /// How a call entered the kernel.
    Abi in "abi";
    Native "native" "a 64-bit system call";
    Compat32 "compat32" "a 32-bit program, or int 0x80";
    IoUring "io_uring" "a request of io_uring";
}

words! {
    /// Way of the data, seen from the caller.
    Direction in "direction";
    In "in" "the caller received";
    Out "out" "the caller sent";
}

words! {
    /// Whose copy of the iovec arrays was read.
    IovSource in "iov_source";
    User "user" "the caller's memory, or its table of descriptors, as the call returned";
    Kernel "kernel" "what the kernel used, or registers";
}

words! {
    /// What is known of the iovec arrays.
    IovVerdict in "iov_verdict";
    Unverified "unverified" "read once, from user memory, as the call returned. A racing thread can have forged it, or the call's own bytes can have replaced it";
    Conflict "conflict" "contradicts what the kernel did. `toctou` is true if more bytes moved than the array holds, if the descriptor led to another file when the call began, or if the call wrote over the array itself, which needs no second thread. `toctou` is null if bytes went to memory that cannot be read any more: the array or the memory has changed since";
    Unreadable "unreadable" "the array could not be read";
    Kernel "kernel" "the kernel's own copy (function tier)";
}

words! {
    /// What became of the bytes that moved.
    PayloadStatus in "payload_status";
    Ok "ok" "all of it is there";
    Truncated "truncated" "cut by the snap length";
    Fault "fault" "a segment could not be read; its bytes are zero";
    Off "off" "not requested (`--payload none`)";
    Dropped "dropped" "left out, since the disk was nearly full (`--on-full drop-payload`)";
    Redacted "redacted" "removed by `vmtrace redact`; `payload_total` still says how many bytes moved";
    None "none" "nothing to capture, or not available";
}

words! {
    /// What kind of bytes a removed payload had.
    PayloadEntropy in "payload_entropy";
    Constant "constant" "one byte value only";
    Text "text" "printable ASCII and blanks, but for a sixteenth at most";
    Low "low" "less than half of the entropy that so many bytes can have";
    Mixed "mixed" "between low and high";
    High "high" "at least nine tenths of it: compressed, encrypted or random";
}

words! {
    /// How much `vmtrace redact` has made unrecognisable; each level hides more than the one before.
    RedactionLevel in "derived_from.redaction.level";
    Payload "payload" "captured bytes are removed";
    Share "share" "also names, numbers and addresses are replaced; well-known names stay";
    Metadata "metadata" "also well-known names are replaced; command lines and addresses are removed";
}

words! {
    /// Where the payload was read.
    PayloadSide in "payload_side";
    Caller "caller" "the caller's memory";
    Kernel "kernel" "the kernel's own buffer: /proc/PID/mem and words that ptrace read, function tier";
    Register "register" "a word that ptrace wrote";
}

words! {
    /// Where the mappings of remote ranges come from.
    RegionSource in "region_source";
    Maps "maps" "/proc/PID/maps, read by the recorder soon after; nothing had been mapped, unmapped or otherwise changed in the target since before the call copied its first byte";
    None "none" "not known: the kernel does not count such changes, there was one, the target has ended, or readings would have cost too much";
}

words! {
    /// When the payload was read.
    PayloadAt in "payload_at";
    Exit "exit" "as the call returned";
    Transfer "transfer" "as the kernel copied it";
}

words! {
    /// What a descriptor led to.
    DescriptorKind in "fd_in_kind" "fd_out_kind";
    File "file" "a regular file";
    Dir "dir" "a directory";
    Pipe "pipe" "an unnamed pipe";
    Fifo "fifo" "a pipe with a name";
    Socket "socket" "a socket";
    Chardev "chardev" "a character device";
    Blockdev "blockdev" "a block device";
    AnonInode "anon_inode" "a file without a name of its own, such as an eventfd";
    ProcMem "proc_mem" "a /proc/PID/mem file";
    Registered "registered" "a registered file of io_uring; only its index is known";
    Closed "closed" "no open file";
    Other "other" "a file of another kind";
}

words! {
    /// How a descriptor was open.
    DescriptorMode in "fd_in_mode" "fd_out_mode";
    Read "r" "for reading";
    Write "w" "for writing";
    ReadWrite "rw" "for both";
}

words! {
    /// Why the events of a `lost` row were lost.
    LostCause in "lost_cause";
    RingFull "ring_full" "where the gap was, with its CPU and time range";
    ScratchFull "scratch_full" "of all CPUs, between two readings of the counters, which are a second apart";
    HookSkipped "hook_skipped" "of all CPUs, between two readings of the counters";
    LeftInRing "left_in_ring" "at the end: a second ^C ended the recording at once";
    RecorderKilled "recorder_killed" "at the end, found out by `vmtrace recover`";
}

impl LostCause {
    /// What the ledger counts it as.
    pub const fn loss(self) -> Loss {
        match self {
            LostCause::RingFull => Loss::RingFull,
            LostCause::ScratchFull => Loss::ScratchFull,
            LostCause::HookSkipped => Loss::HookSkipped,
            LostCause::LeftInRing => Loss::Unread,
            LostCause::RecorderKilled => Loss::Crash,
        }
    }
}

words! {
    /// Why events were lost, as the ledger counts it.
    Loss in "ledger";
    RingFull "lost_ring_full" "the ring buffer was full; counted in the kernel";
    ScratchFull "lost_scratch_full" "no room to put a record together; counted in the kernel";
    HookSkipped "lost_hook_skipped" "the kernel did not run the hook";
    Unread "lost_unread" "left in the ring when a second ^C ended it at once";
    Journal "lost_journal" "not written by this version: where the journal cannot be written the rings wait, and `lost_ring_full` counts";
    Crash "lost_crash" "taken by the kernel, and not in the journal when the recorder died";
    Undecodable "lost_undecodable" "refused by the decoder";
    WriteError "lost_write_error" "the output failed";
}

impl Loss {
    /// The cause in words.
    pub const fn words(self) -> &'static str {
        match self {
            Loss::RingFull => "ring full",
            Loss::ScratchFull => "scratch full",
            Loss::HookSkipped => "hook skipped by the kernel",
            Loss::Unread => "left in the ring",
            Loss::Journal => "journal not written",
            Loss::Crash => "recorder died",
            Loss::Undecodable => "undecodable",
            Loss::WriteError => "write error",
        }
    }
}

words! {
    /// Why a file ends.
    EndReason in "end_reason";
    CommandExit "command_exit" "COMMAND ended";
    Signal "signal" "a signal arrived, such as that of ^C";
    Duration "duration" "`--duration` was over";
    Count "count" "`-c` was reached";
    ProcessesGone "processes_gone" "the last `-p` process ended";
    MaxSize "max_size" "`--max-size` was reached";
    DiskFull "disk_full" "the disk was full";
    WriteError "write_error" "the output or a thread of the recorder failed";
    Rotated "rotated" "the recording went on in the next file";
    Triggered "triggered" "a trigger or a signal made the flight recorder write";
    Recovered "recovered" "the recorder died, and `vmtrace recover` made the file";
}

words! {
    /// How a family of events is hooked.
    Tier in "families.tier";
    Function "function" "hooks in the functions that move the bytes";
    Tracepoint "tracepoint" "hooks at the exit of system calls, and other tracepoints";
    None "none" "not seen, or not reliably";
}

words! {
    /// The result of known transfers that the recorder makes at the start.
    SelfTest in "families.self_test";
    Passed "passed" "their events arrived and were right";
    Failed "failed" "an event did not arrive, or was wrong";
    Untestable "untestable" "the system allowed none of them";
    Off "off" "none were made";
}

words! {
    /// What adjtimex(2) returns.
    ClockSync in "start_clock.state" "end_clock.state";
    Ok "TIME_OK" "the clock is synchronised";
    Insert "TIME_INS" "a leap second is to be added at midnight, UTC";
    Delete "TIME_DEL" "a leap second is to be left out at midnight, UTC";
    InProgress "TIME_OOP" "a leap second is being added";
    Happened "TIME_WAIT" "a leap second was added or left out";
    Error "TIME_ERROR" "the clock is not synchronised";
}

#[cfg(test)]
mod tests {
    use super::super::columns::{COLUMNS, column_spec};
    use super::*;

    #[test]
    fn a_text_is_one_word_or_is_given_back() {
        for abi in Abi::ALL {
            assert_eq!(Abi::parse(abi.as_str()), Ok(*abi));
            assert!(abi.is(abi.as_str()) && !abi.is("native\0"));
            assert_eq!(serde_json::to_value(abi).unwrap(), abi.as_str());
        }
        assert_eq!(Abi::parse("of_later\x1b"), Err("of_later\x1b"));
        for vocabulary in VOCABULARIES {
            let mut texts: Vec<&str> = vocabulary.words.iter().map(|(text, _)| *text).collect();
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), vocabulary.words.len(), "{:?}", vocabulary.places);
        }
    }

    /// What a column's description says in the file's own metadata.
    #[test]
    fn a_column_names_its_words() {
        let columns = VOCABULARIES.iter().filter_map(|v| Some((column_spec(v.places.first()?)?, v.words)));
        let mut described = 0;
        for (column, words) in columns {
            let named: Vec<&str> = column.doc.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for (text, _) in words {
                assert!(named.contains(text), "{}: {text} is not in {:?}", column.name, column.doc);
            }
            described += 1;
        }
        assert!(described > 0 && described < COLUMNS.len());
    }
}
