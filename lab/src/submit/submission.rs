//! What a student handed in: a folder, a tar archive (also compressed with gzip) or a zip archive.
//!
//! Only the files that may be edited are taken, into memory; nothing is unpacked. Whatever else there is
//! (links, devices, odd names, other files) is left out, and said. All of it is bounded: how many entries
//! there may be, how large one may be, and how much may come out of an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::manifest::{is_plain, sha256};

/// Where files may be that a student may edit.
pub const DIRECTORIES: [&str; 2] = ["raft/src", "kvraft/src"];
/// What a submission may have of everything.
pub const BOUNDS: Bounds = Bounds {
    entries: 20_000,
    files: 200,
    file_bytes: 1 << 20,
    archive_bytes: 32 << 20,
    unpacked_bytes: 64 << 20,
};
/// How many of the entries that were left out are named.
const NAMED: usize = 20;

/// What a submission may have at the most.
#[derive(Copy, Clone, Debug)]
pub struct Bounds {
    /// Names of any kind.
    entries: usize,
    /// Files that are taken.
    files: usize,
    /// Bytes of each of these.
    file_bytes: u64,
    /// Bytes of an archive.
    archive_bytes: u64,
    /// Bytes that come out of an archive.
    unpacked_bytes: u64,
}

/// What was taken of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The files, by their paths in the lab.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was left out and why, a line each.
    pub left_out: Vec<String>,
}

impl Submission {
    /// Takes what may be taken.
    ///
    /// # Errors
    /// When nothing of it can be graded: why, in words for the student.
    pub fn take(path: &Path, bounds: Bounds) -> Result<Submission, String> {
        let mut taking = Taking { bounds, ..Taking::default() };
        let cannot = |error: io::Error| format!("it cannot be read: {error}");
        let found = path.symlink_metadata().map_err(cannot)?;
        if found.is_dir() {
            taking.folder(path, "").map_err(Stop::words)?;
        } else if found.is_file() {
            if found.len() > bounds.archive_bytes {
                let most = bounds.archive_bytes >> 20;
                return Err(format!("the archive has more than {most} MiB; pack the sources only"));
            }
            let bytes = fs::read(path).map_err(cannot)?;
            taking.archive(&bytes).map_err(Stop::words)?;
        } else {
            return Err("it is neither a folder nor a file".into());
        }
        taking.finish()
    }

    /// Whether there is anything of raft's or of kvraft's.
    pub fn has(&self, directory: &str) -> bool {
        self.files.keys().any(|path| path.starts_with(directory))
    }

    /// The files below one of the directories.
    pub fn below(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.iter().filter(|(path, _)| path.starts_with(directory));
        files.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    }

    /// Tells this submission from any other: the SHA-256 of its files' names and digests.
    pub fn digest(&self) -> String {
        let lines = self.files.iter().map(|(path, bytes)| format!("{}  {path}\n", sha256(bytes)));
        sha256(lines.collect::<String>().as_bytes())
    }
}

/// Why taking ends early.
enum Stop {
    /// There is too much of something.
    Bound(String),
    Broken(String),
}

impl Stop {
    fn words(self) -> String {
        match self {
            Stop::Bound(what) => format!("there is too much in it: {what}"),
            Stop::Broken(what) => format!("it cannot be read: {what}"),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Broken(error.to_string())
    }
}

/// What an entry is, whatever it is called.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Link,
    Other,
}

/// While a submission is taken.
#[derive(Debug)]
struct Taking {
    bounds: Bounds,
    entries: usize,
    unpacked: u64,
    /// By its whole path in the archive, which may begin with a folder of its own.
    files: BTreeMap<String, Vec<u8>>,
    twice: BTreeSet<String>,
    left_out: BTreeSet<String>,
    /// Files that are of no interest.
    others: usize,
}

impl Default for Taking {
    fn default() -> Taking {
        Taking {
            bounds: BOUNDS,
            entries: 0,
            unpacked: 0,
            files: BTreeMap::new(),
            twice: BTreeSet::new(),
            left_out: BTreeSet::new(),
            others: 0,
        }
    }
}

