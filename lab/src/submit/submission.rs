//! What a student handed in: a folder, a tar archive (plain or gzipped) or a zip archive.
//!
//! Only the files that a student may edit are read, into memory; nothing is unpacked to disk.
//! Anything else (links, devices, odd names, other files) is ignored, and reported where it could
//! matter. [`BOUNDS`] limits the number of entries, the size of a file, and how much may come out
//! of an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::manifest::{is_plain, sha256};

/// The directories with the files that a student may edit. What is in one is built on those before it.
pub const DIRECTORIES: [&str; 4] = ["raft/src", "kvraft/src", "shardctrler/src", "shardkv/src"];
/// The limits for real submissions.
pub const BOUNDS: Bounds = Bounds {
    entries: 20_000,
    files: 200,
    file_bytes: 1 << 20,
    archive_bytes: 32 << 20,
    unpacked_bytes: 64 << 20,
};
/// The longest path that is looked at, in bytes.
const MAX_PATH_BYTES: usize = 1000;
/// The maximum number of ignored entries that a report lists.
const MAX_LISTED: usize = 20;

/// Upper limits on the size of a submission.
#[derive(Copy, Clone, Debug)]
pub struct Bounds {
    /// Entries of any kind: files, directories, links.
    entries: usize,
    /// Source files.
    files: usize,
    /// Bytes of one source file.
    file_bytes: u64,
    /// Bytes of the archive itself.
    archive_bytes: u64,
    /// Bytes that decompression yields, and bytes of all source files together.
    unpacked_bytes: u64,
}

/// The part of a submission that is graded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The source files, by path in the lab.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Ignored entries with the reasons, one per line.
    pub ignored: Vec<String>,
}

impl Submission {
    /// Reads a submission.
    ///
    /// # Errors
    /// When nothing of it can be graded. The message is written for the student.
    pub fn read(path: &Path, bounds: Bounds) -> Result<Submission, String> {
        let mut reader = Reader::new(bounds);
        let found = path.symlink_metadata().map_err(unreadable)?;
        if found.is_dir() {
            reader.folder(path, "").map_err(Refusal::message)?;
        } else if found.is_file() {
            if found.len() > bounds.archive_bytes {
                let most = bounds.archive_bytes >> 20;
                return Err(format!(
                    "the archive is larger than {most} MiB; pack only the sources"
                ));
            }
            let bytes = fs::read(path).map_err(unreadable)?;
            reader.archive(&bytes).map_err(Refusal::message)?;
        } else {
            return Err("it is neither a folder nor a file".into());
        }
        reader.finish()
    }

    /// Whether there is a source file below the directory.
    pub fn has(&self, directory: &str) -> bool {
        self.files.keys().any(|path| path.starts_with(directory))
    }

    /// The source files below the directory.
    pub fn below(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.iter().filter(|(path, _)| path.starts_with(directory));
        files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    }

    /// Identifies the submission: the SHA-256 of the list of its paths and their digests.
    pub fn digest(&self) -> String {
        let lines = self.files.iter().map(|(path, bytes)| format!("{}  {path}\n", sha256(bytes)));
        sha256(lines.collect::<String>().as_bytes())
    }
}

/// Why a submission is refused as a whole.
enum Refusal {
    /// It exceeds one of the [`Bounds`].
    TooMuch(String),
    Unreadable(String),
}

fn unreadable(why: impl std::fmt::Display) -> String {
    format!("the submission cannot be read: {why}")
}

impl Refusal {
    fn message(self) -> String {
        match self {
            Refusal::TooMuch(what) => format!("the submission is too large: {what}"),
            Refusal::Unreadable(what) => unreadable(what),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Unreadable(error.to_string())
    }
}

/// The type of an entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Kind {
    fn of(kind: fs::FileType) -> Kind {
        if kind.is_symlink() {
            Kind::Link
        } else if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::File
        } else {
            Kind::Other
        }
    }
}

