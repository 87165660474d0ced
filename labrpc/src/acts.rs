//! Acts: what somebody does to a running world from outside, at a time of their choice.
//!
//! A random decision has an address, and a [`RunSpec`](crate::RunSpec) can override it. An act has a time
//! instead, because nothing in the run asks for it: a crash at 1.2 s, a cut link, a clock that leaps ahead.
//! Both together say all that makes a run differ from what its seed gives.
//!
//! Acts are known from the beginning of a run, so nothing has to be changed when their time comes: pauses and
//! clocks are looked up ([`Foreseen`]). Only what needs the servers themselves, such as a crash, is carried
//! out by the harness.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The latest time of an act, and the longest span in one: more than any run takes.
const LONGEST: Duration = Duration::from_secs(3600);
/// The highest rate of a clock, in thousandths of the true one.
const HIGHEST_RATE: u32 = 100_000;

/// Something that is done to the world at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// The virtual time since the start of the run.
    pub at: Duration,
    /// What is done.
    pub deed: Deed,
}

/// What an act does. Servers are given by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A server crashes. It stays down until something starts it.
    Crash(usize),
    /// A server starts from what it has saved; if it is running, it crashes first.
    Restart(usize),
    /// A server's timers and messages wait for a while.
    Pause(usize, Duration),
    /// A server's clock leaps ahead, so that all of its timers fire earlier.
    Leap(usize, Duration),
    /// A server's clock stands still for a while, so that all of its timers fire later.
    Stand(usize, Duration),
    /// A server's clock runs at this many thousandths of the true rate from now on.
    Rate(usize, u32),
    /// The link from one server to another loses everything, in this direction.
    Cut(usize, usize),
    /// The link from one server to another is open again, in this direction.
    Heal(usize, usize),
    /// Servers of different groups cannot reach each other, those of one group can. A server in no group
    /// is alone.
    Partition(Vec<Vec<usize>>),
    /// All further random decisions come from this seed.
    Luck(u64),
    /// A command is proposed to a server. Only a world without a test's script takes commands.
    Command(usize, String),
    /// Nothing is done; but a world without a test's script goes on until then.
    Wait,
}

impl Deed {
    /// Whether it proposes a command.
    pub fn is_command(&self) -> bool {
        matches!(self, Deed::Command(..))
    }
}

impl Act {
    /// The servers that the act names.
    pub fn servers(&self) -> Vec<usize> {
        match &self.deed {
            Deed::Crash(server)
            | Deed::Restart(server)
            | Deed::Pause(server, _)
            | Deed::Leap(server, _)
            | Deed::Stand(server, _)
            | Deed::Rate(server, _)
            | Deed::Command(server, _) => vec![*server],
            Deed::Cut(from, to) | Deed::Heal(from, to) => vec![*from, *to],
            Deed::Partition(groups) => groups.concat(),
            Deed::Luck(_) | Deed::Wait => Vec::new(),
        }
    }
}

/// A span in seconds, with as many digits as it needs.
fn seconds(span: Duration) -> String {
    let text = format!("{}.{:09}", span.as_secs(), span.subsec_nanos());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let text = text.strip_suffix('s')?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: u32 = format!("{part:0<9}").parse().ok()?;
    let span = Duration::new(whole.parse().ok()?, nanoseconds);
    (span <= LONGEST).then_some(span)
}

impl Deed {
    /// The deed as [`Display`](fmt::Display) writes it, with names for servers.
    pub fn told(&self, name_of: &dyn Fn(usize) -> String) -> String {
        let name = |server: &usize| name_of(*server);
        let way = |from: &usize, to: &usize| format!("{}->{}", name(from), name(to));
        match self {
            Deed::Crash(server) => format!("crash {}", name(server)),
            Deed::Restart(server) => format!("restart {}", name(server)),
            Deed::Pause(server, span) => format!("pause {} {}", name(server), seconds(*span)),
            Deed::Leap(server, span) => format!("leap {} {}", name(server), seconds(*span)),
            Deed::Stand(server, span) => format!("stand {} {}", name(server), seconds(*span)),
            Deed::Rate(server, rate) => format!("rate {} {rate}", name(server)),
            Deed::Cut(from, to) => format!("cut {}", way(from, to)),
            Deed::Heal(from, to) => format!("heal {}", way(from, to)),
            Deed::Partition(groups) => {
                let words =
                    |group: &Vec<usize>| group.iter().map(name).collect::<Vec<_>>().join(" ");
                let groups: Vec<String> = groups.iter().map(words).collect();
                format!("partition {}", groups.join(" | "))
            }
            Deed::Luck(seed) => format!("luck {seed}"),
            Deed::Command(server, command) => format!("command {} {command}", name(server)),
            Deed::Wait => "wait".into(),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(&|server| server.to_string()))
    }
}

