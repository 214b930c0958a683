//! Against OpenSSH's own ssh-keygen, in both directions.

use std::process::{Command, Stdio};

use chrono::{DateTime, TimeZone, Utc};

use super::allowed::AllowedSigners;
use super::*;

/// Kinds of keys, and whether the library signs with every one of that kind.
const KEYS: &[(&[&str], bool)] = &[
    (ED25519, true),
    (ECDSA, false),
    (&["-t", "ecdsa", "-b", "384"], false),
    (&["-t", "ecdsa", "-b", "521"], false),
    (RSA, false),
];
const ED25519: &[&str] = &["-t", "ed25519"];
const ECDSA: &[&str] = &["-t", "ecdsa", "-b", "256"];
const RSA: &[&str] = &["-t", "rsa", "-b", "2048"];

fn keygen(args: &[&str], input: Option<&Path>) -> std::process::Output {
    let stdin = input.map_or(Stdio::null(), |path| File::open(path).unwrap().into());
    let ran = Command::new("ssh-keygen").args(args).stdin(stdin).output();
    ran.expect("ssh-keygen (package openssh-client) is needed")
}

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Folder { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// A new key; its name.
    fn key(&self, name: &str, options: &[&str], passphrase: &str) -> String {
        let key = self.path(name);
        let made = keygen(&[options, &["-q", "-N", passphrase, "-C", "comment", "-f", &key]].concat(), None);
        assert!(made.status.success(), "{made:?}");
        key
    }

    /// Allowed signers: `line` with the public key of `key` in place of KEY.
    fn allowed(&self, key: &str, line: &str) -> String {
        let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
        self.write("allowed", line.replace("KEY", public.trim()))
    }
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()
}

fn check(file: &str, allowed: &str, identity: Option<&str>) -> std::result::Result<String, String> {
    match Signature::check(Path::new(file)).unwrap() {
        Checked::Fits(signature) => {
            AllowedSigners::load(Path::new(allowed)).unwrap().allow(&signature, identity, now())
        }
        Checked::Bad(why) => Err(why),
    }
}

fn sign(key: &Key, file: &str) -> Result<()> {
    key.sign(&File::open(file).unwrap(), Path::new(file))
}

#[test]
fn ssh_keygen_accepts_our_signatures_and_we_its() {
    let folder = Folder::new();
    // More than one digest, and a length that is a multiple of nothing.
    let file = folder.write("capture", vec![7; 3_000_001]);
    for (number, (options, always)) in KEYS.iter().enumerate() {
        let key = folder.key(&format!("key{number}"), options, "");
        let allowed = folder.allowed(&key, "me@example.org namespaces=\"vmtrace\" KEY\n");
        // Signatures of ECDSA vary in length from one to the next.
        for _ in 0..2 {
            let sig = format!("{file}.sig");
            let loaded = Key::load(Path::new(&key));
            assert!(loaded.is_ok() || !always, "{loaded:?}");
            if let Ok(loaded) = loaded {
                sign(&loaded, &file).unwrap();
                let verify = ["-Y", "verify", "-f", &allowed, "-I", "me@example.org", "-n", "vmtrace", "-s", &sig];
                let verified = keygen(&verify, Some(Path::new(&file)));
                assert!(verified.status.success(), "{options:?}: {verified:?}");
                assert_eq!(check(&file, &allowed, None).unwrap(), "me@example.org");
            }
            let _ = std::fs::remove_file(&sig);
            let signed = keygen(&["-Y", "sign", "-q", "-f", &key, "-n", "vmtrace", &file], None);
            assert!(signed.status.success(), "{options:?}: {signed:?}");
            assert_eq!(check(&file, &allowed, Some("me@example.org")).unwrap(), "me@example.org");
        }
    }
}

/// Who owns a directory can exchange what has a name in it.
#[test]
fn what_is_signed_is_the_file_and_not_its_name() {
    let folder = Folder::new();
    let key = folder.key("key", ED25519, "");
    let allowed = folder.allowed(&key, "me KEY\n");
    let path = folder.write("capture", "content");
    let mut file = File::open(&path).unwrap();
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    std::fs::remove_file(&path).unwrap();
    folder.write("capture", "of another");
    Key::load(Path::new(&key)).unwrap().sign(&file, Path::new(&path)).unwrap();
    assert_eq!(check(&path, &allowed, None).unwrap_err(), "it was not made over these bytes");
    folder.write("capture", "content");
    assert_eq!(check(&path, &allowed, None).unwrap(), "me");
}

#[test]
fn a_signature_says_nothing_of_other_bytes_or_another_purpose() {
    let folder = Folder::new();
    let key = folder.key("key", ED25519, "");
    let allowed = folder.allowed(&key, "me KEY\n");
    let file = folder.write("capture", "content");
    sign(&Key::load(Path::new(&key)).unwrap(), &file).unwrap();
    assert_eq!(check(&file, &allowed, None).unwrap(), "me");
    folder.write("capture", "Content");
    assert_eq!(check(&file, &allowed, None).unwrap_err(), "it was not made over these bytes");
    let sign = |namespace| {
        std::fs::remove_file(format!("{file}.sig")).unwrap();
        let args = ["-Y", "sign", "-q", "-O", "hashalg=sha256", "-f", &key, "-n", namespace, &file];
        assert!(keygen(&args, None).status.success());
    };
    sign("file");
    assert_eq!(check(&file, &allowed, None).unwrap_err(), "it is for the namespace \"file\", not vmtrace");
    sign("vmtrace");
    assert_eq!(check(&file, &allowed, None).unwrap(), "me", "SHA-256");
}

