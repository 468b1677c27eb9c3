//! The laboratory: the real engine in virtual time, in swarms of thousands of peers on simulated links.
//!
//! A [`Scenario`] says who is there; a [`Preset`] says by which strategies they play; a [`World`] plays it from a seed and
//! gives a [`Report`]. Nothing in it reads a clock or an unseeded random source: the same scenario, strategy and seed give
//! the same events in the same order. Oracles look at every step; what they find is a [`Failure`] that names its seed.
#![forbid(unsafe_code)]

mod act;
mod life;
mod log;
mod measure;
mod net;
mod node;
mod oracle;
mod plot;
mod queue;
mod report;
mod scenario;
mod strategies;
mod table;
mod world;

pub use measure::Moment;
pub use plot::{Chart, Line};
pub use report::{Report, percentile};
pub use scenario::{Class, Scenario};
pub use strategies::{PRESETS, Preset, UnknownStrategy};
pub use table::{findings, summary};
pub use world::{Failure, World};
