//! Adding to many messages at once.

use crate::algorithm::{Algorithm, OfSha1};
use crate::message::Message;

/// One message and the bytes to add to it.
#[derive(Debug)]
pub struct Feed<'a, A: Algorithm = OfSha1> {
    /// The message, however far it has come.
    pub state: &'a mut Message<A>,
    /// What to add, in order: several slices, because the blocks of a piece lie in separate buffers. They may be of any length.
    pub data: &'a [&'a [u8]],
}

/// Adds to every message its slices. Any number of messages, of any lengths, is welcome.
pub fn update_many<A: Algorithm>(feeds: &mut [Feed<'_, A>]) {
    for feed in feeds {
        for slice in feed.data {
            feed.state.update(slice);
        }
    }
}
