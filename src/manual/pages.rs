//! What manual pages contain beside options: synopses, descriptions, exit statuses, examples.

/// One page. Statuses and examples are pairs: the status or purpose, and its meaning or command.
pub struct Page {
    /// Name of the command.
    pub name: &'static str,
    /// Forms in which it is typed.
    pub synopsis: &'static [&'static str],
    /// Paragraphs.
    pub description: &'static [&'static str],
    /// Exit status, meaning.
    pub status: &'static [(&'static str, &'static str)],
    /// What for, command.
    pub examples: &'static [(&'static str, &'static str)],
    /// Pages of others: name, section.
    pub see_also: &'static [(&'static str, &'static str)],
}

const PRINTED: &[(&str, &str)] = &[("0", "Success."), ("2", "Wrong usage, or the output could not be written.")];

/// All pages; those of commands that a build lacks are not printed there.
pub const PAGES: &[Page] = &[
    Page {
        name: "vmtrace",
        synopsis: &["vmtrace COMMAND [OPTIONS] [ARG]...", "vmtrace COMMAND --help"],
        description: &[
            "vmtrace records transfers of bytes between the address spaces of processes: process_vm_readv, \
             process_vm_writev, vmsplice, splice, tee, sendfile, ptrace, reads, writes and opens of /proc/PID/mem, and pages that \
             are filled through a userfaultfd. It also records pidfd_getfd and process_madvise. A capture is one Parquet file. Any Parquet reader can \
             open it.",
            "Recording needs root, or CAP_BPF and CAP_PERFMON, and a kernel with BTF. Reading a capture needs no privileges.",
        ],
        status: &[("0", "Success."), ("2", "Wrong usage."), ("other", "See the page of the command.")],
        examples: &[
            ("Record a program and everything that it starts:", "vmtrace record -o trace.parquet -- ./app"),
            ("Print the capture:", "vmtrace replay trace.parquet"),
        ],
        see_also: &[("process_vm_readv", "2"), ("vmsplice", "2"), ("ptrace", "2"), ("capabilities", "7")],
    },
    Page {
        name: "record",
        synopsis: &[
            "vmtrace record [OPTIONS] [-o FILE] -- COMMAND [ARG]...",
            "vmtrace record [OPTIONS] [-o FILE] {-p PID|--comm GLOB|--target-pid PID|--target-comm GLOB}...",
            "vmtrace record [OPTIONS] [-o FILE] -a",
        ],
        description: &[
            "Records the transfers of COMMAND and its children, of the processes given with -p, or of all \
             processes. With -p, transfers of others into or out of the memory of PID are recorded too. Recording \
             ends when COMMAND ends, when the last process has ended that was given by its number, when a limit is reached, or with INT \
             (^C), TERM or HUP. A second INT does not wait until the buffers are empty.",
            "--comm selects by name, as -p does by number: processes that have the name when the recording begins, and those that get it \
             later, by exec, by prctl(2), or as the child of one. The name is that of the main thread, of which the kernel keeps \
             15 bytes (comm in proc(5)). Who gives itself another name stays selected, and so does who becomes another program by exec, \
             but not with --no-follow. --target-pid and --target-comm select \
             the calls that reach into a process's memory, and the process's life, but neither its own calls nor its children. After an exec \
             it must have the name still. These options add to each \
             other; -u and --cgroup narrow callers down. Without COMMAND a recording by name does not end by itself.",
            "For each range of another process's memory that a call reaches, the mapping is looked up in /proc/PID/maps, and named where \
             nothing was mapped or unmapped in the meantime; --no-regions leaves that out.",
            "FILE is created with mode 0600. It replaces an existing file only with --force. Until it is complete, \
             it is named FILE.partial, with a journal beside it (FILE.journal-000001 and so on). \
             vmtrace-recover(1) makes a capture from these if the recorder was killed.",
            "With -v it prints the attached hooks, how the families of events are hooked, and what they cannot see. \
             vmtrace-info(1) shows the same of a capture.",
            "When a file is finished while the recording goes on, or the trigger has made one, a line says so. --on-file and \
             --on-trigger run a command for it, by sh -c, with its absolute name in the variable FILE. The command has no capabilities \
             and cannot get any, reads /dev/null, and has nothing of the recorder but its environment and directory. Under sudo(8) it is \
             the user who called that, who gets the finished files, too. Two commands run at a time, 64 wait, and each has 60 s \
             and may print 1 MiB: then it is ended, with its process group. The last line of what it prints is shown if it \
             fails. At its end the recorder waits 60 s for those that are left, or until the next signal, and says how many have failed \
             or were not run. They are recorded with -a only, or where -u or --cgroup with it fits them.",
            "USR1 prints statistics. USR2 starts a new file; with --flight-recorder it writes the file.",
            "With --print each event is printed within 200 ms, too, in the lines of vmtrace-replay(1), or as -T says in those of \
             vmtrace-export(1). Where the reader is too slow, the number of lines that are left out stands in their place: \
             in JSON lines as an event lost with the cause not_printed. The recording goes on with them.",
            "Without COMMAND a line says when the recording has begun. A script can wait for the descriptor of --ready-fd, \
             and a service manager gets READY=1 (sd_notify(3)).",
            "COMMAND is started with the signals, limits and descriptors that vmtrace was started with. vmtrace never kills it.",
        ],
        status: &[
            ("0", "Done, no event was lost. Without COMMAND."),
            ("2", "Wrong usage, recording is not possible, or the disk is full."),
            ("3", "Done, but events were lost. The capture says how many, and why. Without COMMAND."),
            ("N, 128+N", "With COMMAND: its exit status, or 128 and the number of the signal that ended it."),
            ("125", "With COMMAND: vmtrace failed; with --fail-on-loss, or events were lost."),
            ("126", "COMMAND cannot be executed."),
            ("127", "COMMAND was not found."),
        ],
        examples: &[
            ("Record a program and everything that it starts:", "vmtrace record -o trace.parquet -- mpirun -n 2 ./app"),
            (
                "Record a process, and whoever reads or writes its memory, until ^C:",
                "vmtrace record -o trace.parquet -p 4211",
            ),
            (
                "Record the whole system for ten minutes, with 4 KiB of each transfer:",
                "vmtrace record -a -e @vm,@ptrace -s 4096 --duration 10m",
            ),
            (
                "See who is refused, as it happens:",
                "vmtrace record --print -T jsonl -o trace.parquet -p 4211 | jq 'select(.errno)'",
            ),
            ("Keep the latest 20 files of 100 MB:", "vmtrace record -C 100M -W 20 -o t.parquet -a"),
            (
                "Keep 30 seconds in memory, and write them when a call is refused:",
                "vmtrace record --flight-recorder 30s --trigger 'errno = EPERM' -o t.parquet -a",
            ),
            (
                "The same, and make an archive of each such file that can be handed on:",
                "vmtrace record --flight-recorder 30s --trigger 'errno = EPERM' --on-trigger 'vmtrace bundle \"$FILE\" -o \"$FILE.zip\"' -o t.parquet -a",
            ),
        ],
        see_also: &[("capabilities", "7"), ("process_vm_readv", "2"), ("ptrace", "2"), ("signal", "7")],
    },
    Page {
        name: "watch",
        synopsis: &[
            "vmtrace watch [OPTIONS] -- COMMAND [ARG]...",
            "vmtrace watch [OPTIONS] {-p PID|--comm GLOB|--target-pid PID|--target-comm GLOB}...",
            "vmtrace watch [OPTIONS] -a",
        ],
        description: &[
            "Prints the transfers that vmtrace-record(1) would record, within 200 ms, in the lines of vmtrace-replay(1), or as -T \
             says in those of vmtrace-export(1). No capture is written, and no file: what was not yet printed is in memory, and nothing \
             is left of it, also when vmtrace is killed. Options about files are refused: record --print has them.",
            "Where the reader is too slow, the number of lines that are left out stands in their place: in JSON lines as an event \
             lost with the cause not_printed. They are gone; the last line on stderr says how many. Nothing ever waits for the reader but the end of \
             vmtrace.",
            "When the reader has closed the pipe, as head(1) does, watching ends without a word. COMMAND is not ended: vmtrace waits \
             for it.",
        ],
        status: &[
            ("0", "Done, no event was lost, or the reader has closed the pipe. Without COMMAND."),
            ("2", "Wrong usage, watching is not possible, or events could not be printed."),
            ("3", "Done, but events were lost on their way from the kernel. Without COMMAND."),
            ("N, 128+N", "With COMMAND: its exit status, or 128 and the number of the signal that ended it."),
            ("125", "With COMMAND: vmtrace failed; with --fail-on-loss, or events were lost."),
            ("126", "COMMAND cannot be executed."),
            ("127", "COMMAND was not found."),
        ],
        examples: &[
            ("See what accesses the memory of a process:", "vmtrace watch -e @mem,@ptrace,@vm -p 4211"),
            ("See which calls are refused, anywhere:", "vmtrace watch -T jsonl -a | jq 'select(.errno)'"),
            ("See the first ten events of a program:", "vmtrace watch -- ./app | head"),
        ],
        see_also: &[("capabilities", "7"), ("process_vm_readv", "2"), ("ptrace", "2")],
    },
    Page {
        name: "recover",
        synopsis: &["vmtrace recover [OPTIONS] FILE... -o OUT"],
        description: &[
            "Makes a capture from the files that a killed recorder left. FILE is any of them: \
             NAME.parquet.partial, a file of the journal NAME.parquet.journal-*, or NAME.parquet, which need not \
             exist. The others are found beside it. None of them is changed.",
            "The capture reports what is missing: end_reason is recovered, and gaps, lost rows and the ledger say what was lost.",
        ],
        status: &[
            ("0", "Done."),
            ("2", "Wrong usage, or nothing could be recovered."),
            ("3", "Done, but events are lost, or the journal is missing or damaged."),
        ],
        examples: &[(
            "Make a capture from an unfinished file:",
            "vmtrace recover trace.parquet.partial -o recovered.parquet",
        )],
        see_also: &[],
    },
    Page {
        name: "replay",
        synopsis: &["vmtrace replay [OPTIONS] FILE...", "vmtrace replay --legend"],
        description: &[
            "Prints the events of captures as text, JSON lines or CSV. Text has a heading for each process; an arrow shows \
             the direction of the bytes as this process sees it: a left arrow is a read, a right arrow is a write. With \
             -p, events are shown from the side of PID.",
            "Options that select combine: an event must fit all of them. EXPR of --where compares columns of the \
             capture with values: =, !=, <, <=, >, >=, ~ and !~ (glob patterns), is null, and, or, not, parentheses. \
             No comparison with a null column holds.",
            "On a terminal, lines are cut to its width, with what matters first. Runs of alike events are folded: the \
             first is printed, the others are counted. No event with an error, a loss, a conflict or another peer is \
             folded. Processes that ran when the recording began are printed if an event refers to them. With \
             --wide --no-fold --snapshots everything is printed, as into a pipe or a file. Text goes through the pager in \
             the environment variable PAGER, or less.",
            "Captured text is escaped. Lost events are always printed, whatever is selected.",
        ],
        status: &[
            ("0", "Events were printed."),
            ("1", "No event matched."),
            ("2", "Wrong usage, or a file that cannot be read."),
        ],
        examples: &[
            (
                "Print failed calls of a process and calls on it:",
                "vmtrace replay trace.parquet -p 4211 --since 1.5s --failed",
            ),
            ("Print the calls through which the bytes of row 16 went:", "vmtrace replay trace.parquet --follow 16"),
            (
                "Print calls of ordinary users that moved a mebibyte or more:",
                "vmtrace replay trace.parquet --where 'bytes >= 1M and uid != 0'",
            ),
            (
                "Print who touched a page of a process:",
                "vmtrace replay trace.parquet -p 4211 --address 0x7f1200000000+4096",
            ),
            (
                "Print the bytes that were written into other processes:",
                "vmtrace replay trace.parquet -x -e process_vm_writev",
            ),
            ("Select with another program:", "vmtrace replay trace.parquet -T jsonl | jq 'select(.bytes > 4096)'"),
        ],
        see_also: &[("less", "1")],
    },
    Page {
        name: "info",
        synopsis: &["vmtrace info [OPTIONS] FILE..."],
        description: &[
            "Shows what captures contain and how they were made: host, command line, filters, clocks, hooks, \
             self-test, the counts of each event, what was lost, and what could not be seen. It reads the \
             manifest, not the rows.",
            "Families of events with the same tier, self-test result and cause share a line. With -v each has its own, \
             and all hooks are listed.",
        ],
        status: &[("0", "Done."), ("2", "Wrong usage, or a file that cannot be read.")],
        examples: &[("Show one capture:", "vmtrace info trace.parquet")],
        see_also: &[],
    },
    Page {
        name: "summary",
        synopsis: &["vmtrace summary [OPTIONS] FILE..."],
        description: &[
            "Shows what captures contain in a few sentences, worst news first: lost events, calls whose arguments \
             contradict what the kernel did, denied calls, who read or wrote how much of whose memory, which calls \
             failed, how much of the moved bytes was kept, and how far arguments can be trusted. Tables of pairs of \
             processes, of events and of pipes follow. They fit the width of the terminal.",
            "A caller and its target are one pair, as in the view edges of vmtrace-query(1): In is what went from the \
             target to the caller, or came out of a pipe that the target fed last; Out is the other way. What splice, tee \
             and sendfile moved counts as In. Calls without a target are listed by caller. Names and command lines are those that a process had at its last call.",
            "Files of one recording are summarised together; other files follow one another. A file that cannot be read \
             to its end is not summarised.",
            "-T json has everything, -T csv the pairs alone. Captured text is escaped.",
        ],
        status: &[
            ("0", "Events were counted."),
            ("1", "No event matched."),
            ("2", "Wrong usage, or a file that cannot be read."),
        ],
        examples: &[
            ("Show who moved what from whom:", "vmtrace summary trace.parquet"),
            ("Show who accessed the memory of a process:", "vmtrace summary --brief -p 4211 trace.parquet"),
            ("Show which calls failed:", "vmtrace summary --failed trace.parquet"),
            (
                "List the callers that read most, with another program:",
                "vmtrace summary -T json trace.parquet | jq '.pairs[] | [.caller.comm, .bytes_in]'",
            ),
        ],
        see_also: &[],
    },
    Page {
        name: "memory",
        synopsis: &[
            "vmtrace memory [OPTIONS] -p PID FILE... [A[+LEN]]",
            "vmtrace memory [OPTIONS] -p PID FILE... --history A[+LEN]",
            "vmtrace memory [OPTIONS] -p PID FILE... --diff T1 T2 [A[+LEN]]",
            "vmtrace memory [OPTIONS] -p PID FILE... --search BYTES",
        ],
        description: &[
            "Shows what is known of the memory of a process at an instant, from the bytes that recorded calls moved: a \
             hexdump, and for each run of bytes the event that shows it, its age, and its state. Without a range it \
             lists all ranges of which bytes are known, with the dumps of small ones.",
            "A byte is seen where a read showed that it was there, and written where a write brought it there. Both ends \
             of a call count: process_vm_readv(2) shows the memory of the target, and writes into that of the caller. \
             An exec begins a new memory, a fork copies what is known. What a process does with its own memory is not \
             recorded, so a byte can have changed since.",
            "Bytes are not known, and printed as two dots, where no event shows them, or where a later write was not \
             captured whole (--snaplen of vmtrace-record(1)). Two question marks stand for a byte of which two calls show \
             different values, if both were under way at the same time. If the capture does not say when calls \
             began, the one that returned last counts; `order unknown` marks bytes for which that may be wrong. Bytes that \
             are older than a loss are marked `can be stale`.",
            "--history prints every event that touched a range, with the bytes before and after it as far as they are \
             known. --diff prints what differs between two instants: bytes that are known at both and changed, that are known \
             at the second alone, or at the first alone. --search prints where and from when to when bytes were known to \
             stand. -o writes the bytes of a range into a file, with zeros where they are not known, and what is known of them into \
             a second file. Files of one recording are read together. Captured bytes are escaped.",
        ],
        status: &[
            ("0", "Something is known."),
            ("1", "Nothing is known; a message says what comes nearest."),
            ("2", "Wrong usage, or a file that cannot be read."),
        ],
        examples: &[
            ("List what is known when a process ended:", "vmtrace memory -p 4211 trace.parquet"),
            (
                "Show 64 bytes as they were at an instant:",
                "vmtrace memory -p 4211 --at 1.5s trace.parquet 0x7f1200000000+64",
            ),
            (
                "Show who changed them, and what was there before:",
                "vmtrace memory -p 4211 trace.parquet --history 0x7f1200000000+64",
            ),
        ],
        see_also: &[("process_vm_readv", "2"), ("proc_pid_mem", "5")],
    },
    Page {
        name: "flows",
        synopsis: &["vmtrace flows [OPTIONS] FILE...", "vmtrace flows [OPTIONS] FILE... SEQ"],
        description: &[
            "Shows where the bytes that went through pipes came from, and where they went: from which process, address \
             or file, through which pipes, and by whom they were moved on. A pipe is a queue, so the numbers of bytes \
             that recorded calls put in and took out show which bytes a reader got. In front of a flow stands its place among the bytes \
             that recorded calls put into its first pipe. Bytes that a call put into a memory, and another one took from there, are linked, too.",
            "Each flow has a certainty. exact: the place of the bytes in the queue is known, since the pipe was seen \
             empty. by reference: the same, but vmsplice put pages in, not bytes: the reader got what was in them when \
             it read. bounded: the flow holds under the condition that stands below the flows, for example that the \
             pipe held nothing before its first recorded call. inferred: no pipe, but a call put bytes into a memory, and \
             another one took the same from there, by their addresses and captured bytes. unknown: not known; the reason stands below the flows. \
             Where events were lost, all is unknown until the pipe is seen empty.",
            "Where the payloads of both ends were kept, they are compared. Bytes that came out otherwise than they went \
             in are reported; unless they went by reference, the rows contradict each other, and the flow is unknown.",
            "A number SEQ behind the files is a row (column seq): the answer has at most five lines, what that call \
             moved, where from or where to, and how certain that is. Flows that are alike are folded in text, and not \
             with -T json and -T csv. Captured text is escaped.",
        ],
        status: &[
            ("0", "Flows were printed."),
            ("1", "No flow matched."),
            ("2", "Wrong usage, or a file that cannot be read."),
        ],
        examples: &[
            ("Show all flows:", "vmtrace flows trace.parquet"),
            ("Show where the bytes of one vmsplice ended up:", "vmtrace flows trace.parquet 16"),
            ("Show what a process got from another:", "vmtrace flows --from 4211 --to 4212 trace.parquet"),
            (
                "List the rows between which bytes changed, with another program:",
                "vmtrace flows -T json trace.parquet | jq 'select(.differs_at) | [.source.seq, .sink.seq]'",
            ),
        ],
        see_also: &[("pipe", "7"), ("vmsplice", "2")],
    },
    Page {
        name: "export",
        synopsis: &["vmtrace export [OPTIONS] -T FORMAT FILE...", "vmtrace export [OPTIONS] -T FORMAT -o OUT FILE..."],
        description: &[
            "Writes captures in the formats of other programs: jsonl and csv have every column; strace is the text of strace(1) \
             with the options -f -ttt -T; perfetto is a trace for ui.perfetto.dev, with a track for each process, thread and \
             pipe, and arrows along the bytes; ecs and ocsf are JSON lines in the Elastic Common Schema and in the Open Cybersecurity \
             Schema Framework; timesketch is JSON lines with Timesketch's columns; pcapng has a packet for each captured payload.",
            "Options that select are those of vmtrace-replay(1). Lost events are always exported, where the format has a form \
             for them. What a format has no form for is left out, and counted on stderr.",
            "OUT is created with mode 0600 and named when it is complete. It replaces an existing file only with --force. Captured \
             text is escaped in all text formats.",
        ],
        status: &[
            ("0", "Events were exported."),
            ("1", "No event matched."),
            ("2", "Wrong usage, a file that cannot be read, or an output that cannot be written."),
        ],
        examples: &[
            ("Make a trace for ui.perfetto.dev:", "vmtrace export -T perfetto trace.parquet -o trace.pftrace"),
            ("Read calls as strace would have printed them:", "vmtrace export -T strace trace.parquet -p 4211"),
            ("Look at the bytes in Wireshark:", "vmtrace export -T pcapng trace.parquet -o trace.pcapng"),
        ],
        see_also: &[("strace", "1"), ("tshark", "1")],
    },
    Page {
        name: "slice",
        synopsis: &["vmtrace slice [OPTIONS] -o OUT FILE..."],
        description: &[
            "Makes a capture of a part of a recording: the events that are selected, as vmtrace-replay(1) selects them, or those              of one flow (--flow). So that they stay readable, OUT also has the process events of all callers and targets and of              their ancestors, and the gaps of the recording that touch the selected times.",
            "OUT is a capture as any other: every command and every reader of Parquet takes it. Rows keep their numbers (seq). The manifest              says what it was made from (derived_from), and the ledger counts what is left out, so that it still balances.              Commands say of OUT what is left out; vmtrace-flows(1) follows no bytes where calls at pipes are.",
            "Row groups that are taken whole are copied as they are; those that cannot have a selected event are not read. Whatever is              read is compared with its digest first. A signature does not carry over.",
            "OUT is created with mode 0600, and gets its name when it is complete. It replaces an existing file only with --force.",
        ],
        status: &[
            ("0", "OUT was written."),
            ("2", "Wrong usage, nothing is selected, or an error: nothing was written."),
        ],
        examples: &[
            ("Take a second:", "vmtrace slice trace.parquet --since 12 --until 13 -o second.parquet"),
            ("Take what two processes did to each other:", "vmtrace slice t.parquet -p 4211 --peer 42 -o pair.parquet"),
            (
                "Take the calls through which the bytes of row 16 went:",
                "vmtrace slice t.parquet --flow 16 -o flow.parquet",
            ),
        ],
        see_also: &[],
    },
    Page {
        name: "merge",
        synopsis: &["vmtrace merge [OPTIONS] -o OUT FILE..."],
        description: &[
            "Makes one capture of the files of one recording, of slices of one capture (vmtrace-slice(1)), or of captures of several hosts, in any order. Rows come              in the order of their numbers (seq), each once. Their ledgers become one. The slices of a capture become the capture              again if every row is in one of them; else OUT says what is left out.",
            "Files of a recording must follow each other without one missing between them.",
            "Captures of several hosts become one whose rows have a column host, in the order of the hosts' wall clocks. How near these \
             are known is stated on standard error and by vmtrace-info(1). A host that was rebooted is another one: a part of its boot id stands behind its name. \
             Captures of one boot of a host must not be of the same time. The rows are numbered anew; host_seq is their number in the recording. \
             Numbers of processes, pipes and addresses of two hosts are never taken for the same.",
            "OUT is created with mode 0600, and gets its name when it is complete. It replaces an existing file only with --force.",
        ],
        status: &[("0", "OUT was written."), ("2", "Wrong usage, or an error: nothing was written.")],
        examples: &[
            ("Make one file of a rotated recording:", "vmtrace merge t-0001.parquet t-0002.parquet -o t.parquet"),
            ("Put slices together:", "vmtrace merge reads.parquet writes.parquet -o both.parquet"),
            ("Put captures of two hosts together:", "vmtrace merge web1.parquet web2.parquet -o both.parquet"),
        ],
        see_also: &[],
    },
    Page {
        name: "redact",
        synopsis: &["vmtrace redact [OPTIONS] FILE -o OUT", "vmtrace redact [OPTIONS] FILE --preview"],
        description: &[
            "Makes a capture that can be handed on: captured bytes are removed, and names, command lines, numbers of \
             processes, users, files and pipes, addresses and clocks are replaced by pseudonyms. Equal values have equal \
             pseudonyms, and how they are connected stays. Well-known names, such as python3 and libc.so.6, stay at the \
             level share.",
            "Pseudonyms are made from the values and a secret. Without --key that is random, and another run gives other \
             pseudonyms. The file of --key has at least 32 bytes, and only its owner may read it. Who has it can compute \
             the pseudonym of a guess.",
            "OUT says at which level it was redacted, and has the root digest of FILE. A signature of FILE does not carry \
             over. A redacted capture is not redacted again at a level that hides less. What redaction cannot hide: how \
             much time is between events, how many bytes moved, lengths, results, and which values are equal. \
             docs/redaction.md has the rule of every column.",
        ],
        status: &[
            ("0", "The capture was written."),
            ("2", "Wrong usage, or a file that cannot be read or written. Nothing was written."),
        ],
        examples: &[
            ("Look at what a reader would see:", "vmtrace redact trace.parquet --preview"),
            ("Redact, and keep the way back:", "vmtrace redact trace.parquet -o shared.parquet --map map.json"),
            ("Redact several captures with the same pseudonyms:", "vmtrace redact t1.parquet -o s1.parquet --key key"),
            (
                "Keep the names of a program:",
                "vmtrace redact t.parquet -o shared.parquet --keep comm=myapp,worker --keep path=myapp",
            ),
        ],
        see_also: &[],
    },
    Page {
        name: "report",
        synopsis: &["vmtrace report [OPTIONS] -o OUT FILE"],
        description: &[
            "Makes a page of a capture, one file that any current browser opens from the disk: the sentences of \
             vmtrace-summary(1), the facts of the recording, events over time, processes with the transfers between \
             them, pairs of processes, flows of bytes, and a table of all events with their fields and bytes. \
             What is selected in one part is selected in all. The selection is in the fragment of the page's address, so \
             a link can lead to one event.",
            "The page loads nothing and sends nothing: its policy (Content-Security-Policy) allows its own script and \
             style, and no request. Captured text is shown as text. The data are in the page, so it is as confidential as \
             the capture; OUT is created with mode 0600.",
            "A page larger than --max-size first leaves out the payloads. If that is not enough, alike events that are near to \
             each other are folded into one row, without addresses, descriptors and payloads. The page says at its top \
             what is left out. The summary always counts every event.",
            "The line for conditions takes what --where of vmtrace-replay(1) takes.",
        ],
        status: &[("0", "The page was written."), ("2", "Wrong usage, or an error: nothing was written.")],
        examples: &[
            ("Make a page of a capture:", "vmtrace report trace.parquet -o report.html"),
            ("Make one that fits a mail:", "vmtrace report trace.parquet -o report.html --max-size 1M"),
        ],
        see_also: &[],
    },
    Page {
        name: "bundle",
        synopsis: &["vmtrace bundle [OPTIONS] -o OUT.zip FILE...", "vmtrace bundle --check OUT.zip"],
        description: &[
            "Puts captures into one zip archive with all that a reader needs: the captures, redacted as vmtrace-redact(1)              does; of each a page as vmtrace-report(1) makes it; summary.txt, info.json; digests (SHA256SUMS) that              sha256sum(1) compares; and README.txt. That says how each part is opened, also without vmtrace, and what was redacted, lost and              left out. The pages and the summary are made of the redacted captures: of the originals, not even their names are in              the archive. The same captures and the same --key make the same bytes.",
            "Captures in a bundle are called capture.parquet, or capture-1.parquet and so on. They have the same pseudonyms.              With --as-is they are what was recorded, with their root digests; whoever gives it is asked first.",
            "An archive larger than --max-size is made again with less, in this order: smaller pages, which leave out payloads and              fold alike events; captures without payloads (--as-is); the last part of each recording that fits, as              vmtrace-slice(1) makes it; no pages. What was left out stands in README.txt, and is printed.",
            "Every command that reads captures takes a zip archive as FILE: it stands for all *.parquet in it, in their order.              OUT.zip:NAME is one of them. They are copied to files without a name in TMPDIR, and compared with SHA256SUMS. An archive              may have at most 1,000 entries; what is read of it may take at most 2 GiB, and 100 times what it takes packed. Names that lead              out of it, two entries of one name, links and encrypted entries are refused.",
            "--check prints one line about the digests, and one about each capture: what vmtrace-verify(1) finds, its level of redaction, its              root digest, and the versions that made it.",
        ],
        status: &[
            ("0", "OUT.zip was written; with --check: all is there and intact."),
            ("1", "With --check: something was altered, is missing, or contradicts itself."),
            ("2", "Wrong usage, or an error: nothing was written. With --check: it cannot be read, or has no digests."),
            ("3", "With --check: intact, but a capture reports loss."),
        ],
        examples: &[
            ("Make what can be attached to a bug report:", "vmtrace bundle trace.parquet -o bug.zip"),
            ("Look at what you were sent:", "vmtrace bundle --check bug.zip"),
            ("Read it:", "vmtrace replay bug.zip"),
            (
                "Hand on captured bytes, too, to somebody you trust:",
                "vmtrace bundle t.parquet -o all.zip --as-is --yes",
            ),
        ],
        see_also: &[("sha256sum", "1"), ("unzip", "1")],
    },
    Page {
        name: "view",
        synopsis: &["vmtrace view [OPTIONS] FILE"],
        description: &[
            "Shows a capture on the screen: a list of events, everything about the selected one, where its bytes came \
             from and went, the memory that it touched, and processes over time with arrows from who gave bytes to who \
             got them. A large capture opens at once: rows are read when they are shown. Keys are those of less(1) and \
             vim(1); ? lists them. No mouse is needed.",
            "EXPR of --where, and of the key &, compares columns of the capture with values, as in vmtrace-replay(1). \
             A filter is applied while it is typed. Gaps in the recording are shown whatever is selected. A search \
             (the key /) looks for text in names, paths and captured bytes, for bytes (x:7f454c46), or for memory \
             (0x7f1200000000+64). What takes a while says how far it has come, and Esc cancels it.",
            "The key w writes the filter as SQL for vmtrace-query(1), or one line about the event for a report, into a \
             new file; y hands them to the clipboard of the terminal, if it has one (OSC 52). Captured text is escaped.",
            "The screen has at least 60 columns and 12 lines. Colours are of the 16 that every terminal has; NO_COLOR is \
             respected.",
        ],
        status: &[("0", "The viewer was ended."), ("2", "Wrong usage, no terminal, or a file that cannot be read.")],
        examples: &[
            ("View a capture:", "vmtrace view trace.parquet"),
            ("Begin with the calls that failed:", "vmtrace view trace.parquet --where 'errno is not null'"),
        ],
        see_also: &[("less", "1")],
    },
    Page {
        name: "query",
        synopsis: &[
            "vmtrace query [OPTIONS] FILE... [SQL]",
            "vmtrace query [OPTIONS] --named NAME FILE...",
            "vmtrace query --list",
            "vmtrace query --show NAME",
            "vmtrace query --print-duckdb-views [FILE]...",
        ],
        description: &[
            "Runs SQL over captures. FILE is a capture, a directory or a pattern; all captures together are one \
             table. The dialect is that of Apache DataFusion, which is close to PostgreSQL's. Tables and views: \
             events, transfers, processes, edges, pipes, losses, manifest, ledger.",
            "Without SQL, statements are read from stdin; on a terminal, at a prompt. SQL reads the captures that \
             are named, and no other file.",
            "On a terminal, a table fits its width: … stands for the middle of text and lists, and columns in the middle are \
             left out. It shows the first 40 rows. Lines under it say what is missing. What is piped is whole.",
            "A column without AS is named by its expression as it was written. If a name comes twice, the second is \
             NAME_1.",
        ],
        status: &[
            ("0", "There were rows."),
            ("1", "There were no rows."),
            ("2", "Wrong usage, wrong SQL, or a file that cannot be read."),
        ],
        examples: &[
            (
                "Show who moved how many bytes to whom:",
                "vmtrace query captures/ \"SELECT comm, target_comm, sum(bytes_in) FROM edges GROUP BY ALL\"",
            ),
            ("Run one of the analyses that --list shows:", "vmtrace query trace.parquet --named written-by-others"),
        ],
        see_also: &[],
    },
    Page {
        name: "ballista",
        synopsis: &[
            "vmtrace ballista scheduler [OPTIONS]",
            "vmtrace ballista executor [OPTIONS] --scheduler HOST:PORT",
        ],
        description: &[
            "Starts a scheduler or an executor of an Apache Ballista cluster that runs queries of \
             vmtrace-query(1). All parts of a cluster have to be the same build of vmtrace.",
            "Ballista has neither authentication nor encryption. Whoever reaches a port can read and write every \
             file that the user of the process can. Use a network and a user of their own.",
        ],
        status: &[("0", "Ended by a signal."), ("2", "Wrong usage, or it could not start.")],
        examples: &[
            ("Start a scheduler on this machine:", "vmtrace ballista scheduler --bind 127.0.0.1 --port 50050"),
            (
                "Start an executor on this machine:",
                "vmtrace ballista executor --scheduler 127.0.0.1:50050 --bind 127.0.0.1 --port 50051",
            ),
        ],
        see_also: &[],
    },
    Page {
        name: "verify",
        synopsis: &["vmtrace verify [OPTIONS] FILE...", "vmtrace verify --allowed-signers FILE [-I PRINCIPAL] FILE..."],
        description: &[
            "Checks that captures are what was recorded, and complete: every byte against the digest chain and the \
             seal, the ledger, the numbers of the rows, and the clocks. Of several files of one recording it also \
             checks that each follows the one before. It prints the root digest of an intact file.",
            "An intact file is proven to be the recorded one only if its root digest was noted elsewhere, or if it \
             is signed with a key that was never on the recorded machine.",
            "Of a derived capture (vmtrace-slice(1), vmtrace-merge(1)) it prints what that was made from, as the file states it. That \
             the stated captures existed and had these rows is not proven. Its numbers may have gaps where rows are left out.",
        ],
        status: &[
            ("0", "Intact and complete; of a derived capture: intact, and no loss is recorded."),
            ("1", "Altered, or it contradicts itself."),
            ("2", "Wrong usage, it cannot be read, or there is nothing to check it against."),
            ("3", "Intact, not complete: it reports loss, or a file between those given is missing."),
        ],
        examples: &[
            ("Verify the files of one recording:", "vmtrace verify t-0001.parquet t-0002.parquet"),
            ("Verify a signature, too:", "vmtrace verify --allowed-signers allowed -I me@example.org trace.parquet"),
        ],
        see_also: &[("ssh-keygen", "1")],
    },
    Page {
        name: "check",
        synopsis: &["vmtrace check [OPTIONS]"],
        description: &[
            "Shows whether this system can be recorded, and what a recording would not see. It loads, attaches and \
             tests the hooks as vmtrace-record(1) does, and records nothing.",
            "Families of events with the same tier, self-test result and cause share a line. With -v each has its own.",
        ],
        status: &[
            ("0", "Every family of events is seen in the best way."),
            ("1", "Recording works, with gaps."),
            ("2", "Wrong usage, or recording is not possible."),
        ],
        examples: &[("Check this system:", "vmtrace check")],
        see_also: &[("capabilities", "7")],
    },
    Page {
        name: "completions",
        synopsis: &["vmtrace completions SHELL"],
        description: &["Prints a completion script for SHELL."],
        status: PRINTED,
        examples: &[(
            "Install completions for bash:",
            "vmtrace completions bash >~/.local/share/bash-completion/completions/vmtrace",
        )],
        see_also: &[],
    },
    Page {
        name: "man",
        synopsis: &["vmtrace man [COMMAND]"],
        description: &["Prints the manual page of COMMAND in man(7) format; of vmtrace itself without COMMAND."],
        status: PRINTED,
        examples: &[
            ("Read a page:", "vmtrace man record | man -l -"),
            ("Install a page:", "vmtrace man record >/usr/local/share/man/man1/vmtrace-record.1"),
        ],
        see_also: &[("man", "1")],
    },
];
