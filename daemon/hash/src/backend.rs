//! Which instructions to hash with, found out once per process by asking the processor.

#[cfg(target_arch = "x86_64")]
use crate::x86::{Avx2, Avx512};

/// A way to hash that this machine has.
#[derive(Clone, Copy, Debug)]
pub enum Backend {
    /// Sixteen lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// Eight lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// One message after the other by the `sha1` and `sha2` crates, which use SHA-NI or the ARMv8 instructions where there are any.
    Single,
}

impl Backend {
    /// All that this machine has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [Avx512::detect().map(Self::Avx512), Avx2::detect().map(Self::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let wide: [Option<Self>; 0] = [];
        wide.into_iter().flatten().chain([Self::Single])
    }

    /// The fastest. The standard library remembers what the processor answered, so this is a few loads.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Single)
    }

    /// Messages hashed at once.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::LANES,
            Self::Single => 1,
        }
    }

    /// How many messages it takes for lanes to pay on this machine: `beside_sha_ni`, but two where there is no SHA-NI.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn pays(self, beside_sha_ni: usize) -> usize {
        if is_x86_feature_detected!("sha") { beside_sha_ni } else { 2 }
    }

    /// For logs and benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            Self::Single => single_stream(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn single_stream() -> &'static str {
    if is_x86_feature_detected!("sha") { "sha-ni" } else { "portable" }
}

#[cfg(target_arch = "aarch64")]
fn single_stream() -> &'static str {
    if std::arch::is_aarch64_feature_detected!("sha2") { "armv8" } else { "portable" }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn single_stream() -> &'static str {
    "portable"
}
