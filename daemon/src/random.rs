//! Randomness from the system: seeds for the core, ids, tokens.

/// Fills an array from the system's generator.
///
/// # Panics
/// If the system has none, which Linux does not do once it has booted.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    getrandom::fill(&mut out).expect("the system has a random number generator");
    out
}

/// A number that nobody can guess.
pub(crate) fn number() -> u64 {
    u64::from_le_bytes(bytes())
}
