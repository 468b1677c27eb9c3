//! A world of DHT nodes in virtual time.
//!
//! The nodes are [`engine::dht::Dht`], as in the daemon; the network between them has delay and loss. All chance comes from
//! one seed, so a world is the same every time: [`World::trace`] tells.
#![forbid(unsafe_code)]

mod hostile;
mod world;

pub use hostile::{Hostile, Trick};
pub use world::World;
