//! Makes the decisions that are needed simpler: shorter delays, and faults that come earlier.

use labrpc::{Address, Kind, Taken};

use super::found::is_call;
use super::search::{Search, Stop};

/// Faults are moved only while there are no more than these.
const FEW: usize = 12;
/// At how many earlier places a fault is tried.
const EARLIER_PLACES: u64 = 48;

impl Search<'_> {
    /// Shortens the delays that can be shorter.
    pub(super) fn make_shorter(&mut self) -> Result<(), Stop> {
        let is_span = |taken: &Taken| taken.bound > 3 && taken.address.kind != Kind::Order;
        let spans: Vec<Address> =
            self.best.decisions.iter().filter(|taken| is_span(taken)).map(|t| t.address).collect();
        for address in spans {
            for parts in [8, 4, 2] {
                let mut tried = self.best.decisions.clone();
                let Some(taken) = tried.iter_mut().find(|taken| taken.address == address) else {
                    break;
                };
                if taken.value < 2 {
                    break;
                }
                taken.value = (taken.value / parts).max(1);
                if self.fails_with(tried.iter())? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Moves faults to earlier places, such as a crash to an earlier save: the earlier the run fails, the
    /// less of it there is to read. Only when few are left, because each is tried at many places.
    pub(super) fn make_earlier(&mut self) -> Result<(), Stop> {
        let faults = self.best.decisions.iter().filter(|taken| !is_call(taken));
        let faults: Vec<Address> = faults.map(|taken| taken.address).collect();
        if faults.len() > FEW {
            return Ok(());
        }
        for mut address in faults {
            while let Some(earlier) = self.move_earlier(address)? {
                address = earlier;
            }
        }
        Ok(())
    }

    /// Moves one fault, and returns its new address.
    fn move_earlier(&mut self, address: Address) -> Result<Option<Address>, Stop> {
        let mut places: Vec<u64> =
            (0..EARLIER_PLACES).map(|part| address.n * part / EARLIER_PLACES).collect();
        places.dedup();
        let when = |decisions: &[Taken]| decisions.last().map(|taken| taken.at);
        let before = when(&self.best.decisions);
        for n in places.into_iter().filter(|&n| n < address.n) {
            let mut tried = self.best.decisions.clone();
            let earlier = Address { n, ..address };
            if tried.iter().any(|taken| taken.address == earlier) {
                continue;
            }
            let Some(taken) = tried.iter_mut().find(|taken| taken.address == address) else {
                return Ok(None);
            };
            taken.address = earlier;
            if self.fails_with(tried.iter())? {
                return Ok((when(&self.best.decisions) < before).then_some(earlier));
            }
        }
        Ok(None)
    }
}
