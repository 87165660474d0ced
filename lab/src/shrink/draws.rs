//! Random subsets of the decisions.

use labrpc::Taken;

use super::blocks::By;

/// How the decisions of a subset are chosen.
#[derive(Copy, Clone, Debug)]
enum Way {
    /// Keeps each block with this probability, in 64ths.
    Blocks(By, u64),
    /// Keeps the latest decisions only: at most this share of them, in 64ths.
    Latest(u64),
}

/// The divisions into blocks that subsets are made of.
const DIVISIONS: [By; 6] = [By::Kind, By::Server, By::Parties, By::Second, By::Instant, By::Single];
/// The shares of blocks that are kept. Where the failure depends on everything that came before it, any
/// change is a throw of the dice; then few large steps are better than many small ones.
const BLOCKS_KEPT: [u64; 4] = [8, 32, 48, 60];
/// The shares of the run, up to its end, that are kept.
const LATEST_KEPT: [u64; 3] = [6, 20, 50];

/// A way, and how it has done so far.
#[derive(Copy, Clone, Debug)]
struct Record {
    way: Way,
    runs: u64,
    /// How often it has halved the set.
    halvings: f64,
}

impl Record {
    fn new(way: Way) -> Record {
        Record { way, runs: 0, halvings: 0.0 }
    }

    /// The halvings to be expected of a run. A way that has not been tried much is trusted a little.
    fn worth(&self) -> f64 {
        (self.halvings + 0.5) / (self.runs + 1) as f64
    }
}

/// Draws subsets, most often in those ways that have made the set smaller before.
pub(super) struct Draws {
    dice: Dice,
    records: Vec<Record>,
    /// The place of the last way in the records.
    last: usize,
}

impl Draws {
    /// Draws of another `salt` are others.
    pub(super) fn new(salt: u64) -> Draws {
        let blocks = DIVISIONS.into_iter().flat_map(|by| BLOCKS_KEPT.map(|n| Way::Blocks(by, n)));
        let ways = LATEST_KEPT.map(Way::Latest).into_iter().chain(blocks);
        Draws { dice: Dice::new(salt), records: ways.map(Record::new).collect(), last: 0 }
    }

    /// Draws a subset of the decisions.
    pub(super) fn subset(&mut self, decisions: &[Taken]) -> Vec<Taken> {
        let worth = |place: &usize| self.records[*place].worth();
        let best = |a: &usize, b: &usize| worth(a).total_cmp(&worth(b)).then(b.cmp(a));
        self.last = (0..self.records.len()).max_by(best).unwrap_or(0);
        self.records[self.last].runs += 1;
        let dice = self.dice.throw();
        match self.records[self.last].way {
            Way::Blocks(by, kept) => {
                let is_kept = |taken: &&Taken| dice.below(by.block_of(taken).0, 64) < kept;
                decisions.iter().filter(is_kept).copied().collect()
            }
            Way::Latest(kept) => {
                let most = (decisions.len() as u64 * kept).div_ceil(64);
                let left = dice.below([0; 4], most + 1) as usize;
                decisions[decisions.len() - left..].to_vec()
            }
        }
    }

    /// Notes that the run failed with the last subset, and how far it has reduced the decisions.
    pub(super) fn succeeded(&mut self, before: usize, after: usize) {
        self.records[self.last].halvings += ((before + 1) as f64 / (after + 1) as f64).log2();
    }
}

/// Dice that show the same numbers on every machine.
#[derive(Copy, Clone, Debug)]
pub(super) struct Dice {
    count: u64,
}

impl Dice {
    /// Dice of another `salt` show other numbers.
    pub(super) fn new(salt: u64) -> Dice {
        Dice { count: salt << 32 }
    }

    /// The dice for the next throw.
    pub(super) fn throw(&mut self) -> Dice {
        self.count += 1;
        *self
    }

    /// A number below `bound` for this subject; the same for the same throw and subject.
    pub(super) fn below(self, subject: [u64; 4], bound: u64) -> u64 {
        let [a, b, c, d] = subject;
        let place = [self.count, a, b, c, d].map(u64::to_le_bytes).concat();
        labrpc::hash_bytes(&place) % bound
    }
}
