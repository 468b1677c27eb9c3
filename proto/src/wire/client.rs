//! The name and version of a client, from its peer id (BEP 20).

use crate::id::PeerId;

/// Azureus style: `-`, two characters for the client, four for the version, `-`.
const AZUREUS: &[(&[u8; 2], &str)] = &[
    (b"7T", "aTorrent"),
    (b"A~", "Ares"),
    (b"AG", "Ares"),
    (b"AZ", "Vuze"),
    (b"BC", "BitComet"),
    (b"BE", "BitTorrent SDK"),
    (b"BI", "BiglyBT"),
    (b"BL", "BitLord"),
    (b"BT", "BitTorrent"),
    (b"BW", "BitWombat"),
    (b"DE", "Deluge"),
    (b"FD", "Free Download Manager"),
    (b"FL", "FoldX"),
    (b"FW", "FrostWire"),
    (b"GT", "go.torrent"),
    (b"JT", "JavaTorrent"),
    (b"KT", "KTorrent"),
    (b"LT", "libtorrent"),
    (b"LW", "LimeWire"),
    (b"MG", "MediaGet"),
    (b"PI", "PicoTorrent"),
    (b"RQ", "rqbit"),
    (b"SD", "Xunlei"),
    (b"TB", "Torch"),
    (b"TL", "Tribler"),
    (b"TR", "Transmission"),
    (b"TX", "Tixati"),
    (b"UE", "uTorrent Embedded"),
    (b"UM", "uTorrent Mac"),
    (b"UT", "uTorrent"),
    (b"UW", "uTorrent Web"),
    (b"WW", "WebTorrent"),
    (b"WY", "Wyzo"),
    (b"XL", "Xunlei"),
    (b"lt", "rTorrent"),
    (b"qB", "qBittorrent"),
    (b"st", "SharkTorrent"),
];

/// Shadow style: one letter, up to five characters for the version, dashes.
const SHADOW: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'M', "Mainline"),
    (b'O', "Osprey Permaseed"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT"),
];

/// What a peer id says of the client, such as `Transmission 4.0.6`; `None` if it follows neither convention. Only
/// letters, digits, blanks and dots can come out, so the text is safe to print.
pub fn client_name(id: &PeerId) -> Option<String> {
    azureus(id).or_else(|| aria2(id)).or_else(|| mainline(id)).or_else(|| shadow(id))
}

fn azureus(PeerId(id): &PeerId) -> Option<String> {
    let [b'-', a, b, version @ .., b'-'] = id.first_chunk::<8>()? else { return None };
    let version: [char; 4] = version.map(char::from);
    if !version.iter().all(char::is_ascii_alphanumeric) {
        return None;
    }
    let known = AZUREUS.iter().find(|(code, _)| *code == &[*a, *b]).map(|(_, name)| (*name).to_owned());
    let name = match known {
        Some(name) => name,
        None if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
            [*a, *b].map(char::from).iter().collect()
        }
        None => return None,
    };
    let number = |c: char| c.to_digit(36).unwrap_or(0);
    let [major, minor, patch, build] = version.map(number);
    // Before 4.0, Transmission wrote 2.94 as 2940.
    if name == "Transmission" && major < 4 {
        return Some(format!("{name} {major}.{minor}{patch}"));
    }
    Some(match build {
        0 => format!("{name} {major}.{minor}.{patch}"),
        build => format!("{name} {major}.{minor}.{patch}.{build}"),
    })
}

/// `A2-1-37-0-` and so on.
fn aria2(PeerId(id): &PeerId) -> Option<String> {
    Some(format!("aria2 {}", dashed(id.strip_prefix(b"A2-")?)?))
}

/// `M7-9-2--` and so on.
fn mainline(PeerId(id): &PeerId) -> Option<String> {
    Some(format!("Mainline {}", dashed(id.strip_prefix(b"M")?)?))
}

/// Three decimal numbers, each closed by a dash.
fn dashed(text: &[u8]) -> Option<String> {
    let mut numbers = text.split(|b| *b == b'-');
    let mut number = || {
        let digits =
            numbers.next().filter(|n| (1..=4).contains(&n.len()) && n.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()
    };
    Some(format!("{}.{}.{}", number()?, number()?, number()?))
}

fn shadow(PeerId(id): &PeerId) -> Option<String> {
    let (letter, rest) = id.split_first()?;
    let (_, name) = SHADOW.iter().find(|(code, _)| code == letter)?;
    let version = rest.first_chunk::<5>()?;
    let digits = version.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    // The version is padded with dashes up to the ninth byte, where the random part starts.
    if digits == 0 || !id.get(digits + 1..9)?.iter().all(|b| *b == b'-') {
        return None;
    }
    let numbers = version.iter().take(digits).filter_map(|b| char::from(*b).to_digit(36));
    let dotted: Vec<String> = numbers.map(|n| n.to_string()).collect();
    Some(format!("{name} {}", dotted.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(id: &[u8; 20]) -> Option<String> {
        client_name(&PeerId(*id))
    }

    #[test]
    fn names_in_the_wild() {
        let cases: [(&[u8; 20], Option<&str>); 11] = [
            (b"-TR4060-abcdefghijkl", Some("Transmission 4.0.6")),
            (b"-TR2940-abcdefghijkl", Some("Transmission 2.94")),
            (b"-qB5030-abcdefghijkl", Some("qBittorrent 5.0.3")),
            (b"-LT20B0-abcdefghijkl", Some("libtorrent 2.0.11")),
            (b"-lt0D80-abcdefghijkl", Some("rTorrent 0.13.8")),
            (b"-ZZ1234-abcdefghijkl", Some("ZZ 1.2.3.4")),
            (b"A2-1-37-0-abcdefghij", Some("aria2 1.37.0")),
            (b"M7-9-2--abcdefghijkl", Some("Mainline 7.9.2")),
            (b"S587----abcdefghijkl", None),
            (b"T03I-----bcdefghijkl", Some("BitTornado 0.3.18")),
            (b"-\x1b[1mxx-abcdefghijkl", None),
        ];
        for (id, want) in cases {
            assert_eq!(name(id).as_deref(), want, "{}", String::from_utf8_lossy(id));
        }
    }

    proptest! {
        #[test]
        fn only_safe_text_comes_out(mut id: [u8; 20], azureus: bool) {
            if azureus {
                (id[0], id[7]) = (b'-', b'-');
            }
            if let Some(name) = client_name(&PeerId(id)) {
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '.'), "{name:?}");
                prop_assert!(name.len() <= 64);
            }
        }
    }
}
