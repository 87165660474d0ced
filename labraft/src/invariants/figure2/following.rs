//! Rules for what a server does to its log and its commit index because a leader says so (figure 2,
//! AppendEntries RPC, receiver; figure 13, InstallSnapshot RPC, receiver).

use super::case::Case;
use super::debts::Debt;
use crate::message::RaftMessage;
use crate::property::{Holds, Property};
use crate::raft::Role;

pub(super) fn check(case: &mut Case<'_>) {
    let step = case.step;
    let leads = step.now.role == Role::Leader;
    if !step.is_first && step.now.first_index > step.before.first_index {
        let checked = check_installed(case);
        if checked.is_err() {
            return case.note(checked);
        }
    }
    if step.is_first || leads && step.still_leads() {
        return;
    }
    if step.log_change.is_some() {
        check_removed(case);
        check_written(case);
    }
    let may_have_led = leads || step.before.role == Role::Leader;
    if step.now.commit_index > step.before.commit_index && !may_have_led {
        check_commit_index(case);
    }
}

/// "Reply immediately if term < currentTerm" (InstallSnapshot, receiver 1). Beyond its commit index a server has no
/// snapshot of its own service: it is a leader's.
fn check_installed(case: &Case<'_>) -> Holds {
    let step = case.step;
    let covered = step.now.first_index - 1;
    let is_own = covered <= step.before.commit_index;
    let is_sent = case.memory.snapshot_read.is_some_and(|(index, _)| index >= covered);
    match case.memory.stale_snapshot {
        Some((index, term)) if index == covered && !is_own && !is_sent => {
            let what = format!(
                "installs the snapshot up to {covered} of a leader of term {term}, which is lower than its own"
            );
            step.breaks(Property::InstallSnapshot1, None, what)
        }
        _ => Ok(()),
    }
}

/// The fields of an AppendEntries request that the log is compared with.
#[derive(Copy, Clone)]
struct Append<'a> {
    term: u64,
    prev_log_index: u64,
    prev_log_term: u64,
    entry_terms: &'a [u64],
    leader_commit: u64,
}