impl Taking {
    /// A folder, whose path below the submission is `prefix`. Links are never followed.
    fn folder(&mut self, place: &Path, prefix: &str) -> Result<(), Stop> {
        let mut entries = fs::read_dir(place)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let path = match prefix {
                "" => name.to_vec(),
                _ => [prefix.as_bytes(), b"/", name].concat(),
            };
            let kind = entry.file_type()?;
            let kind = match kind {
                _ if kind.is_symlink() => Kind::Link,
                _ if kind.is_dir() => Kind::Directory,
                _ if kind.is_file() => Kind::File,
                _ => Kind::Other,
            };
            // What cargo and git keep there may be anything, and much.
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

    fn archive(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        match bytes {
            [0x1f, 0x8b, ..] => {
                let most = self.bounds.unpacked_bytes;
                self.tar(Bounded { inner: GzDecoder::new(bytes), left: most })
            }
            [b'P', b'K', ..] => self.zip(bytes),
            _ if bytes.get(257..262) == Some(b"ustar") => self.tar(bytes),
            _ => Err(Stop::Broken("it is no folder, and no tar, tar.gz or zip archive".into())),
        }
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), Stop> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let kind = match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
                tar::EntryType::Directory => Kind::Directory,
                tar::EntryType::Symlink | tar::EntryType::Link => Kind::Link,
                // What archives say of themselves.
                tar::EntryType::XGlobalHeader => continue,
                _ => Kind::Other,
            };
            let path = entry.path_bytes().into_owned();
            self.entry(&path, kind, || Ok(&mut entry))?;
        }
        Ok(())
    }

    fn zip(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let broken = |error: zip::result::ZipError| Stop::Broken(error.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        // The reader knows one entry of each name; the archive's own directory says how many there are.
        if zip_entries(bytes).is_some_and(|count| count != archive.len()) {
            return Err(Stop::Broken(
                "a name stands in it twice, or its directory is wrong".into(),
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

    /// Takes one entry or leaves it out. Whether it was no reason to leave it out.
    fn entry<R: Read>(
        &mut self,
        name: &[u8],
        kind: Kind,
        open: impl FnOnce() -> Result<R, Stop>,
    ) -> Result<bool, Stop> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(Stop::Bound(format!("more than {} entries", self.bounds.entries)));
        }
        let path = match plain(name) {
            Ok(Some(path)) => path,
            Ok(None) => return Ok(true),
            Err(why) => {
                self.left_out.insert(format!("{}: {why}", shown(name)));
                return Ok(false);
            }
        };
        match kind {
            Kind::Directory => return Ok(true),
            Kind::File => {}
            Kind::Link => {
                self.left_out.insert(format!("{path}: links are not followed"));
                return Ok(false);
            }
            Kind::Other => {
                self.left_out.insert(format!("{path}: it is no file"));
                return Ok(false);
            }
        }
        if !is_wanted(&path) {
            match is_telling(&path) {
                true => _ = self.left_out.insert(format!("{path}: it is not to be changed")),
                false => self.others += 1,
            }
            return Ok(true);
        }
        if self.files.len() >= self.bounds.files {
            return Err(Stop::Bound(format!("more than {} source files", self.bounds.files)));
        }
        let mut content = Vec::new();
        open()?.take(self.bounds.file_bytes + 1).read_to_end(&mut content)?;
        self.unpacked += content.len() as u64;
        if content.len() as u64 > self.bounds.file_bytes {
            let most = self.bounds.file_bytes >> 10;
            return Err(Stop::Bound(format!("{path} has more than {most} KiB")));
        }
        if self.unpacked > self.bounds.unpacked_bytes {
            return Err(Stop::Bound("the files together".into()));
        }
        if self.files.insert(path.clone(), content).is_some() {
            self.twice.insert(path);
        }
        Ok(true)
    }

    fn finish(self) -> Result<Submission, String> {
        if let Some(path) = self.twice.first() {
            return Err(format!("{path} is in it twice; which one is meant?"));
        }
        let roots: BTreeSet<String> = self.files.keys().map(|path| root(path).into()).collect();
        let root = match roots.first() {
            None => {
                return Err("there is no raft/src/*.rs and no kvraft/src/*.rs in it".into());
            }
            Some(_) if roots.len() > 1 => {
                let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
                return Err(format!("there is more than one lab in it: {roots:?}"));
            }
            Some(root) => root.clone(),
        };
        let files = self.files.into_iter().map(|(path, file)| (path[root.len()..].into(), file));
        let count = self.left_out.len();
        let mut left_out: Vec<String> = self.left_out.into_iter().take(NAMED).collect();
        if count > NAMED {
            left_out.push(format!("and {} more", count - NAMED));
        }
        Ok(Submission { files: files.collect(), left_out })
    }
}

/// A name that stays where it is put; `None` when it means nothing.
fn plain(name: &[u8]) -> Result<Option<String>, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is no UTF-8")?;
    if name.starts_with('/') || name.contains('\\') || name.get(1..2) == Some(":") {
        return Err("its path is absolute, or of another system");
    }
    let pieces: Vec<&str> = name.split('/').filter(|&piece| !["", "."].contains(&piece)).collect();
    if pieces.contains(&"..") {
        return Err("its path leads out of the submission");
    }
    if name.chars().any(char::is_control) {
        return Err("its name has control characters");
    }
    Ok(Some(pieces.join("/")).filter(|path| !path.is_empty()))
}

/// A name as it may be shown to a person.
fn shown(name: &[u8]) -> String {
    let name: String = String::from_utf8_lossy(name).chars().take(200).collect();
    format!("{name:?}")
}

/// The folder that the lab is in, with its slash; empty when it is in none.
fn root(path: &str) -> &str {
    let place = DIRECTORIES.iter().filter_map(|each| path.find(&format!("{each}/"))).min();
    let kv = path.find("kvraft/src/");
    &path[..kv.or(place).unwrap_or(0)]
}

/// Whether it is a source file that may be edited, be it in a folder of its own.
fn is_wanted(path: &str) -> bool {
    let is_here = |path: &str| {
        let below = DIRECTORIES.iter().any(|each| {
            path.strip_prefix(each)
                .is_some_and(|rest| rest.starts_with('/') && rest.ends_with(".rs"))
        });
        below && is_plain(path)
    };
    is_here(path) || path.split_once('/').is_some_and(|(_, rest)| is_here(rest))
}

/// Whether somebody would have put it there to change how the lab is built or run.
fn is_telling(path: &str) -> bool {
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

/// Opens what is a file, and never what a link leads to.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mode = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().read(true).custom_flags(mode.bits() as i32).open(path)
}

/// How many entries a zip archive's end says there are; `None` when they are too many for it to say.
fn zip_entries(bytes: &[u8]) -> Option<usize> {
    let from = bytes.len().saturating_sub(22 + 65_535);
    let end = bytes[from..].windows(4).rposition(|window| window == b"PK\x05\x06")? + from;
    let count = u16::from_le_bytes(bytes.get(end + 10..end + 12)?.try_into().ok()?);
    (count != u16::MAX).then_some(usize::from(count))
}

/// A stream that is an error to read beyond so many bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other("more comes out of the archive than a submission may have")
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