/// The state while a submission is read.
#[derive(Debug)]
struct Reader {
    bounds: Bounds,
    entries: usize,
    unpacked: u64,
    /// Source files by their full path in the archive, which may begin with one more folder.
    files: BTreeMap<String, Vec<u8>>,
    duplicates: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

impl Reader {
    fn new(bounds: Bounds) -> Reader {
        Reader {
            bounds,
            entries: 0,
            unpacked: 0,
            files: BTreeMap::new(),
            duplicates: BTreeSet::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Reads a folder, which has the path `prefix` in the submission. Links are never followed.
    fn folder(&mut self, place: &Path, prefix: &str) -> Result<(), Refusal> {
        let mut entries = fs::read_dir(place)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let path = match prefix {
                "" => name.to_vec(),
                _ => [prefix.as_bytes(), b"/", name].concat(),
            };
            let kind = Kind::of(entry.file_type()?);
            // Build products and git's objects are not worth counting as entries.
            if kind == Kind::Directory && [&b"target"[..], b".git"].contains(&name) {
                continue;
            }
            let taken = self.entry(&path, kind, || Ok(open(&entry.path())?))?;
            if taken && kind == Kind::Directory {
                let path = String::from_utf8_lossy(&path).into_owned();
                self.folder(&entry.path(), &path)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        match bytes {
            [0x1f, 0x8b, ..] => {
                let most = self.bounds.unpacked_bytes;
                self.tar(Bounded { inner: GzDecoder::new(bytes), left: most })
            }
            [b'P', b'K', ..] => self.zip(bytes),
            _ if bytes.get(257..262) == Some(b"ustar") => self.tar(bytes),
            _ => Err(Refusal::Unreadable(
                "it is not a folder, or a tar, tar.gz or zip archive".into(),
            )),
        }
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), Refusal> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let kind = match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
                tar::EntryType::Directory => Kind::Directory,
                tar::EntryType::Symlink | tar::EntryType::Link => Kind::Link,
                // Describes the archive itself.
                tar::EntryType::XGlobalHeader => continue,
                _ => Kind::Other,
            };
            let path = entry.path_bytes().into_owned();
            self.entry(&path, kind, || Ok(&mut entry))?;
        }
        Ok(())
    }

    fn zip(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let broken = |error: zip::result::ZipError| Refusal::Unreadable(error.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        // `ZipArchive` keeps one entry for each name, and no more of them than the end of the archive
        // says. So it would not see a name that occurs twice, which other tools may read otherwise.
        if zip_entries(bytes, archive.central_directory_start()) != Some(archive.len()) {
            return Err(Refusal::Unreadable(
                "a name occurs twice, or the archive's directory is wrong".into(),
            ));
        }
        for i in 0..archive.len() {
            let mut file = archive.by_index(i).map_err(broken)?;
            let path = file.name_raw().to_vec();
            let kind = match file.unix_mode().map_or(0, |mode| mode & 0o170_000) {
                _ if file.is_dir() => Kind::Directory,
                0 | 0o100_000 => Kind::File,
                0o120_000 => Kind::Link,
                _ => Kind::Other,
            };
            self.entry(&path, kind, || Ok(&mut file))?;
        }
        Ok(())
    }

    /// Handles one entry. Returns false if it and everything below it must be ignored.
    fn entry<R: Read>(
        &mut self,
        name: &[u8],
        kind: Kind,
        open: impl FnOnce() -> Result<R, Refusal>,
    ) -> Result<bool, Refusal> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(Refusal::TooMuch(format!("more than {} entries", self.bounds.entries)));
        }
        let path = match plain(name) {
            Ok(Some(path)) => path,
            Ok(None) => return Ok(true),
            Err(why) => {
                self.ignored.insert(format!("{}: {why}", quoted(name)));
                return Ok(false);
            }
        };
        match kind {
            Kind::Directory => return Ok(true),
            Kind::File => {}
            Kind::Link => {
                self.ignored.insert(format!("{path}: links are not followed"));
                return Ok(false);
            }
            Kind::Other => {
                self.ignored.insert(format!("{path}: not a regular file"));
                return Ok(false);
            }
        }
        if !is_editable_source(&path) {
            if may_affect_build(&path) {
                self.ignored.insert(format!("{path}: this file may not be changed"));
            }
            return Ok(true);
        }
        self.source(path, open()?)?;
        Ok(true)
    }

    /// Reads the content of a source file.
    fn source(&mut self, path: String, content: impl Read) -> Result<(), Refusal> {
        if self.files.len() >= self.bounds.files {
            return Err(Refusal::TooMuch(format!("more than {} source files", self.bounds.files)));
        }
        let mut bytes = Vec::new();
        content.take(self.bounds.file_bytes + 1).read_to_end(&mut bytes)?;
        self.unpacked += bytes.len() as u64;
        if bytes.len() as u64 > self.bounds.file_bytes {
            let most = self.bounds.file_bytes >> 10;
            return Err(Refusal::TooMuch(format!("{path} is larger than {most} KiB")));
        }
        if self.unpacked > self.bounds.unpacked_bytes {
            return Err(Refusal::TooMuch("all files together exceed the limit".into()));
        }
        if self.files.insert(path.clone(), bytes).is_some() {
            self.duplicates.insert(path);
        }
        Ok(())
    }

    fn finish(self) -> Result<Submission, String> {
        if let Some(path) = self.duplicates.first() {
            return Err(format!("{path} occurs twice, and it is not clear which one to grade"));
        }
        if let Some(path) = file_and_directory(&self.files) {
            return Err(format!("{path} is both a file and a directory"));
        }
        let roots: BTreeSet<String> = self.files.keys().map(|path| root(path).into()).collect();
        let root = match roots.first() {
            None => {
                return Err(format!("it contains no *.rs below any of {}", DIRECTORIES.join(", ")));
            }
            Some(first) if roots.len() > 1 => {
                let last = roots.last().unwrap_or(first);
                return Err(format!(
                    "it contains more than one lab, for instance in {first:?} and in {last:?}"
                ));
            }
            Some(root) => root.clone(),
        };
        let files = self.files.into_iter().map(|(path, file)| (path[root.len()..].into(), file));
        let count = self.ignored.len();
        let mut ignored: Vec<String> = self.ignored.into_iter().take(MAX_LISTED).collect();
        if count > MAX_LISTED {
            ignored.push(format!("and {} more", count - MAX_LISTED));
        }
        Ok(Submission { files: files.collect(), ignored })
    }
}

