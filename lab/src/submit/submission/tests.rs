//! Hostile and broken submissions.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::SimpleFileOptions;

use super::*;

const LIB: (&str, &[u8]) = ("raft/src/lib.rs", b"//! Mine.\n");

/// An empty directory for one test.
fn place(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("lab-submission-{name}-{}", std::process::id()));
    _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<Submission, String> {
    let place = place(name);
    fs::write(place.join("archive"), bytes).unwrap();
    let taken = Submission::read(&place.join("archive"), BOUNDS);
    fs::remove_dir_all(&place).unwrap();
    taken
}

/// A tar archive with names that no tool would write.
fn tar(entries: &[(&[u8], tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(*kind);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_link_name_literal(content).unwrap();
        }
        let content = if kind.is_file() { content } else { &b""[..] };
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn tar_of_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_bytes(), tar::EntryType::Regular, *bytes))
        .collect();
    tar(&entries)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn paths(submission: &Submission) -> Vec<&str> {
    submission.files.keys().map(String::as_str).collect()
}

#[test]
fn a_folder_a_tar_and_a_zip_are_read_alike_also_with_one_more_folder() {
    let files: [(&str, &[u8]); 5] = [
        LIB,
        ("raft/src/log/mod.rs", b"//! Log.\n"),
        // Paths that have another directory in them.
        ("kvraft/src/raft/src/lib.rs", b"//! Kv.\n"),
        ("raft/src/kvraft/src/lib.rs", b""),
        ("shardkv/src/shardctrler/src.rs", b""),
    ];
    let folder = place("alike");
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let expected = Submission::read(&folder, BOUNDS).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(expected.files.len(), files.len());
    assert!(files.iter().all(|(path, _)| expected.files.contains_key(*path)), "{expected:?}");
    assert!(expected.ignored.is_empty() && expected.has("raft/src/"));
    for prefix in ["", "./", "alice/"] {
        let named = files.map(|(path, content)| (format!("{prefix}{path}"), content));
        let named: Vec<_> = named.iter().map(|(path, content)| (path.as_str(), *content)).collect();
        let tarred = tar_of_files(&named);
        for bytes in [gzip(&tarred), tarred, zip(&named)] {
            let taken = read_bytes("alike", &bytes).unwrap();
            assert_eq!((&taken, taken.digest()), (&expected, expected.digest()), "{prefix:?}");
        }
    }
}

#[test]
fn build_scripts_cargo_settings_manifests_and_tests_are_ignored() {
    let bytes = zip(&[
        LIB,
        ("raft/build.rs", b"fn main() { panic!() }"),
        ("raft/Cargo.toml", b"[package]\nbuild = \"src/lib.rs\"\n"),
        (".cargo/config.toml", b"[build]\nrustc-wrapper = \"evil\"\n"),
        ("raft/.cargo/config.toml", b""),
        ("rust-toolchain.toml", b""),
        ("Cargo.toml", b"[patch.crates-io]\n"),
        ("Cargo.lock", b""),
        ("tests/src/raft_2a.rs", b"// all tests pass"),
        ("labraft/src/lib.rs", b""),
        ("raft/src/.hidden.rs", b""),
        ("raft/src/data.bin", b""),
    ]);
    let taken = read_bytes("settings", &bytes).unwrap();
    assert_eq!(paths(&taken), ["raft/src/lib.rs"]);
    for named in ["raft/build.rs", ".cargo/config.toml", "rust-toolchain.toml", "raft/src/data.bin"]
    {
        assert!(taken.ignored.iter().any(|line| line.starts_with(named)), "{:?}", taken.ignored);
    }
}

