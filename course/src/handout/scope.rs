//! What is handed out: a range of parts, and which of the students' crates are given to them solved.

use std::str::FromStr;

use labraft::Part;

/// A crate that students write.
pub(super) struct Crate {
    pub(super) name: &'static str,
    /// Its first and its last part.
    first: Part,
    last: Part,
}

impl Crate {
    const fn new(name: &'static str, first: Part, last: Part) -> Crate {
        Crate { name, first, last }
    }

    /// The part with which it begins.
    pub(super) fn begins(&self) -> Part {
        self.first
    }

    /// Its parts, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        let parts = self.first..=self.last;
        Part::COURSE.into_iter().filter(move |part| parts.contains(part))
    }
}

/// The crates that students write. Each is built on those before it.
pub(super) const CRATES: [Crate; 4] = [
    Crate::new("raft", Part::Raft2A, Part::Raft2G),
    Crate::new("kvraft", Part::Kv3A, Part::Kv3B),
    Crate::new("shardctrler", Part::Shard4A, Part::Shard4A),
    Crate::new("shardkv", Part::Shard4B, Part::Shard4C),
];
/// The files of the lab that only lab 4 needs: those with these names, and all in these directories.
const OF_LAB_4: [&str; 11] = [
    "docs/shards.md",
    "docs/stories/shards.png",
    "lab/src/view/page/shards.js",
    "lab/src/view/several_clusters.rs",
    "lab/src/view/shards.rs",
    "labraft/src/directory.rs",
    "labraft/src/shard_probe.rs",
    "labraft/src/shard_state.rs",
    "shardctrler/",
    "shardkv/",
    "tests/src/shards/",
];

/// A range of parts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) first: Part,
    pub(crate) last: Part,
    /// The last optional part that is handed out, after those before it: only where they are asked for.
    pub(crate) last_optional: Option<Part>,
}

impl Parts {
    /// Whether a part is in the range. The generated scenarios belong only to the whole course, with
    /// lab 4 or without.
    pub(crate) fn contain(self, part: Part) -> bool {
        match part {
            Part::Beyond | Part::Search => {
                self.first == Part::Raft2A && matches!(self.last, Part::Kv3B | Part::Shard4C)
            }
            part if part.is_optional() => {
                part >= self.first && self.last_optional.is_some_and(|last| part <= last)
            }
            part => (self.first..=self.last).contains(&part),
        }
    }

    /// The parts of the course in the range, in order.
    pub(crate) fn course(self) -> impl Iterator<Item = Part> {
        Part::COURSE.into_iter().filter(move |&part| self.contain(part))
    }

    /// Whether anything of lab 4 is in the range.
    pub(crate) fn has_lab_4(self) -> bool {
        self.last.is_sharded()
    }

    /// Whether a handout of these parts has the file at this path, if all parts together have it.
    pub(crate) fn have(self, path: &str) -> bool {
        let is_page_of =
            |part: &Part| path == format!("docs/course/{}.md", part.name().to_lowercase());
        let page = Part::COURSE.iter().find(|part| is_page_of(part));
        page.is_none_or(|&part| self.contain(part)) && (self.has_lab_4() || !is_of_lab_4(path))
    }
}

/// Labs 2 and 3.
impl Default for Parts {
    fn default() -> Parts {
        Parts { first: Part::Raft2A, last: Part::Kv3B, last_optional: None }
    }
}

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Parts, String> {
        let part = |name: &str| {
            let mut parts = Part::COURSE.into_iter();
            let found = parts.find(|part| part.name().eq_ignore_ascii_case(name));
            found.ok_or_else(|| {
                let known = Part::COURSE.map(Part::name).join(", ");
                format!("unknown part {name:?}; the parts are {known}")
            })
        };
        let (range, added) = match text.split_once('+') {
            Some((range, name)) => (range, Some(part(name)?)),
            None => (text, None),
        };
        if let Some(other) = added.filter(|part| !part.is_optional()) {
            let optional = Part::COURSE.into_iter().filter(|part| part.is_optional());
            let known: Vec<&str> = optional.map(Part::name).collect();
            return Err(format!(
                "{other} is not optional; what can be added is {}",
                known.join(", ")
            ));
        }
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let last_part = part(last)?;
        let last_optional = added.or(Some(last_part).filter(|part| part.is_optional()));
        let parts = Parts { first: part(first)?, last: last_part, last_optional };
        if parts.first > parts.last {
            return Err(format!("{first} comes after {last}: give the first part first"));
        }
        // The tests that are handed out are a range, too.
        if let Some(added) = added
            && !(parts.first <= added && parts.last >= Part::Raft2D)
        {
            return Err(format!(
                "{added} can be added only where Raft is handed out up to 2D, not to {range}"
            ));
        }
        Ok(parts)
    }
}