#[test]
fn only_allowed_signers_count() {
    let folder = Folder::new();
    let key = folder.key("key", ED25519, "");
    let other = folder.key("other", ECDSA, "");
    let file = folder.write("capture", "content");
    sign(&Key::load(Path::new(&key)).unwrap(), &file).unwrap();
    let allowed = |line| folder.allowed(&key, line);
    assert_eq!(check(&file, &folder.allowed(&other, "me KEY"), None).unwrap_err(), "no allowed signer has its key");
    assert_eq!(check(&file, &allowed("*@a.org KEY"), Some("x@a.org")).unwrap(), "x@a.org");
    assert_eq!(check(&file, &allowed("*@a.org KEY"), Some("x@b.org")).unwrap_err(), "its key is not that of x@b.org");
    for (line, refusal) in [
        ("me namespaces=\"git,file\" KEY", "may not sign in the namespace"),
        ("me namespaces=\"*,!vmtrace\" KEY", "may not sign in the namespace"),
        ("me valid-before=\"20251231Z\" KEY", "not valid any more"),
        ("me VALID-AFTER=\"20260101000001Z\" KEY", "not valid yet"),
        ("me cert-authority KEY", "(line 1 was not understood: certificates are not supported)"),
    ] {
        let found = check(&file, &allowed(line), None).unwrap_err();
        assert!(found.contains(refusal), "{line}: {found}");
    }
    let line = "\"me and you\" namespaces=\"x,vm*\",valid-after=20250101,valid-before=\"20270101\" KEY comment";
    assert_eq!(check(&file, &allowed(line), None).unwrap(), "me and you");
}

#[test]
fn keys_that_cannot_sign_say_what_to_do() {
    let folder = Folder::new();
    let error = |path: &str| format!("{:#}", Key::load(Path::new(path)).unwrap_err());
    let key = folder.key("key", ED25519, "");
    assert!(error(&format!("{key}.pub")).contains("is a public key: name the private one"));
    assert!(error(&folder.path("missing")).contains("cannot be read: No such file"));
    assert!(error(&folder.write("text", "hello")).contains("is not a private key"));
    assert!(error(&folder.write("long", vec![b'x'; 70_000])).contains("is larger than"));
    let pem = folder.key("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"], "");
    assert!(error(&pem).contains("convert it with ssh-keygen -p -f"));
    let message = error(&folder.key("rsa", RSA, ""));
    assert!(message.contains("cannot sign with a key of type ssh-rsa"), "{message}");
    let locked = folder.key("locked", ED25519, "secret");
    let message = error(&locked);
    assert!(message.contains("has a passphrase") && message.contains("ssh-keygen -Y sign -n vmtrace"), "{message}");
}

#[test]
fn nothing_but_an_older_signature_is_replaced() {
    let folder = Folder::new();
    let key = Key::load(Path::new(&folder.key("key", ED25519, ""))).unwrap();
    let file = folder.write("capture", "content");
    folder.write("capture.sig", "dear diary");
    let error = format!("{:#}", sign(&key, &file).unwrap_err());
    assert!(error.contains("something else has that name"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path("capture.sig")).unwrap(), "dear diary");
    std::fs::remove_file(folder.path("capture.sig")).unwrap();
    let old = folder.write("old", BEGIN);
    std::os::unix::fs::symlink(&old, folder.path("capture.sig")).unwrap();
    sign(&key, &file).unwrap_err();
    assert_eq!(std::fs::read(&old).unwrap(), BEGIN, "a link is not followed");
    std::fs::remove_file(folder.path("capture.sig")).unwrap();
    sign(&key, &file).unwrap();
    sign(&key, &file).unwrap();
}

#[test]
fn damaged_signatures_are_refused() {
    let folder = Folder::new();
    let key = folder.key("key", ED25519, "");
    let file = folder.write("capture", "content");
    sign(&Key::load(Path::new(&key)).unwrap(), &file).unwrap();
    let good = std::fs::read(format!("{file}.sig")).unwrap();
    let allowed = folder.allowed(&key, "me KEY");
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x01;
        folder.write("capture.sig", &bytes);
        if let Ok(Checked::Fits(signature)) = Signature::check(Path::new(&file)) {
            let allowed = AllowedSigners::load(Path::new(&allowed)).unwrap();
            // A change that the encoding does not see leaves the same signature.
            assert_eq!(allowed.allow(&signature, None, now()).as_deref(), Ok("me"), "{at}");
        }
    }
    for len in 0..good.len() - 1 {
        folder.write("capture.sig", &good[..len]);
        assert!(Signature::check(Path::new(&file)).is_err(), "cut at {len}");
    }
    std::fs::remove_file(format!("{file}.sig")).unwrap();
    assert!(format!("{:#}", Signature::check(Path::new(&file)).unwrap_err()).contains("capture.sig cannot be read"));
}