#[test]
fn links_and_devices_are_ignored_and_never_followed() {
    let folder = place("links");
    fs::create_dir_all(folder.join("raft/src")).unwrap();
    fs::write(folder.join("raft/src/lib.rs"), LIB.1).unwrap();
    fs::write(folder.join("secret"), "the secret").unwrap();
    symlink("../../secret", folder.join("raft/src/secret.rs")).unwrap();
    symlink("/etc", folder.join("raft/src/etc")).unwrap();
    symlink("/", folder.join("kvraft")).unwrap();
    let taken = Submission::read(&folder, BOUNDS).unwrap();
    assert_eq!(paths(&taken), ["raft/src/lib.rs"]);
    assert_eq!(taken.ignored.len(), 3);
    symlink(&folder, folder.join("whole")).unwrap();
    assert!(
        Submission::read(&folder.join("whole"), BOUNDS).unwrap_err().contains("neither a folder")
    );
    fs::remove_dir_all(&folder).unwrap();

    let bytes = tar(&[
        (LIB.0.as_bytes(), tar::EntryType::Regular, LIB.1),
        (b"raft/src/a.rs", tar::EntryType::Symlink, b"/etc/passwd"),
        (b"raft/src/b.rs", tar::EntryType::Link, b"raft/src/lib.rs"),
        (b"raft/src/c.rs", tar::EntryType::Char, b""),
        (b"raft/src/d.rs", tar::EntryType::Fifo, b""),
    ]);
    let taken = read_bytes("links", &bytes).unwrap();
    assert_eq!(paths(&taken), ["raft/src/lib.rs"]);
    assert_eq!(taken.ignored.len(), 4, "{:?}", taken.ignored);

    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(LIB.0, SimpleFileOptions::default()).unwrap();
    writer.add_symlink("raft/src/a.rs", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let taken = read_bytes("links", &writer.finish().unwrap().into_inner()).unwrap();
    assert_eq!(paths(&taken), ["raft/src/lib.rs"]);
    assert_eq!(taken.ignored, ["raft/src/a.rs: links are not followed"]);
}

#[test]
fn paths_that_lead_elsewhere_are_ignored_and_reported() {
    let long = format!("raft/src/{}.rs", "a".repeat(1 << 20));
    let tricks: [&str; 11] = [
        "../raft/src/a.rs",
        "raft/src/../../tests/src/lib.rs",
        "/raft/src/a.rs",
        "raft\\src\\a.rs",
        "C:/raft/src/a.rs",
        "raft/src/a\n.rs",
        "raft/src/../lib.rs",
        "alice/../../raft/src/a.rs",
        "raft/src/\u{1b}[2J.rs",
        "raft/src/sr.\u{202e}a",
        &long,
    ];
    for trick in tricks {
        let bytes = match trick.len() {
            0..100 => tar_of_files(&[LIB, (trick, b"fn evil() {}")]),
            _ => zip(&[LIB, (&trick[..60_000], b"fn evil() {}")]),
        };
        let taken = read_bytes("paths", &bytes).unwrap();
        assert_eq!(paths(&taken), ["raft/src/lib.rs"], "{trick:?}");
        assert_eq!(taken.ignored.len(), 1, "{trick:?}");
        assert!(!taken.ignored[0].contains(['\n', '\u{1b}', '\u{202e}']), "{trick:?}");
        assert!(taken.ignored[0].len() < 1000, "{trick:?}");
    }
    let accents = ["e\u{301}lodie/raft/src/lib.rs", "\u{e9}lodie/raft/src/lib.rs"];
    for name in accents {
        let taken = read_bytes("paths", &tar_of_files(&[(name, LIB.1)])).unwrap();
        assert_eq!(paths(&taken), ["raft/src/lib.rs"], "{name:?}");
    }
    let regular = tar::EntryType::Regular;
    let bytes = tar(&[(LIB.0.as_bytes(), regular, LIB.1), (b"raft/src/\xff.rs", regular, b"")]);
    let taken = read_bytes("paths", &bytes).unwrap();
    assert!(taken.ignored[0].contains("not valid UTF-8"), "{:?}", taken.ignored);
}

#[test]
fn a_submission_with_a_file_twice_is_refused() {
    let twice = tar_of_files(&[LIB, (LIB.0, b"fn other() {}")]);
    assert!(read_bytes("twice", &twice).unwrap_err().contains("twice"));
    assert!(read_bytes("twice", &tar_of_files(&[LIB, ("./raft/src/lib.rs", b"")])).is_err());
    let two = tar_of_files(&[("a/raft/src/lib.rs", b""), ("b/raft/src/lib.rs", b"")]);
    assert!(read_bytes("twice", &two).unwrap_err().contains("more than one lab"));
    let mut zipped = zip(&[LIB, ("raft/src/lic.rs", b"fn other() {}")]);
    for i in 0..zipped.len() - 15 {
        if &zipped[i..i + 15] == b"raft/src/lic.rs" {
            zipped[i + 11] = b'b';
        }
    }
    assert!(read_bytes("twice", &zipped).unwrap_err().contains("twice"));
    // The end of the archive counts one entry too few, or leaves the count to zip64.
    let end = zipped.len() - 22;
    assert_eq!(&zipped[end..end + 4], b"PK\x05\x06");
    let few = [&zipped[..end + 8], &[1, 0, 1, 0][..], &zipped[end + 12..]].concat();
    assert!(read_bytes("twice", &few).unwrap_err().contains("twice"));
    assert!(read_bytes("twice", &zip64(&zipped)).unwrap_err().contains("twice"));
    let once = zip(&[LIB, ("kvraft/src/lib.rs", b"")]);
    assert_eq!(read_bytes("twice", &zip64(&once)).unwrap(), read_bytes("twice", &once).unwrap());
}

/// The same archive, with counts and places only in an end record of zip64.
fn zip64(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.len() - 22;
    let word = |at: usize, len: usize| {
        let mut word = [0; 8];
        word[..len].copy_from_slice(&bytes[at..at + len]);
        word
    };
    let count = word(end + 10, 2);
    let mut whole = bytes[..end].to_vec();
    whole.extend(b"PK\x06\x06");
    whole.extend(44_u64.to_le_bytes());
    whole.extend([45, 0, 45, 0]);
    whole.extend([0; 8]);
    whole.extend([count, count, word(end + 12, 4), word(end + 16, 4)].concat());
    whole.extend(b"PK\x06\x07");
    whole.extend([0; 4]);
    whole.extend((end as u64).to_le_bytes());
    whole.extend([1, 0, 0, 0]);
    whole.extend(b"PK\x05\x06\0\0\0\0");
    whole.extend([0xff; 12]);
    whole.extend([0; 2]);
    whole
}

#[test]
fn a_path_that_is_a_file_and_a_directory_is_refused() {
    for (name, inside) in [
        ("raft/src/peer.rs", "raft/src/peer.rs/x.rs"),
        ("alice/kvraft/src/a.rs", "alice/kvraft/src/a.rs/b.rs/c.rs"),
    ] {
        let files: [(&str, &[u8]); 2] = [(name, b""), (inside, b"")];
        for bytes in [zip(&files), tar_of_files(&files)] {
            let error = read_bytes("both", &bytes).unwrap_err();
            assert_eq!(error, format!("{name} is both a file and a directory"));
        }
    }
}

#[test]
fn decompression_bombs_are_refused() {
    let zeros = vec![b' '; 80 << 20];
    // A small archive that expands to a lot of data: in one source file, in an ignored file, and in
    // many files.
    let one = zip(&[LIB, ("raft/src/big.rs", &zeros[..3 << 20])]);
    assert!(one.len() < 100_000);
    assert!(read_bytes("bomb", &one).unwrap_err().contains("larger than 1024 KiB"));
    for name in ["raft/src/big.rs", "README.md"] {
        let bytes = gzip(&tar_of_files(&[LIB, (name, &zeros)]));
        assert!(bytes.len() < 1 << 20);
        let error = read_bytes("bomb", &bytes).unwrap_err();
        assert!(error.contains("too large") || error.contains("decompresses to more"), "{error}");
    }
    let names: Vec<String> = (0..300).map(|i| format!("raft/src/a{i}.rs")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(read_bytes("bomb", &zip(&many)).unwrap_err().contains("more than 200 source files"));
    let names: Vec<String> = (0..20_001).map(|i| format!("docs/{i}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(read_bytes("bomb", &zip(&many)).unwrap_err().contains("more than 20000 entries"));
    let big: Vec<(String, &[u8])> =
        (0..70).map(|i| (format!("raft/src/a{i}.rs"), &zeros[..1 << 20])).collect();
    let big: Vec<(&str, &[u8])> = big.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    assert!(read_bytes("bomb", &zip(&big)).unwrap_err().contains("all files together"));
}

#[test]
fn anything_but_an_archive_is_refused_with_the_reason() {
    let cut = gzip(&tar_of_files(&[LIB]));
    let wrong: [(&[u8], &str); 6] = [
        (b"", "or a tar"),
        (b"hello", "or a tar"),
        (b"PK\x03\x04 and nothing else", "cannot be read"),
        (&[0x1f, 0x8b, 8, 0], "cannot be read"),
        (&cut[..cut.len() / 2], "cannot be read"),
        (&tar_of_files(&[("README.md", b"hello")]), "no *.rs below any of raft/src"),
    ];
    for (bytes, hint) in wrong {
        let error = read_bytes("wrong", bytes).unwrap_err();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn a_damaged_archive_is_read_or_refused() {
    let files = [LIB, ("raft/src/log/mod.rs", b"//! Log.\n"), ("kvraft/src/lib.rs", b"//! Kv.\n")];
    let tarred = tar_of_files(&files);
    for whole in [gzip(&tarred), tarred, zip(&files)] {
        for copy in crate::damage::damaged(&whole) {
            if let Ok(taken) = read_bytes("damaged", &copy) {
                taken.digest();
            }
        }
    }
}