/// Whether only lab 4 needs the file at this path.
fn is_of_lab_4(path: &str) -> bool {
    OF_LAB_4.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// The parts that are handed out, and what they are built on.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) parts: Parts,
    /// Whether the crates of the parts before the first are handed out solved. Otherwise students put in
    /// their own.
    pub(crate) on_reference: bool,
}

impl Scope {
    /// The crates that are handed out solved.
    pub(crate) fn solved(self) -> impl Iterator<Item = &'static str> {
        let is_before = move |each: &&Crate| {
            let is_begun = each.first < self.parts.first;
            self.on_reference && is_begun && each.parts().all(|part| !self.parts.contain(part))
        };
        CRATES.iter().filter(is_before).map(|each| each.name)
    }

    /// Whether the file at this path belongs to a crate that is handed out solved.
    pub(crate) fn is_solved(self, path: &str) -> bool {
        self.solved().any(|name| path.split('/').next() == Some(name))
    }

    /// The crates that students write.
    pub(crate) fn written(self) -> impl Iterator<Item = &'static str> {
        let is_asked_for = move |each: &&Crate| each.first <= self.parts.last;
        let asked_for = CRATES.iter().filter(is_asked_for).map(|each| each.name);
        asked_for.filter(move |name| !self.is_solved(name))
    }

    /// Whether a crate is of the parts before the first, so that students who write it have it already.
    pub(crate) fn is_of_earlier_part(self, name: &str) -> bool {
        let is_before = |part: Part| part.is_optional() || part < self.parts.first;
        CRATES.iter().any(|each| each.name == name && each.parts().all(is_before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(parts: &str, on_reference: bool) -> Scope {
        Scope { parts: parts.parse().unwrap(), on_reference }
    }

    #[test]
    fn the_crates_of_earlier_parts_are_the_students_own_or_the_reference_s() {
        for (parts, on_reference, solved, written) in [
            ("2A..2D", false, "", "raft"),
            ("2A..3B", true, "", "raft kvraft"),
            ("3A", true, "raft", "kvraft"),
            ("4A", true, "raft kvraft", "shardctrler"),
            ("4A..4C", false, "", "raft kvraft shardctrler shardkv"),
            ("4A..4C", true, "raft kvraft", "shardctrler shardkv"),
            ("4B..4C", true, "raft kvraft shardctrler", "shardkv"),
            ("3B..4A", true, "raft", "kvraft shardctrler"),
            ("2E", true, "", "raft"),
            ("2F", true, "", "raft"),
            ("2A..3B+2E", true, "", "raft kvraft"),
            ("2A..3B+2F", true, "", "raft kvraft"),
            ("2A..3B+2G", true, "", "raft kvraft"),
        ] {
            let scope = scope(parts, on_reference);
            let joined = |names: Vec<&str>| names.join(" ");
            assert_eq!(joined(scope.solved().collect()), solved, "{parts}");
            assert_eq!(joined(scope.written().collect()), written, "{parts}");
        }
        assert!(scope("4A", true).is_solved("raft/src/peer.rs"));
        assert!(!scope("4A", true).is_solved("raftery/src/peer.rs"));
    }

    #[test]
    fn only_a_handout_with_lab_4_has_its_files() {
        for (path, in_lab_4, in_labs_2_and_3) in [
            ("shardkv/src/lib.rs", true, false),
            ("tests/src/shards/mod.rs", true, false),
            ("docs/shards.md", true, false),
            ("docs/stories/shards.png", true, false),
            ("docs/course/4a.md", true, false),
            ("docs/course/2a.md", false, true),
            ("tests/src/suite.rs", true, true),
        ] {
            assert_eq!(scope("4A..4C", false).parts.have(path), in_lab_4, "{path}");
            assert_eq!(Parts::default().have(path), in_labs_2_and_3, "{path}");
        }
    }

    #[test]
    fn an_optional_part_comes_with_those_before_it() {
        for (parts, optional) in [
            ("2A..2D", ""),
            ("2A..3B", ""),
            ("2A..2E", "2E"),
            ("2A..2F", "2E 2F"),
            ("2F", "2F"),
            ("2A..3B+2E", "2E"),
            ("2A..4C+2F", "2E 2F"),
            ("2A..3B+2G", "2E 2F 2G"),
        ] {
            let parts = scope(parts, false).parts;
            let found = parts.course().filter(|part| part.is_optional()).map(Part::name);
            assert_eq!(found.collect::<Vec<_>>().join(" "), optional, "{parts:?}");
        }
        for (parts, hint) in [
            ("2A..3B+2D", "what can be added is 2E, 2F, 2G"),
            ("3A..3B+2F", "2F can be added only where Raft is handed out up to 2D, not to 3A..3B"),
        ] {
            let error = parts.parse::<Parts>().unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn the_generated_scenarios_belong_to_the_whole_course() {
        let has = |parts: &str| scope(parts, false).parts.contain(Part::Beyond);
        assert!(has("2A..3B") && has("2A..4C"));
        assert!(!has("2A..4A") && !has("4A..4C") && !has("2A..2D"));
    }
}
