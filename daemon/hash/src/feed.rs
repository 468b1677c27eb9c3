//! Adding to many messages at once.

use crate::algorithm::{Algorithm, OfSha1};
use crate::backend::Backend;
use crate::message::Message;

/// One message and the bytes to add to it.
#[derive(Debug)]
pub struct Feed<'a, A: Algorithm = OfSha1> {
    /// The message, however far it has come.
    pub state: &'a mut Message<A>,
    /// What to add, in order: several slices, because the blocks of a piece lie in separate buffers. They may be of any length.
    pub data: &'a [&'a [u8]],
}

/// Adds to every message its slices. Any number of messages, of any lengths, is welcome: a lane whose message is done takes the next one,
/// and when too few are left for lanes to pay, the rest is done one by one.
pub fn update_many<A: Algorithm>(feeds: &mut [Feed<'_, A>]) {
    update_with(Backend::best(), feeds, None);
}

/// [`update_many`] by a backend of the caller's choice, and in lanes from a number of messages of the caller's choice on.
pub(crate) fn update_with<A: Algorithm>(backend: Backend, feeds: &mut [Feed<'_, A>], pays: Option<usize>) {
    match backend {
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512(proof) => {
            let pays = pays.unwrap_or_else(|| backend.pays(A::PAYS.avx512));
            lanes::update(feeds, pays, |columns, runs| A::avx512(proof, columns, runs));
        }
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2(proof) => {
            let pays = pays.unwrap_or_else(|| backend.pays(A::PAYS.avx2));
            lanes::update(feeds, pays, |columns, runs| A::avx2(proof, columns, runs));
        }
        Backend::Single => {
            for feed in feeds {
                for slice in feed.data {
                    feed.state.update(slice);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod lanes;
