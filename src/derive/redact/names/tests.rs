use super::*;

fn names(level: Level) -> Names {
    Names::new(Secret::of(b"k"), level, Keep::default(), true)
}

fn share() -> Names {
    names(Level::Share)
}

/// The text with every pseudonym's digits written as `#`.
fn form(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('-') {
        let (front, behind) = rest.split_at(at + 1);
        out += front;
        let digits = behind.bytes().take_while(u8::is_ascii_hexdigit).count();
        rest = if digits == DIGITS { &behind[digits..] } else { behind };
        out += if digits == DIGITS { "#" } else { "" };
    }
    out + rest
}

fn path(text: &str) -> String {
    form(&share().text(Kind::Path, text))
}

#[test]
fn a_path_keeps_its_structure_and_what_every_system_has() {
    assert_eq!(path("/usr/bin/python3"), "/usr/bin/python3");
    assert_eq!(path("/usr/lib/x86_64-linux-gnu/libc.so.6"), "/usr/lib/x86_64-linux-gnu/libc.so.6");
    assert_eq!(path("/home/joe/secret-project/x.py"), "/home/user-#/dir-#/file-#.py");
    assert_eq!(path("/home/bin"), "/home/user-#", "a name that somebody has is none that everybody has");
    assert_eq!(path("/tmp/relay.out (deleted)"), "/tmp/file-#.out (deleted)");
    assert_eq!(path(".../deep/file"), ".../dir-#/file-#");
    assert_eq!(path("/memfd:wallet (deleted)"), "/memfd:file-# (deleted)");
    assert_eq!(path("anon_inode:[eventfd]"), "anon_inode:[eventfd]");
    assert_eq!(path("anon_inode:[mine]"), "anon_inode:file-#");
    assert_eq!(path("/dev/pts/3"), "/dev/pts/num-#");
    assert_eq!(path("/proc/self/mem"), "/proc/self/mem");
    assert_eq!(path("/proc/thread-self/mem"), "/proc/thread-self/mem");
    assert_eq!(path("x:[y]"), "file-#");
}

#[test]
fn numbers_in_a_path_are_those_of_the_columns() {
    let mut names = share();
    let (pid, tid, fd) = (names.pid(4211), names.pid(4212), names.fd(7));
    let inode = names.number(Kind::Inode, 406_602);
    assert_eq!(*names.text(Kind::Path, "/proc/4211/mem"), format!("/proc/{pid}/mem"));
    assert_eq!(*names.text(Kind::Path, "/proc/4211/task/4212/mem"), format!("/proc/{pid}/task/{tid}/mem"));
    assert_eq!(*names.text(Kind::Path, "/proc/4211/fd/7"), format!("/proc/{pid}/fd/{fd}"));
    assert_eq!(*names.text(Kind::Path, "pipe:[406602]"), format!("pipe:[{inode}]"));
    assert_eq!(*names.text(Kind::Cgroup, "id:406602"), format!("id:{inode}"));
    let uid = names.number(Kind::Uid, 1000);
    assert_eq!(*names.text(Kind::Path, "/run/user/1000"), format!("/run/user/{uid}"));
    assert!(pid != 4211 && inode != 406_602 && uid != 1000);
    let mut metadata = self::names(Level::Metadata);
    let pid = metadata.pid(4211);
    assert_eq!(*metadata.text(Kind::Path, "/proc/4211/mem"), format!("/proc/{pid}/mem"));
    assert_eq!(form(&metadata.text(Kind::Path, "/usr/bin/python3")), "/dir-#/dir-#/file-#");
}

#[test]
fn a_number_in_a_path_that_is_no_pid_descriptor_or_uid_is_a_component_as_any_other() {
    for level in [Level::Share, Level::Metadata] {
        let mut names = names(level);
        for number in ["20261130093000", "4294967296", "9223372036854775807", "18446744073709551615"] {
            for place in ["/proc", "/tmp/x/task", "/tmp/x/fd", "/tmp/x/fdinfo", "/run/user"] {
                let made = names.text(Kind::Path, &format!("{place}/{number}/name"));
                assert!(!made.contains(number), "{made} at the level {}", level.as_str());
            }
        }
        let made = form(&names.text(Kind::Path, "/proc/20261130093000/x"));
        assert!(made.ends_with("/num-#/file-#"), "{made}");
    }
}

#[test]
fn no_number_stays_but_the_constants() {
    for (level, kept_uids, kept_ports) in
        [(Level::Share, vec![0, 65_534, u64::from(u32::MAX)], 1_024), (Level::Metadata, vec![u64::from(u32::MAX)], 1)]
    {
        let mut names = names(level);
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for number in edges.chain([65_533, 65_534, 65_535, u64::MAX - 1, u64::MAX, 20_261_130_093_000]) {
            let constant = [
                (Kind::Pid, number <= 1),
                (Kind::Fd, number <= 2),
                (Kind::Inode, number == 0),
                (Kind::Uid, kept_uids.contains(&number)),
                (Kind::Port, number < kept_ports),
            ];
            for (kind, is_constant) in constant {
                let made = names.number(kind, number);
                assert_eq!(made == number, is_constant, "{} {number} at the level {}", kind.name(), level.as_str());
            }
            let text = format!("pipe:[{number}]");
            assert_eq!(*names.text(Kind::Path, &text) == *text, number == 0, "{text}");
        }
    }
}

