//! Our queries that wait for an answer.

use proto::{
    krpc::{NodeId, NodeInfo, Tx},
    time::Instant,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// After this time no answer is expected any more. The slowest nodes take about three seconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most queries under way; lookups wait when there are as many.
pub(crate) const MAX_PENDING: usize = 1024;

/// What a query was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see whether a node is there.
    Ping,
    /// A step of a lookup.
    Step(u32),
    /// The announcement or the item at the end of a lookup.
    Store(u32),
}

/// A query under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) sent: Instant,
    pub(crate) to: SocketAddr,
    /// Who is expected to answer; unknown for an address that somebody gave us.
    pub(crate) id: Option<NodeId>,
    pub(crate) purpose: Purpose,
}

impl Pending {
    /// The node that was asked, if its id is known.
    pub(crate) fn node(&self) -> Option<NodeInfo> {
        self.id.map(|id| NodeInfo { id, addr: self.to })
    }
}

/// All queries under way.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    by_tx: BTreeMap<u32, Pending>,
    /// In the order in which they time out. Answered ones are still in here.
    order: VecDeque<(Instant, u32)>,
}

impl Queries {
    pub(crate) fn len(&self) -> usize {
        self.by_tx.len()
    }

    /// Records a query; `random` makes transaction ids that cannot be guessed, so that nobody else can answer.
    pub(crate) fn add(&mut self, pending: Pending, mut random: impl FnMut() -> u32) -> Tx {
        let mut number = random();
        while self.by_tx.contains_key(&number) {
            number = random();
        }
        self.by_tx.insert(number, pending);
        self.order.push_back((pending.sent + TIMEOUT, number));
        Tx::from_number(number)
    }

    /// The query that a message from `from` answers.
    pub(crate) fn take(&mut self, tx: &Tx, from: SocketAddr) -> Option<Pending> {
        let number = tx.number()?;
        if self.by_tx.get(&number)?.to != from {
            return None;
        }
        let pending = self.by_tx.remove(&number);
        self.trim();
        pending
    }

    /// The next query that has timed out.
    pub(crate) fn timed_out(&mut self, now: Instant) -> Option<Pending> {
        self.trim();
        let (at, number) = *self.order.front()?;
        if at > now {
            return None;
        }
        self.order.pop_front();
        self.by_tx.remove(&number)
    }

    /// When the next one times out.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }

    /// Drops answered queries from the front of the order.
    fn trim(&mut self) {
        while self.order.front().is_some_and(|(_, number)| !self.by_tx.contains_key(number)) {
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_asked_can_answer_and_only_in_time() {
        let to: SocketAddr = "1.2.3.4:5".parse().unwrap();
        let pending = |secs| Pending { sent: Instant::from_secs(secs), to, id: None, purpose: Purpose::Ping };
        let mut numbers = [7, 7, 8].into_iter();
        let mut queries = Queries::default();
        let first = queries.add(pending(0), || numbers.next().unwrap());
        let second = queries.add(pending(1), || numbers.next().unwrap());
        assert_ne!(first, second);
        assert!(queries.take(&first, "1.2.3.4:6".parse().unwrap()).is_none());
        assert!(queries.take(&Tx::new(b"xx").unwrap(), to).is_none());
        assert!(queries.take(&first, to).is_some());
        assert!(queries.take(&first, to).is_none());
        assert_eq!(queries.deadline(), Some(Instant::from_secs(6)));
        assert!(queries.timed_out(Instant::from_millis(5999)).is_none());
        assert_eq!(queries.timed_out(Instant::from_secs(6)).map(|p| p.sent), Some(Instant::from_secs(1)));
        assert_eq!((queries.len(), queries.deadline()), (0, None));
    }
}