/// Writes the time and the deed, as in `1.204s crash 1`.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", seconds(self.at), self.deed)
    }
}

fn parse_deed(text: &str) -> Option<Deed> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let server = || rest.parse().ok();
    let with_span = || {
        let (server, span) = rest.split_once(' ')?;
        Some((server.parse().ok()?, parse_seconds(span)?))
    };
    let link = || {
        let (from, to) = rest.split_once("->")?;
        let from = from.parse().ok()?;
        let to = to.parse().ok()?;
        (from != to).then_some((from, to))
    };
    Some(match verb {
        "crash" => Deed::Crash(server()?),
        "restart" => Deed::Restart(server()?),
        "pause" => with_span().map(|(server, span)| Deed::Pause(server, span))?,
        "leap" => with_span().map(|(server, span)| Deed::Leap(server, span))?,
        "stand" => with_span().map(|(server, span)| Deed::Stand(server, span))?,
        "rate" => {
            let (server, rate) = rest.split_once(' ')?;
            let rate = rate.parse().ok().filter(|rate| (1..=HIGHEST_RATE).contains(rate))?;
            Deed::Rate(server.parse().ok()?, rate)
        }
        "cut" => link().map(|(from, to)| Deed::Cut(from, to))?,
        "heal" => link().map(|(from, to)| Deed::Heal(from, to))?,
        "partition" => Deed::Partition(parse_groups(rest)?),
        "luck" => Deed::Luck(rest.parse().ok()?),
        "command" => {
            let (server, command) = rest.split_once(' ')?;
            Deed::Command(server.parse().ok()?, command.into())
        }
        "wait" if rest.is_empty() => Deed::Wait,
        _ => return None,
    })
}

fn parse_groups(text: &str) -> Option<Vec<Vec<usize>>> {
    let group = |text: &str| {
        text.split_whitespace().map(|server| server.parse().ok()).collect::<Option<Vec<usize>>>()
    };
    let groups = text.split('|').map(group).collect::<Option<Vec<_>>>()?;
    let mut servers = groups.concat();
    servers.sort_unstable();
    let is_each_once = servers.windows(2).all(|two| two[0] != two[1]);
    is_each_once.then_some(groups)
}

/// Parses the form that [`Display`](fmt::Display) writes.
impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Act, String> {
        let parse = || {
            let (at, deed) = text.split_once(' ')?;
            Some(Act { at: parse_seconds(at)?, deed: parse_deed(deed)? })
        };
        parse().ok_or_else(|| {
            format!(
                "{text:?} is not an act, such as \"1.2s crash 1\", \"1.2s restart 1\", \"1.2s pause 1 \
                 0.25s\", \"1.2s leap 1 0.1s\", \"1.2s stand 1 0.1s\", \"1.2s rate 1 1200\", \"1.2s cut \
                 0->1\", \"1.2s heal 0->1\", \"1.2s partition 0 1 | 2\", \"1.2s luck 7\", \"1.2s command 1 \
                 x\" or \"3s wait\"; times are at most 3600s"
            )
        })
    }
}

