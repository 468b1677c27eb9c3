//! Local service discovery (BEP 14): who on this network has the same torrents.

use crate::id::InfoHash;
use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The IPv4 multicast group, site-local.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 192, 152, 143);

/// The IPv6 multicast group, site-local.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f);

/// The port of both groups.
pub const PORT: u16 = 6771;

/// A message fits in one packet of an Ethernet (BEP 14): 1400 bytes leave room for the headers.
pub const MAX_MESSAGE: usize = 1400;

/// Info-hashes that fit in one message of [`MAX_MESSAGE`] beside the other headers.
pub const MAX_TORRENTS: usize = 20;

/// The longest cookie that is looked at, in bytes.
const MAX_COOKIE: usize = 64;

const FIRST_LINE: &str = "BT-SEARCH * HTTP/1.1";

/// An announcement on the local network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The TCP and uTP port of who sent it.
    pub port: u16,
    /// The torrents it has, at most [`MAX_TORRENTS`].
    pub torrents: Vec<InfoHash>,
    /// What tells its own messages from those of others.
    pub cookie: Option<String>,
}

impl Announcement {
    /// The message for one of the two groups.
    pub fn encode(&self, v6: bool) -> String {
        let mut out = format!("{FIRST_LINE}\r\n");
        // Writing to a String cannot fail.
        let _ = if v6 {
            write!(out, "Host: [{GROUP_V6}]:{PORT}\r\n")
        } else {
            write!(out, "Host: {GROUP_V4}:{PORT}\r\n")
        };
        let _ = write!(out, "Port: {}\r\n", self.port);
        for torrent in self.torrents.iter().take(MAX_TORRENTS) {
            let _ = write!(out, "Infohash: {torrent}\r\n");
        }
        if let Some(cookie) = &self.cookie {
            let _ = write!(out, "cookie: {cookie}\r\n");
        }
        out.push_str("\r\n\r\n");
        out
    }

    /// Reads a message. `None` for anything that is no announcement of at least one torrent; header names count in any
    /// case, and unknown ones are passed over.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message.get(..message.len().min(MAX_MESSAGE))?).ok()?;
        let mut lines = text.split("\r\n");
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut announcement = Self { port: 0, torrents: Vec::new(), cookie: None };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("port") {
                announcement.port = value.parse().ok()?;
            } else if name.eq_ignore_ascii_case("infohash") && announcement.torrents.len() < MAX_TORRENTS {
                announcement.torrents.extend(value.parse::<InfoHash>().ok());
            } else if name.eq_ignore_ascii_case("cookie") && value.len() <= MAX_COOKIE {
                announcement.cookie = Some(value.to_owned());
            }
        }
        (announcement.port != 0 && !announcement.torrents.is_empty()).then_some(announcement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message that BEP 14 gives as its form.
    const EXAMPLE: &str = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
        Infohash: 0123456789abcdef0123456789abcdef01234567\r\ncookie: btd-1\r\n\r\n\r\n";

    #[test]
    fn the_form_is_the_one_of_bep_14() {
        let announcement = Announcement {
            port: 6881,
            torrents: vec!["0123456789abcdef0123456789abcdef01234567".parse().unwrap()],
            cookie: Some("btd-1".into()),
        };
        assert_eq!(announcement.encode(false), EXAMPLE);
        assert_eq!(Announcement::parse(EXAMPLE.as_bytes()), Some(announcement.clone()));
        assert!(announcement.encode(true).contains("Host: [ff15::efc0:988f]:6771\r\n"));
    }

    #[test]
    fn a_full_message_fits_in_a_packet() {
        let announcement = Announcement {
            port: u16::MAX,
            torrents: vec![InfoHash([0xff; 20]); MAX_TORRENTS],
            cookie: Some("c".repeat(MAX_COOKIE)),
        };
        let message = announcement.encode(true);
        assert!(message.len() <= MAX_MESSAGE, "{} bytes", message.len());
        assert_eq!(Announcement::parse(message.as_bytes()), Some(announcement));
    }

    #[test]
    fn other_traffic_is_no_announcement() {
        for wrong in [
            "",
            "M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 6881\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 0\r\nInfohash: 0123456789abcdef0123456789abcdef01234567\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 99999\r\nInfohash: 0123456789abcdef0123456789abcdef01234567\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: no\r\n\r\n",
        ] {
            assert_eq!(Announcement::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Announcement::parse(&bytes);
        }
    }
}
