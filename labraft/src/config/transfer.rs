//! Leadership is handed over (part 2F).

use super::Config;

impl Config {
    /// Asks server `i` to hand leadership to server `to`. Returns whether it says that it has begun to; it does
    /// not if it does not lead, or is not running.
    pub fn transfer_leadership(&self, i: usize, to: usize) -> bool {
        if self.ask(i, |raft| raft.transfer_leadership(to)) != Some(true) {
            return false;
        }
        self.note_transfer(i, to);
        self.tester().fingerprint(i as u64, to as u64);
        self.step(|| format!("server {i} begins to hand over leadership to server {to}"));
        true
    }

    /// Returns the server to which server `i` is handing over leadership, if it is.
    pub fn transferee(&self, i: usize) -> Option<usize> {
        self.ask(i, |raft| raft.transferee())?
    }
}
