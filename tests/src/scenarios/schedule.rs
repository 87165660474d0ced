//! What a schedule of faults consists of, and how it is drawn from the seed.

use std::time::Duration;

use labrpc::Dice;

/// The shortest time for which a schedule leaves the cluster alone before each step.
const SHORTEST_QUIET: Duration = Duration::from_millis(80);
/// The longest such time is one of these multiples of the shortest, the same for the whole run.
const LONGEST_QUIET_FACTORS: [u32; 3] = [4, 8, 12];
/// The shortest and the longest time that the other servers get to elect a new leader after theirs
/// was stranded or deposed.
pub(super) const REPLACEMENT: [Duration; 2] =
    [Duration::from_millis(400), Duration::from_millis(1000)];
/// The shortest and the longest time that a replaced leader is connected again before the next
/// leader is deposed. This is long enough for the old leader to learn of the new term.
const RETURN: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(160)];

/// A step of a schedule.
pub(super) enum Step {
    Crash(Victim),
    /// Starts all servers that are down, and connects all.
    StartAll,
    CutOff(Victim),
    /// Cuts every link between the first group and the second. Links within a group stay as they
    /// are.
    Partition(Vec<usize>, Vec<usize>),
    ConnectAll,
    /// Connects all servers, and cuts off the leader.
    Depose,
    /// Connects all servers, then cuts off the leader together with the first of the listed
    /// servers. Together these are half of the cluster, rounded down.
    Strand(Vec<usize>),
}

/// The server that a step applies to.
#[derive(Copy, Clone)]
pub(super) enum Victim {
    Server(usize),
    /// The server that leads at that moment. If none does, the step has no effect.
    Leader,
}

impl Victim {
    /// The leader in half of all cases, because most of what can go wrong begins with one.
    fn draw(dice: &Dice, n: usize) -> Victim {
        let drawn = dice.below(2 * n as u64) as usize;
        if drawn < n { Victim::Server(drawn) } else { Victim::Leader }
    }
}

/// Which kinds of faults a run's schedule contains. Each kind is left out of half of all runs, so
/// that every combination comes up.
pub(super) struct ScheduleMix {
    crashes: bool,
    cuts: bool,
    partitions: bool,
    depositions: bool,
    leadership_churn: bool,
    /// The longest time for which the cluster is left alone before a step.
    longest_quiet: Duration,
}

impl ScheduleMix {
    pub(super) fn draw(dice: &Dice) -> ScheduleMix {
        // The order of the fields is the order of the draws.
        ScheduleMix {
            crashes: draw_bool(dice),
            cuts: draw_bool(dice),
            partitions: draw_bool(dice),
            depositions: draw_bool(dice),
            leadership_churn: draw_bool(dice),
            longest_quiet: LONGEST_QUIET_FACTORS[dice.below(3) as usize] * SHORTEST_QUIET,
        }
    }

    /// The next steps, each with how long the cluster is left alone before it.
    pub(super) fn draw_steps(&self, dice: &Dice, n: usize) -> Vec<(Duration, Step)> {
        let quiet = dice.span(SHORTEST_QUIET, self.longest_quiet);
        if self.leadership_churn && dice.below(3) == 0 {
            return draw_leadership_churn(dice, n, quiet);
        }
        vec![(quiet, self.draw_step(dice, n))]
    }

    /// Draws one step. If this mix does not have steps of its kind, it becomes [`Step::StartAll`].
    fn draw_step(&self, dice: &Dice, n: usize) -> Step {
        let victim = Victim::draw(dice, n);
        match dice.below(8) {
            0 | 1 if self.crashes => Step::Crash(victim),
            2 if self.cuts => Step::CutOff(victim),
            3 if self.partitions => draw_partition(dice, n),
            4 | 5 if self.depositions => Step::Depose,
            6 => Step::ConnectAll,
            _ => Step::StartAll,
        }
    }
}

/// Assigns each server to one of two groups, either of which may stay empty.
fn draw_partition(dice: &Dice, n: usize) -> Step {
    let (one, other) = (0..n).partition(|_| dice.below(2) == 0);
    Step::Partition(one, other)
}

/// Replaces a leader while only a minority follows it, and soon afterwards its successor too. The
/// server that is elected then may have led before, and whatever it remembers or still receives
/// from its first term as leader is out of date.
fn draw_leadership_churn(dice: &Dice, n: usize, quiet: Duration) -> Vec<(Duration, Step)> {
    vec![
        (quiet, Step::Strand(draw_order(dice, n))),
        (draw_span(dice, REPLACEMENT), Step::ConnectAll),
        (draw_span(dice, RETURN), Step::Depose),
        (draw_span(dice, REPLACEMENT), Step::ConnectAll),
    ]
}

pub(super) fn draw_span(dice: &Dice, [shortest, longest]: [Duration; 2]) -> Duration {
    dice.span(shortest, longest)
}

/// Returns true in half of all cases.
pub(super) fn draw_bool(dice: &Dice) -> bool {
    dice.below(2) == 1
}

/// Draws the number of servers. Five and seven are twice as likely as three and four, because more
/// can go wrong among them.
pub(super) fn draw_cluster_size(dice: &Dice) -> usize {
    [3, 4, 5, 5, 7, 7][dice.below(6) as usize]
}

/// The servers `0..n` in a random order.
pub(super) fn draw_order(dice: &Dice, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, dice.below(last as u64 + 1) as usize);
    }
    order
}