#[test]
fn a_command_line_has_the_name_of_its_program_and_classes() {
    let mut names = share();
    let mut line = |text: &str| form(&names.text(Kind::Word, text));
    assert_eq!(line("python3 relay.py"), "python3 file-#.py");
    assert_eq!(
        line("/opt/acme/agent --token=abcdef -p 4211 0x7f12 plain"),
        "comm-# --opt-#=text-# -opt-# num-# num-# text-#"
    );
    assert_eq!(line("-bash /etc/acme.conf src/x"), "-bash /etc/file-#.conf src/file-#");
    assert_eq!(line("a  -- ..."), "comm-#  -- ...");
}

#[test]
fn the_same_name_is_known_again_wherever_it_stands() {
    let mut names = share();
    let comm = names.text(Kind::Comm, "agent");
    let digits = comm.strip_prefix("comm-").unwrap().to_string();
    assert_eq!(comm.len(), 15, "no longer than a thread's name");
    for (kind, text) in [(Kind::Path, "/opt/agent"), (Kind::Word, "x agent"), (Kind::Path, "/agent/y")] {
        assert!(names.text(kind, text).contains(&digits), "{text}");
    }
    assert_eq!(*self::names(Level::Metadata).text(Kind::Comm, "agent"), *comm, "also at another level");
    assert_eq!(*names.text(Kind::Comm, "python3"), *"python3");
    assert_ne!(*self::names(Level::Metadata).text(Kind::Comm, "python3"), *"python3");
}

#[test]
fn containers_and_users_of_cgroups_are_those_of_their_columns() {
    let mut names = share();
    let id = "4fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b34fd9a8c1e2b3abcd";
    let container = names.text(Kind::Container, id);
    let uid = names.number(Kind::Uid, 1000);
    assert_eq!(
        *names.text(Kind::Cgroup, &format!("/system.slice/docker-{id}.scope")),
        format!("/system.slice/docker-{container}.scope")
    );
    assert_eq!(*names.text(Kind::Cgroup, "/user.slice/user-1000.slice"), format!("/user.slice/user-{uid}.slice"));
    assert_eq!(form(&names.text(Kind::Cgroup, "/system.slice/acme.service")), "/system.slice/unit-#.service");
    assert_eq!(form(&self::names(Level::Metadata).text(Kind::Cgroup, "/system.slice")), "/unit-#");
}

#[test]
fn network_addresses_are_ones_that_nobody_has() {
    let mut names = share();
    let mut net = |text: &str| names.text(Kind::Net, text).to_string();
    assert_eq!(net("127.0.0.1"), "127.0.0.1");
    assert!(net("10.1.2.3").parse::<Ipv4Addr>().unwrap().octets()[0] >= 240);
    assert!(net("2a00:1450::1").starts_with("2001:db8:"));
    assert!(net("::ffff:10.1.2.3").ends_with(&net("10.1.2.3")));
    assert_eq!(form(&net("@/tmp/.X11-unix/X0")), "@/tmp/dir-#/file-#");
    assert_eq!(form(&net("@@mine")), "@@file-#");
    assert_eq!(form(&net("/run/acme.sock")), "/run/file-#.sock");
    assert_ne!(self::names(Level::Metadata).text(Kind::Net, "127.0.0.1").to_string(), "127.0.0.1");
}

#[test]
fn numbers_stay_of_their_kind() {
    let mut names = share();
    assert_eq!([-1, 0, 1].map(|pid| names.pid(pid)), [-1, 0, 1]);
    let group = names.pid(-4211);
    assert_eq!(-group, names.pid(4211));
    assert!((2..4_194_304).contains(&names.pid(4211)));
    assert_eq!([-100, 0, 2].map(|fd| names.fd(fd)), [-100, 0, 2]);
    assert!((3..1024).contains(&names.fd(7)));
    assert_eq!(
        [0, 65_534, u64::from(u32::MAX)].map(|uid| names.number(Kind::Uid, uid)),
        [0, 65_534, u64::from(u32::MAX)]
    );
    assert_eq!([0, 443].map(|port| names.number(Kind::Port, port)), [0, 443]);
    assert_eq!(names.number(Kind::Inode, 0), 0);
    let mut metadata = self::names(Level::Metadata);
    assert_eq!(metadata.number(Kind::Uid, u32::MAX.into()), u64::from(u32::MAX), "no user");
    assert_eq!(metadata.address(0x7f12_3456_7000), 0);
    for extreme in [i64::MIN, i64::MAX, i64::from(i32::MIN), i64::from(i32::MAX)] {
        names.pid(extreme);
        names.fd(extreme);
    }
}

#[test]
fn what_is_replaced_is_counted_and_leads_back() {
    let mut names = share();
    for _ in 0..2 {
        names.text(Kind::Comm, "agent");
        names.text(Kind::Comm, "python3");
        names.pid(1);
        names.pid(4211);
        names.address(0x7f12_3456_7000);
        names.address(0x7f12_3456_8000);
    }
    let counts: Vec<_> = names.found.counts().into_iter().map(|of| (of.kind, of.distinct)).collect();
    assert_eq!(counts, [("comm".into(), 1), ("pid".into(), 1), ("region".into(), 1)]);
    let pid = names.pid(4211).to_string();
    assert_eq!(names.found.originals().unwrap()["pid"][&pid], "4211");
}