/// A path that is a file, and a directory of other files too. Both cannot be written to a disk.
fn file_and_directory(files: &BTreeMap<String, Vec<u8>>) -> Option<&str> {
    let mut paths = files.keys();
    paths.find_map(|path| {
        let slashes = path.match_indices('/').map(|(at, _)| &path[..at]);
        slashes.into_iter().find(|directory| files.contains_key(*directory))
    })
}

/// The name as a path below the submission; `None` when it names the submission itself, such as
/// `./`.
fn plain(name: &[u8]) -> Result<Option<String>, &'static str> {
    if name.len() > MAX_PATH_BYTES {
        return Err("its path is longer than 1000 bytes");
    }
    let name = std::str::from_utf8(name).map_err(|_| "its name is not valid UTF-8")?;
    if name.starts_with('/') || name.contains('\\') || name.get(1..2) == Some(":") {
        return Err("its path is absolute, or written for Windows");
    }
    let pieces: Vec<&str> = name.split('/').filter(|&piece| !["", "."].contains(&piece)).collect();
    if pieces.contains(&"..") {
        return Err("its path contains \"..\"");
    }
    if !name.chars().all(is_printable) {
        return Err("its name contains characters that cannot be printed");
    }
    Ok(Some(pieces.join("/")).filter(|path| !path.is_empty()))
}

/// Whether the character shows within a text. Control characters do not, nor do those that change
/// the direction of the text, or have no width.
pub fn is_printable(c: char) -> bool {
    match c.is_ascii() {
        true => !c.is_ascii_control(),
        // An accent is escaped where it has no letter before it.
        false => format!("a{c}").escape_debug().eq(['a', c]),
    }
}

/// A name that is safe to print, with characters that cannot be printed escaped.
fn quoted(name: &[u8]) -> String {
    let name: String = String::from_utf8_lossy(name).chars().take(200).collect();
    format!("{name:?}")
}

/// The part of a source file's path in front of its directory: a folder with its slash, or nothing.
fn root(path: &str) -> &str {
    match path.find('/') {
        Some(slash) if !is_source_here(path) => &path[..=slash],
        _ => "",
    }
}

/// Whether the path is that of a source file that a student may edit, perhaps in one more folder.
fn is_editable_source(path: &str) -> bool {
    is_source_here(path) || path.split_once('/').is_some_and(|(_, rest)| is_source_here(rest))
}

/// Whether the path is that of a source file that a student may edit.
fn is_source_here(path: &str) -> bool {
    let below = DIRECTORIES.iter().any(|each| {
        path.strip_prefix(each).is_some_and(|rest| rest.starts_with('/') && rest.ends_with(".rs"))
    });
    below && is_plain(path)
}

/// Whether a file at this path could change how the lab is built or run, if it were used.
fn may_affect_build(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_own = DIRECTORIES.iter().any(|each| {
        let member = each.trim_end_matches("/src");
        path.split('/').take(2).any(|piece| piece == member)
    });
    let is_config =
        path.split('/').any(|piece| piece == ".cargo") || name.starts_with("rust-toolchain");
    let is_handed_out = ["/tests/", "/skeleton/"].iter().any(|each| path.contains(each));
    is_config || (is_own && name != "Cargo.toml" && !is_handed_out)
}

/// Opens a file without following a link, and without waiting if it is a FIFO.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().read(true).custom_flags(mode.bits() as i32).open(path)
}

/// The number of entries in the directory of a zip archive, which begins at byte `start`; `None` if
/// something else follows before the archive's end.
fn zip_entries(bytes: &[u8], start: u64) -> Option<usize> {
    const ENTRY: &[u8] = b"PK\x01\x02";
    const ENDS: [&[u8]; 2] = [b"PK\x05\x06", b"PK\x06\x06"];
    let mut rest = bytes.get(usize::try_from(start).ok()?..)?;
    let mut count = 0;
    while rest.starts_with(ENTRY) {
        let size =
            |at: usize| Some(usize::from(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
        // The lengths of the name, of additional fields, and of a comment, after the fixed part.
        rest = rest.get(46 + size(28)? + size(30)? + size(32)?..)?;
        count += 1;
    }
    ENDS.iter().any(|end| rest.starts_with(end)).then_some(count)
}

/// A stream that gives an error when more than `left` bytes are read.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other("the archive decompresses to more than a submission may have")
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