impl<'a> Append<'a> {
    fn of(message: &'a RaftMessage) -> Option<Append<'a>> {
        let &RaftMessage::AppendEntries {
            term,
            prev_log_index,
            prev_log_term,
            ref entry_terms,
            leader_commit,
            ..
        } = message
        else {
            return None;
        };
        Some(Append { term, prev_log_index, prev_log_term, entry_terms, leader_commit })
    }

    fn last_index(self) -> u64 {
        self.prev_log_index.saturating_add(self.entry_terms.len() as u64)
    }

    /// The term of the entry at an index, as the request says: that of the entry before the new ones, or
    /// of a new one.
    fn term_at(self, index: u64) -> Option<u64> {
        if index == self.prev_log_index {
            return Some(self.prev_log_term);
        }
        let place = index.checked_sub(self.prev_log_index.checked_add(1)?)?;
        self.entry_terms.get(place as usize).copied()
    }
}

/// The AppendEntries requests that the server may act on, the latest first.
fn appends<'a>(case: &'a Case<'_>) -> impl Iterator<Item = Append<'a>> {
    let messages = case.messages;
    let marks = case.memory.appends.iter().rev();
    let read = marks.filter_map(move |read| messages.get(read.mark));
    read.flat_map(RaftMessage::parts).filter_map(Append::of)
}

/// "If an existing entry conflicts with a new one (same index but different terms), delete the existing
/// entry and all that follow it" (AppendEntries, receiver 3), and nothing else does. A snapshot replaces
/// the log if its last entry is not in the log (InstallSnapshot, receiver 6 and 7).
fn check_removed(case: &mut Case<'_>) {
    let step = case.step;
    let Some((index, old_term)) = step.log_change.and_then(|change| change.replaced) else {
        return;
    };
    let conflicts = |append: Append<'_>| append.term_at(index).is_some_and(|term| term != old_term);
    if appends(case).any(conflicts) || case.memory.has_forgotten_appends(step.at) {
        return;
    }
    let (before, now) = (step.before, step.now);
    let is_installed = now.first_index > before.first_index && case.memory.snapshot_read.is_some();
    if !is_installed {
        let what = format!(
            "removed its entry {index} of term {old_term}, though no leader has sent another entry for \
             that index"
        );
        return case.note(step.breaks(Property::AppendEntries3, None, what));
    }
    let covered = now.first_index - 1;
    let covered_term = step.log.term_at(covered);
    let fits = (before.first_index..=before.last_index).contains(&covered)
        && covered_term.is_some()
        && step.log.forgotten_term(covered) == covered_term;
    if fits {
        let what = format!(
            "removed its entry {index} of term {old_term}, which follows a snapshot up to {covered} that its \
             log agrees with"
        );
        case.note(step.breaks(Property::InstallSnapshot6, None, what));
    }
}

/// A follower's new entries are those that a leader has sent (AppendEntries, receiver 4), after an entry
/// that it has (receiver 2).
fn check_written(case: &mut Case<'_>) {
    let step = case.step;
    let Some(mut index) = step.log_change.and_then(|change| change.first_new) else { return };
    if case.memory.has_forgotten_appends(step.at) {
        return;
    }
    let own_term = case.memory.reign.as_ref().map(|reign| reign.term);
    while index <= step.now.last_index {
        let Some(term) = step.log.term_at(index) else { return };
        let mut mismatch = None;
        let mut next = None;
        for append in appends(case) {
            let holds = index > append.prev_log_index && append.term_at(index) == Some(term);
            if !holds {
                continue;
            }
            if step.has(append.prev_log_index, append.prev_log_term) == Some(false) {
                mismatch = Some(append.prev_log_index);
                continue;
            }
            // As far as the log is what this request says, nothing else needs to be found.
            let agrees =
                |&i: &u64| append.term_at(i).is_some() && append.term_at(i) == step.log.term_at(i);
            next =
                Some((index..=step.now.last_index).take_while(agrees).last().unwrap_or(index) + 1);
            break;
        }
        if let Some(next) = next {
            index = next;
            continue;
        }
        if own_term == Some(term) {
            // It led that term, and appended the entry itself.
            index += 1;
            continue;
        }
        let (rule, what) = match mismatch {
            Some(prev) => (
                Property::AppendEntries2,
                format!(
                    "took entry {index} of term {term} although its log has another entry {prev} than the leader's"
                ),
            ),
            None => (
                Property::AppendEntries4,
                format!(
                    "has a new entry {index} of term {term}, which no leader of its term has sent it"
                ),
            ),
        };
        return case.note(step.breaks(rule, None, what));
    }
}

/// "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)"
/// (AppendEntries, receiver 5).
fn check_commit_index(case: &mut Case<'_>) {
    let step = case.step;
    let index = step.now.commit_index;
    let by_snapshot = case.memory.snapshot_read.is_some_and(|(covered, _)| covered >= index);
    let by_append = |append: Append<'_>| {
        let last_index = append.last_index();
        let last_term = append.term_at(last_index).unwrap_or(0);
        append.leader_commit.min(last_index) >= index
            && step.has(last_index, last_term) != Some(false)
    };
    let by_word = |&(committed, term): &(u64, u64)| {
        committed >= index && step.has(committed, term) == Some(true)
    };
    let is_allowed = case.memory.may_commit >= index
        || by_snapshot
        || has_majority(case, index)
        || case.memory.committed.iter().any(by_word)
        || appends(case).any(by_append);
    if !is_allowed && !case.memory.has_forgotten_appends(step.at) {
        let what = format!(
            "committed up to {index}; what its leaders have sent and committed, and its log has, ends at {}",
            case.memory.may_commit
        );
        case.note(step.breaks(Property::AppendEntries5, None, what));
    }
}

/// Whether a majority had the entry at an index, or a later one of the same term, when the server last led: what it
/// committed then may show only now.
fn has_majority(case: &Case<'_>, index: u64) -> bool {
    let step = case.step;
    let Some(reign) = &case.memory.reign else { return false };
    // What followed may have been removed since: a leader's entries after one of its term are of its term.
    let is_of_reign = |at: u64| step.log.term_at(at) == Some(reign.term);
    let is_counted = |at: u64| at >= index && (is_of_reign(at) || is_of_reign(index));
    let others = reign
        .acknowledged
        .iter()
        .enumerate()
        .filter(|&(other, &at)| other != step.server && is_counted(at));
    is_counted(step.now.last_index) && step.is_majority(others.count() + 1)
}

