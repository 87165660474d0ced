// SOLUTION FILE
//! What a leader with flow control remembers of its contact with each other server. Nothing of it is saved.

/// A leader's contact with another server in its present term.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contact {
    /// How many heartbeats it has been sent since its last answer.
    pub(super) unanswered: usize,
    /// How many of the requests in flight were sent while it was silent: nothing waits for their answers.
    pub(super) given_up: usize,
}
