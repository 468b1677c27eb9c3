//! What will happen, in order.

use std::{collections::BTreeMap, vec::IntoIter};

/// Events by millisecond; those of one millisecond keep the order in which they were put in, so that the whole order is
/// that of (time, number of the event).
#[derive(Debug)]
pub(crate) struct Queue<T> {
    slots: BTreeMap<u64, Vec<T>>,
    due: IntoIter<T>,
    now: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { slots: BTreeMap::new(), due: Vec::new().into_iter(), now: 0 }
    }

    /// Puts in an event; the past counts as now.
    pub(crate) fn push(&mut self, at: u64, event: T) {
        self.slots.entry(at.max(self.now)).or_default().push(event);
    }

    /// The next event and its time in milliseconds.
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        loop {
            if let Some(event) = self.due.next() {
                return Some((self.now, event));
            }
            let (at, events) = self.slots.pop_first()?;
            self.now = at;
            self.due = events.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_putting_in() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.push(at, event);
        }
        assert_eq!(queue.pop(), Some((1, 'a')));
        queue.push(0, 'x');
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, [(1, 'b'), (1, 'x'), (5, 'c'), (5, 'd')]);
    }
}