/// A server answers a leader. In a call, `request` is what it answers.
pub(super) fn check_answer(
    case: &mut Case<'_>,
    message: &RaftMessage,
    request: Option<(u64, &RaftMessage)>,
    to: usize,
) {
    let step = case.step;
    match (message, request) {
        (&RaftMessage::AppendEntriesReply { success, term, .. }, Some((mark, request))) => {
            let Some(append) = Append::of(request) else { return };
            if append.term >= step.before.term && term == append.term {
                case.memory.leader_answered = Some((step.at, to));
            }
            if success {
                check_success(case, message, mark, append, to);
            } else {
                check_refusal(case, message, mark, append, to);
            }
            case.memory.answered_append(mark);
        }
        (
            &RaftMessage::AppendEntriesReply { success: true, match_index: Some(index), term },
            None,
        ) if index > step.now.last_index && !was_there(case, term, index) => {
            let about = Some((message, to));
            let what = format!("acknowledges entry {index}, which its log does not have");
            case.note(step.breaks(Property::AppendEntries2, about, what));
        }
        (&RaftMessage::InstallSnapshotReply { term }, Some((_, request)))
            if request.term() >= step.before.term && term == request.term() =>
        {
            case.memory.leader_answered = Some((step.at, to));
        }
        _ => {}
    }
}

/// Whether an entry that this term's leader had sent may have been in the log and is gone again: in the same step the
/// server has then moved on to a later term, whose leader has had it removed.
fn was_there(case: &Case<'_>, term: u64, index: u64) -> bool {
    let had_it = |append: Append<'_>| append.term == term && append.last_index() >= index;
    term < case.step.now.term && (case.step.before.last_index >= index || appends(case).any(had_it))
}

fn check_success(
    case: &mut Case<'_>,
    message: &RaftMessage,
    mark: u64,
    append: Append<'_>,
    to: usize,
) {
    let step = case.step;
    let about = Some((message, to));
    let was_stale = case.memory.appends.iter().all(|read| read.mark != mark);
    if append.term < step.before.term && was_stale && !case.memory.has_forgotten_appends(step.at) {
        let what = format!(
            "accepts entries of a leader of term {}, which is lower than its own",
            append.term
        );
        return case.note(step.breaks(Property::AppendEntries1, about, what));
    }
    if append.term != step.now.term {
        return;
    }
    let last_index = append.last_index();
    let last_term = append.term_at(last_index).unwrap_or(0);
    if step.has(last_index, last_term) == Some(false) {
        let is_prev = append.entry_terms.is_empty();
        let rule = if is_prev { Property::AppendEntries2 } else { Property::AppendEntries4 };
        let what = format!(
            "says that its log is the leader's up to entry {last_index} of term {last_term}, which it does \
             not have"
        );
        return case.note(step.breaks(rule, about, what));
    }
    let index = append.leader_commit.min(last_index);
    case.memory.may_commit = index.max(case.memory.may_commit);
    case.owe(Debt::Follow { term: append.term, index });
}

fn check_refusal(
    case: &mut Case<'_>,
    message: &RaftMessage,
    mark: u64,
    append: Append<'_>,
    to: usize,
) {
    let step = case.step;
    let now = step.now;
    let fitted = case.memory.appends.iter().any(|read| read.mark == mark && read.fits);
    let fits = step.has(append.prev_log_index, append.prev_log_term) == Some(true);
    if append.term != now.term || now.role == Role::Leader || !fits || !fitted {
        return;
    }
    let about = Some((message, to));
    let what = format!(
        "refuses entries of the leader of its term, though its log has the entry {} of term {} before them",
        append.prev_log_index, append.prev_log_term
    );
    case.note(step.breaks(Property::AppendEntriesRefused, about, what));
}
