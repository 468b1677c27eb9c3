//! Address ranges that are never connected, from a blocklist file.
//!
//! Three forms of line are understood, mixed as they come: `name:1.2.3.4-1.2.3.9` (P2P plaintext, as PeerGuardian has
//! it), `001.002.003.004 - 001.002.003.009 , 000 , name` (eMule's DAT; levels above 127 mean "allowed"), and `1.2.3.0/24`
//! or a single address, IPv6 too. A file that begins as gzip is unpacked.

use flate2::read::GzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

/// The longest line that is read; longer ones are no ranges.
const MAX_LINE: u64 = 4096;

/// Ranges that are kept at most. The largest public lists have about half a million.
const MAX_RANGES: usize = 4_000_000;

/// DAT levels up to this block; above it the range is allowed.
const MAX_BLOCKING_LEVEL: u32 = 127;

/// Sorted ranges that do not overlap, as numbers, so that a look-up is one binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    /// Lines that were neither ranges nor comments.
    pub(crate) skipped: usize,
}

impl Filter {
    /// Reads a blocklist. Lines that make no sense are counted and passed over.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        if packed { Self::read(BufReader::new(GzDecoder::new(file))) } else { Self::read(file) }
    }

    fn read(mut lines: impl BufRead) -> io::Result<Self> {
        let mut filter = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() || text.starts_with(['#', ';']) || text.starts_with("//") {
                continue;
            }
            match range(text) {
                Some(Some((IpAddr::V4(first), IpAddr::V4(last)))) => {
                    filter.v4.push((first.into(), last.into()))
                }
                Some(Some((IpAddr::V6(first), IpAddr::V6(last)))) => {
                    filter.v6.push((first.into(), last.into()))
                }
                Some(None) => {}
                _ => filter.skipped += 1,
            }
            if filter.len() >= MAX_RANGES {
                return Err(io::Error::other(format!("more than {MAX_RANGES} ranges")));
            }
        }
        join(&mut filter.v4, |last| last.checked_add(1));
        join(&mut filter.v6, |last| last.checked_add(1));
        Ok(filter)
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether an address is in a range.
    pub(crate) fn blocks(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => within(&self.v4, ip.into()),
            IpAddr::V6(ip) => within(&self.v6, ip.into()),
        }
    }
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], at: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= at);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|(_, last)| at <= *last)
}

/// Sorts ranges and joins those that touch.
fn join<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let touches = next(earlier.1).is_none_or(|after| later.0 <= after);
        if touches {
            earlier.1 = earlier.1.max(later.1);
        }
        touches
    });
    ranges.shrink_to_fit();
}

/// The range of a line: `None` if it is none, `Some(None)` if it is one that is allowed.
fn range(line: &str) -> Option<Option<(IpAddr, IpAddr)>> {
    if let Some((range, rest)) = line.split_once(',') {
        let level = rest.split(',').next()?.trim().parse::<u32>().ok()?;
        let range = ends(range)?;
        return Some((level <= MAX_BLOCKING_LEVEL).then_some(range));
    }
    if let Some(range) = cidr(line).or_else(|| ends(line)) {
        return Some(Some(range));
    }
    // A P2P line's name may have colons of its own; the range is behind the last one that leaves a range.
    line.match_indices(':').rev().find_map(|(at, _)| ends(&line[at + 1..])).map(Some)
}

/// `first-last`, or one address.
fn ends(text: &str) -> Option<(IpAddr, IpAddr)> {
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (address(first)?, address(last)?);
            (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last))
        }
        None => address(text).map(|ip| (ip, ip)),
    }
}

/// An address; the zeros in front that DAT files have are no octal numbers.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    let mut parts = text.split('.').map(|part| {
        let digits = !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u8>().ok())?
    });
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = parts.next()??;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// `address/bits`.
fn cidr(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (ip, bits) = text.split_once('/')?;
    let bits: u32 = bits.trim().parse().ok()?;
    match address(ip)? {
        IpAddr::V4(ip) if bits <= 32 => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = u32::from(ip) & !host;
            Some((Ipv4Addr::from(first).into(), Ipv4Addr::from(first | host).into()))
        }
        IpAddr::V6(ip) if bits <= 128 => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = u128::from(ip) & !host;
            Some((std::net::Ipv6Addr::from(first).into(), std::net::Ipv6Addr::from(first | host).into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const LIST: &str = "# a comment\n\
        Some: company:1.2.3.4-1.2.3.9\n\
        001.009.096.105 - 001.009.096.110 , 000 , a name\n\
        005.000.000.000 - 005.255.255.255 , 200 , allowed\n\
        10.0.0.0/8\n\
        2001:db8::/32\n\
        6.6.6.6\n\
        nonsense here\n\
        1.2.3.8-1.2.3.20\n";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn check(filter: &Filter) {
        for blocked in
            ["1.2.3.4", "1.2.3.20", "1.9.96.107", "10.255.0.1", "2001:db8:1::1", "6.6.6.6", "::ffff:6.6.6.6"]
        {
            assert!(filter.blocks(ip(blocked)), "{blocked}");
        }
        for allowed in ["1.2.3.3", "1.2.3.21", "5.1.1.1", "11.0.0.0", "2001:db9::", "6.6.6.7"] {
            assert!(!filter.blocks(ip(allowed)), "{allowed}");
        }
        assert_eq!((filter.v4.len(), filter.v6.len(), filter.skipped), (4, 1, 1));
    }

    #[test]
    fn every_form_of_line_is_understood() {
        check(&Filter::read(LIST.as_bytes()).unwrap());
    }

    #[test]
    fn a_packed_file_is_unpacked() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut packer = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
        packer.write_all(LIST.as_bytes()).unwrap();
        packer.finish().unwrap();
        check(&Filter::load(file.path()).unwrap());
    }

    proptest! {
        #[test]
        fn joined_ranges_block_what_the_lines_say(
            ranges in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..30),
            at: u8,
        ) {
            let lines: String = ranges.iter()
                .map(|(a, b)| format!("x:9.9.9.{}-9.9.9.{}\n", a.min(b), a.max(b)))
                .collect();
            let filter = Filter::read(lines.as_bytes()).unwrap();
            let expected = ranges.iter().any(|(a, b)| (a.min(b)..=a.max(b)).contains(&&at));
            prop_assert_eq!(filter.blocks(Ipv4Addr::new(9, 9, 9, at).into()), expected);
        }

        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = Filter::read(&bytes[..]);
        }
    }
}