impl Serialize for Act {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Act {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Act, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A stretch of a clock that runs at one rate.
#[derive(Copy, Clone, Debug)]
struct Stretch {
    /// The true time at which it begins, in nanoseconds.
    from: u64,
    /// What the clock shows then.
    shown: u64,
    /// Thousandths of the true rate; 0 if the clock stands still.
    rate: u32,
}

/// What acts do to the clock of one server: a clock on top of the server's own, whose readings it takes as
/// the true time.
#[derive(Debug)]
pub(crate) struct BentClock(Vec<Stretch>);

impl BentClock {
    /// `deeds` are the acts on this clock in the order of time.
    fn new(deeds: &[(u64, Deed)]) -> BentClock {
        let mut clock = BentClock(vec![Stretch { from: 0, shown: 0, rate: 1000 }]);
        let mut rate = 1000;
        // The end of a standstill that is not over yet.
        let mut stands_until = None;
        for (at, deed) in deeds {
            clock.go_on_after(&mut stands_until, *at, rate);
            let shown = clock.shown(*at);
            match deed {
                Deed::Leap(_, span) => {
                    let now = if stands_until.is_some() { 0 } else { rate };
                    clock.0.push(Stretch {
                        from: *at,
                        shown: shown + nanoseconds(*span),
                        rate: now,
                    });
                }
                Deed::Stand(_, span) => {
                    clock.0.push(Stretch { from: *at, shown, rate: 0 });
                    let end = at + nanoseconds(*span);
                    stands_until = Some(stands_until.map_or(end, |until: u64| until.max(end)));
                }
                Deed::Rate(_, new) => {
                    rate = *new;
                    let now = if stands_until.is_some() { 0 } else { rate };
                    clock.0.push(Stretch { from: *at, shown, rate: now });
                }
                _ => {}
            }
        }
        clock.go_on_after(&mut stands_until, u64::MAX, rate);
        clock
    }

    /// Ends a standstill that is over by `now`.
    fn go_on_after(&mut self, stands_until: &mut Option<u64>, now: u64, rate: u32) {
        if let Some(end) = stands_until.take_if(|end| *end <= now) {
            let shown = self.shown(end);
            self.0.push(Stretch { from: end, shown, rate });
        }
    }

    /// What the clock shows at a time.
    pub(crate) fn shown(&self, time: u64) -> u64 {
        let next = self.0.partition_point(|stretch| stretch.from <= time);
        self.0[next - 1].shown_at(time)
    }

    /// The first time at which the clock shows `shown` or more.
    pub(crate) fn time_of(&self, shown: u64) -> u64 {
        for (i, stretch) in self.0.iter().enumerate() {
            if shown <= stretch.shown {
                return stretch.from;
            }
            let end = self.0.get(i + 1).map_or(u64::MAX, |next| next.from);
            if let Some(time) = stretch.time_of(shown)
                && time < end
            {
                return time;
            }
        }
        u64::MAX
    }
}

impl Stretch {
    fn shown_at(&self, time: u64) -> u64 {
        let passed = u128::from(time - self.from) * u128::from(self.rate) / 1000;
        self.shown.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn time_of(&self, shown: u64) -> Option<u64> {
        let left = u128::from(shown - self.shown) * 1000;
        let passed = left.checked_add(u128::from(self.rate) - u128::from(self.rate.min(1)))?;
        let passed = passed.checked_div(u128::from(self.rate))?;
        u64::try_from(passed).ok()?.checked_add(self.from)
    }
}

fn nanoseconds(span: Duration) -> u64 {
    span.as_nanos() as u64
}

/// What can be said of a run's acts before it begins: when servers pause, and what their clocks show.
#[derive(Debug, Default)]
pub(crate) struct Foreseen {
    /// For each server, its pauses as true times, in the order of their beginnings.
    pauses: BTreeMap<usize, Vec<(Duration, Duration)>>,
    clocks: BTreeMap<usize, Rc<BentClock>>,
}

impl Foreseen {
    /// `acts` must be in the order of time.
    pub(crate) fn new(acts: &[Act]) -> Foreseen {
        let mut foreseen = Foreseen::default();
        let mut deeds: BTreeMap<usize, Vec<(u64, Deed)>> = BTreeMap::new();
        for Act { at, deed } in acts {
            match deed {
                Deed::Pause(server, span) => {
                    foreseen.pauses.entry(*server).or_default().push((*at, *at + *span));
                }
                Deed::Leap(server, _) | Deed::Stand(server, _) | Deed::Rate(server, _) => {
                    deeds.entry(*server).or_default().push((nanoseconds(*at), deed.clone()));
                }
                _ => {}
            }
        }
        let clocks = deeds.iter().map(|(server, deeds)| (*server, BentClock::new(deeds).into()));
        foreseen.clocks = clocks.collect();
        foreseen
    }

