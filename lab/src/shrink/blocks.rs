//! Blocks of decisions: those that are left out together.

use std::collections::BTreeMap;

use labrpc::Taken;

/// What the decisions of a block have in common.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Their kind.
    Kind,
    /// Their kind, and the server that they are about; for messages, the sender of the request.
    Server,
    /// Their kind and both parties: the link, the task, or the client.
    Parties,
    /// The second of virtual time.
    Second,
    /// The instant of virtual time.
    Instant,
    /// Nothing: each decision is a block of its own.
    Single,
}

impl By {
    /// The block that a decision belongs to.
    pub(super) fn block_of(self, taken: &Taken) -> Block {
        let Taken { at, address, .. } = *taken;
        let kind = address.kind as u64;
        let (from, to) = (u64::from(address.from), u64::from(address.to));
        Block(match self {
            By::Kind => [kind, 0, 0, 0],
            By::Server => [kind, from, 0, 0],
            By::Parties => [kind, from, to, 0],
            By::Second => [at.as_secs(), 0, 0, 0],
            By::Instant => [at.as_secs(), at.subsec_nanos().into(), 0, 0],
            By::Single => [kind, from, to, address.n],
        })
    }

    /// All blocks of more than one decision, the largest first, unless there is only one.
    pub(super) fn blocks(self, decisions: &[Taken]) -> Vec<Block> {
        let mut sizes = BTreeMap::<Block, usize>::new();
        for taken in decisions {
            *sizes.entry(self.block_of(taken)).or_default() += 1;
        }
        let mut blocks: Vec<(Block, usize)> =
            sizes.into_iter().filter(|&(_, size)| size > 1 && size < decisions.len()).collect();
        // The sort is stable, so that the order does not depend on the machine.
        blocks.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
        blocks.into_iter().map(|(block, _)| block).collect()
    }
}

/// Identifies a block among those that are divided in the same way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block(pub(super) [u64; 4]);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labrpc::{Address, Kind};

    use super::*;

    fn taken(kind: Kind, milliseconds: u64, to: u32) -> Taken {
        let (at, n) = (Duration::from_millis(milliseconds), milliseconds);
        let address = Address { kind, from: 0, to, n };
        Taken { at, address, value: 1, bound: 2, in_turn: false }
    }

    #[test]
    fn decisions_that_have_something_in_common_make_a_block() {
        let decisions = [
            taken(Kind::Order, 1, 1),
            taken(Kind::Order, 1, 2),
            taken(Kind::Order, 1500, 1),
            taken(Kind::Order, 1600, 1),
            taken(Kind::RequestDrop, 2500, 1),
        ];
        let sizes = |by: By| -> Vec<usize> {
            let size = |block: &Block| {
                decisions.iter().filter(|taken| by.block_of(taken) == *block).count()
            };
            by.blocks(&decisions).iter().map(size).collect()
        };
        assert_eq!(sizes(By::Kind), [4], "a block of one is a single decision");
        assert_eq!(sizes(By::Server), [4]);
        assert_eq!(sizes(By::Parties), [3]);
        assert_eq!(sizes(By::Second), [2, 2]);
        assert_eq!(sizes(By::Instant), [2]);
        assert_eq!(sizes(By::Single), [0; 0]);
    }
}