    /// Whether no server is ever paused by an act.
    #[inline]
    pub(crate) fn has_no_pauses(&self) -> bool {
        self.pauses.is_empty()
    }

    /// Postpones something that is due at a server at `time` to the end of the pauses that it falls into.
    pub(crate) fn after_pause(&self, server: usize, time: Duration) -> Duration {
        let pauses = self.pauses.get(&server).map_or(&[][..], Vec::as_slice);
        pauses.iter().fold(
            time,
            |time, &(from, to)| {
                if from <= time && time < to { to } else { time }
            },
        )
    }

    /// The clock of a server, if acts change it.
    pub(crate) fn clock(&self, server: usize) -> Option<Rc<BentClock>> {
        self.clocks.get(&server).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Act {
        text.parse().unwrap()
    }

    #[test]
    fn an_act_is_parsed_as_it_is_written() {
        for text in [
            "1.204s crash 1",
            "0s restart 0",
            "1.000000001s pause 2 0.25s",
            "3600s leap 1 0.1s",
            "1s stand 1 10s",
            "1s rate 1 1200",
            "1s cut 0->1",
            "1s heal 1->0",
            "1s partition 0 1 | 2",
            "1s luck 18446744073709551615",
            "1s command 1 x = y",
            "3s wait",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_act_is_quoted_in_the_error() {
        for text in [
            "",
            "crash 1",
            "1s",
            "1s crash",
            "1s crash x",
            "1s cut 1->1",
            "1s cut 1",
            "1s pause 1",
            "1s rate 1 0",
            "3601s wait",
            "1.0000000001s wait",
            "1s partition 0 | 0",
            "1s dance 1",
            "-1s wait",
            "1.-1s wait",
            "1.s wait",
        ] {
            let error = text.parse::<Act>().unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_bent_clock_shows_each_time_at_the_first_moment_that_it_has_come() {
        let deeds = |texts: &[&str]| -> Vec<(u64, Deed)> {
            let acts = texts.iter().map(|text| parsed(text));
            acts.map(|act| (nanoseconds(act.at), act.deed)).collect()
        };
        let second = 1_000_000_000;
        let leap = BentClock::new(&deeds(&["1s leap 0 0.5s"]));
        assert_eq!((leap.shown(second - 1), leap.shown(second)), (second - 1, 3 * second / 2));
        assert_eq!(leap.time_of(second * 5 / 4), second, "what was skipped is due at the leap");
        assert_eq!(leap.time_of(second * 2), second * 3 / 2);
        let stand = BentClock::new(&deeds(&["1s stand 0 0.5s"]));
        assert_eq!(stand.shown(second * 5 / 4), second);
        assert_eq!(stand.time_of(second + 1), second * 3 / 2 + 1);
        let fast = BentClock::new(&deeds(&["1s rate 0 2000", "2s rate 0 500"]));
        assert_eq!((fast.shown(second * 3 / 2), fast.shown(second * 4)), (2 * second, 4 * second));
        assert_eq!(fast.time_of(2 * second), second * 3 / 2);
        assert_eq!(fast.time_of(4 * second), second * 4);
        let both = BentClock::new(&deeds(&["1s stand 0 1s", "1.5s leap 0 2s"]));
        assert_eq!(both.time_of(2 * second), second * 3 / 2, "a leap during a standstill");
        assert_eq!(both.shown(2 * second), 3 * second);
        assert_eq!(both.shown(3 * second), 4 * second);
    }

    #[test]
    fn what_is_due_in_a_pause_waits_for_its_end() {
        let acts = [parsed("1s pause 1 0.5s"), parsed("1.2s pause 1 0.6s")];
        let foreseen = Foreseen::new(&acts);
        let after = |ms| foreseen.after_pause(1, Duration::from_millis(ms)).as_millis();
        assert_eq!([after(999), after(1000), after(1700), after(1800)], [999, 1800, 1800, 1800]);
        assert_eq!(foreseen.after_pause(0, Duration::from_secs(1)), Duration::from_secs(1));
    }
}
