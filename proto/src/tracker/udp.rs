//! Trackers over UDP (BEP 15, with the URL data of BEP 41): one exchange as a machine.

use super::{AnnounceEvent, AnnounceRequest, AnnounceResponse, MAX_SENTENCE, Scrape, TrackerError, usable};
use crate::{compact, id::InfoHash, text::printable, time::Instant};
use std::{net::IpAddr, time::Duration};

/// How long the first datagram waits for its answer; every further one waits twice as long (BEP 15).
pub const FIRST_TIMEOUT: Duration = Duration::from_secs(15);

/// How many datagrams of one kind are sent before giving up: after 15 + 30 + 60 s. BEP 15 would go on for two hours;
/// the announcer's back-off does that better, and meanwhile the next tracker has its turn.
pub const MAX_ATTEMPTS: u32 = 3;

/// How long a connection id is good for after it was received (BEP 15).
pub const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// How many torrents one scrape may ask for (BEP 15): as many as fit in a datagram.
pub const MAX_SCRAPE: usize = 74;

/// The longest datagram that is worth receiving, in bytes: an answer with two hundred IPv6 peers and room to spare.
pub const MAX_DATAGRAM: usize = 8_192;

/// What makes a connect request recognisable (BEP 15).
const MAGIC: u64 = 0x417_2710_1980;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

/// BEP 41: an option that carries a part of the URL, at most 255 bytes.
const URL_DATA: u8 = 2;

/// What to ask a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To announce a torrent. The request's `tracker_id` and `ipv6` have no place in this protocol.
    Announce(AnnounceRequest),
    /// The figures of up to [`MAX_SCRAPE`] torrents; the rest is left out.
    Scrape(Vec<InfoHash>),
}

/// What a tracker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To an announce.
    Announce(AnnounceResponse),
    /// To a scrape: one entry for each torrent asked for, in that order. Fewer if the tracker said less.
    Scrape(Vec<Scrape>),
}

/// A tracker's permission to ask it, which several exchanges with the same endpoint may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    id: u64,
    received: Instant,
}

impl Connection {
    /// Whether it can still be used.
    pub fn is_alive(&self, now: Instant) -> bool {
        now.since(self.received) < CONNECTION_LIFE
    }
}

/// The datagram that the tracker is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    Connect,
    Request,
}

/// One request to one endpoint of a tracker: connect, ask, and again after a while if there is no answer.
///
/// The caller sends what [`Exchange::transmit`] gives it whenever [`Exchange::deadline`] has come, gives every datagram
/// from the endpoint to [`Exchange::receive`], and ends when either of them returns an error or an answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: Request,
    /// Path and query of the tracker's URL (BEP 41).
    target: Vec<u8>,
    ipv6: bool,
    random: u64,
    connection: Option<Connection>,
    /// The connection was made by an earlier exchange, so the tracker may have forgotten it since.
    borrowed: bool,
    sent: Sent,
    transaction: u32,
    /// Datagrams of this kind sent so far.
    attempts: u32,
    due: Instant,
}

impl Exchange {
    /// An exchange whose first datagram is due at once.
    ///
    /// `target` is [`TrackerUrl::target`](super::TrackerUrl::target); `ipv6` is the family of the tracker's endpoint, which
    /// decides the form of the peers in its answer; `random` makes the transaction ids, so a stranger must not be able to guess
    /// it; `connection` is one that an earlier exchange with the same endpoint left behind.
    pub fn new(
        request: Request,
        target: &str,
        ipv6: bool,
        random: u64,
        connection: Option<Connection>,
    ) -> Self {
        Self {
            request,
            target: target.as_bytes().to_vec(),
            ipv6,
            random,
            borrowed: connection.is_some(),
            connection,
            sent: Sent::Nothing,
            transaction: 0,
            attempts: 0,
            due: Instant::START,
        }
    }

    /// When [`Exchange::transmit`] is to be called next.
    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// The connection, for later exchanges with the same endpoint.
    pub fn connection(&self, now: Instant) -> Option<Connection> {
        self.connection.filter(|connection| connection.is_alive(now))
    }

    /// The datagram to send now, if one is due.
    ///
    /// # Errors
    /// [`TrackerError::Timeout`] when there is no hope left.
    pub fn transmit(&mut self, now: Instant) -> Result<Option<Vec<u8>>, TrackerError> {
        if now < self.due {
            return Ok(None);
        }
        self.connection = self.connection(now);
        let kind = if self.connection.is_some() { Sent::Request } else { Sent::Connect };
        if self.sent != kind {
            // A late answer to what was sent before must not be taken for one to this.
            self.sent = kind;
            self.transaction = self.draw();
        }
        if self.attempts >= MAX_ATTEMPTS {
            return Err(TrackerError::Timeout);
        }
        self.due = now + FIRST_TIMEOUT * 2u32.pow(self.attempts);
        self.attempts += 1;
        Ok(Some(match self.connection {
            Some(connection) => self.ask(connection.id),
            None => datagram(MAGIC, CONNECT, self.transaction),
        }))
    }

    /// Takes a datagram from the tracker's endpoint. `None`: it was not the last one; look at the deadline. What does not
    /// belong to this exchange is passed over, for anyone can send datagrams in the tracker's name.
    ///
    /// # Errors
    /// The tracker's refusal, or an answer that is too short.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<Option<Answer>, TrackerError> {
        let mut fields = Fields(datagram);
        let (Some(action), Some(transaction)) = (fields.u32(), fields.u32()) else { return Ok(None) };
        if self.sent == Sent::Nothing || transaction != self.transaction {
            return Ok(None);
        }
        match (action, self.sent) {
            (ERROR, Sent::Request) if self.borrowed => self.reconnect(now),
            (ERROR, _) => return Err(refusal(fields.0)),
            (CONNECT, Sent::Connect) => {
                let id = fields.u64().ok_or(TrackerError::Malformed("too short"))?;
                self.connection = Some(Connection { id, received: now });
                self.borrowed = false;
                self.attempts = 0;
                self.due = now;
            }
            (ANNOUNCE, Sent::Request) if matches!(self.request, Request::Announce(_)) => {
                let answer = announced(fields, self.ipv6).ok_or(TrackerError::Malformed("too short"))?;
                return Ok(Some(Answer::Announce(answer)));
            }
            (SCRAPE, Sent::Request) => {
                if let Request::Scrape(torrents) = &self.request {
                    let most = torrents.len().min(MAX_SCRAPE);
                    return Ok(Some(Answer::Scrape(scraped(fields).take(most).collect())));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// A borrowed connection was refused: the tracker may have restarted, so ask it for a new one.
    fn reconnect(&mut self, now: Instant) {
        self.connection = None;
        self.borrowed = false;
        self.attempts = 0;
        self.due = now;
    }

    fn ask(&self, connection: u64) -> Vec<u8> {
        match &self.request {
            Request::Announce(request) => self.announce(connection, request),
            Request::Scrape(torrents) => {
                let mut out = datagram(connection, SCRAPE, self.transaction);
                for torrent in torrents.iter().take(MAX_SCRAPE) {
                    out.extend_from_slice(torrent.as_bytes());
                }
                out
            }
        }
    }

    fn announce(&self, connection: u64, request: &AnnounceRequest) -> Vec<u8> {
        let mut out = datagram(connection, ANNOUNCE, self.transaction);
        out.extend_from_slice(request.info_hash.as_bytes());
        out.extend_from_slice(request.peer_id.as_bytes());
        // Trackers read these as signed numbers.
        for bytes in [request.downloaded, request.left, request.uploaded] {
            out.extend_from_slice(&i64::try_from(bytes).unwrap_or(i64::MAX).to_be_bytes());
        }
        out.extend_from_slice(&code(request.event).to_be_bytes());
        out.extend_from_slice(&request.ip.map_or([0; 4], |ip| ip.octets()));
        out.extend_from_slice(&request.key.to_be_bytes());
        out.extend_from_slice(&i32::try_from(request.numwant).unwrap_or(i32::MAX).to_be_bytes());
        out.extend_from_slice(&request.port.to_be_bytes());
        for part in self.target.chunks(usize::from(u8::MAX)) {
            out.push(URL_DATA);
            out.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(part);
        }
        out
    }

    /// The next number of a sequence that only who knows its start can tell (splitmix64).
    fn draw(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }
}

/// The first 16 bytes of every request.
fn datagram(connection: u64, action: u32, transaction: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(&connection.to_be_bytes());
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
    out
}

const fn code(event: Option<AnnounceEvent>) -> u32 {
    match event {
        None => 0,
        Some(AnnounceEvent::Completed) => 1,
        Some(AnnounceEvent::Started) => 2,
        Some(AnnounceEvent::Stopped) => 3,
    }
}

fn refusal(text: &[u8]) -> TrackerError {
    let reason = printable(text, MAX_SENTENCE);
    let reason = if reason.is_empty() { "refused without a reason".to_owned() } else { reason };
    TrackerError::Failure { reason, retry: None }
}

fn announced(mut fields: Fields<'_>, ipv6: bool) -> Option<AnnounceResponse> {
    let interval = fields.u32()?;
    let leechers = fields.u32()?;
    let seeders = fields.u32()?;
    let peers =
        if ipv6 { usable(compact::v6(fields.0)).collect() } else { usable(compact::v4(fields.0)).collect() };
    Some(AnnounceResponse {
        interval: Some(Duration::from_secs(interval.into())),
        seeders: Some(seeders),
        leechers: Some(leechers),
        peers,
        ..AnnounceResponse::default()
    })
}

fn scraped(mut fields: Fields<'_>) -> impl Iterator<Item = Scrape> {
    std::iter::from_fn(move || {
        Some(Scrape { seeders: fields.u32()?, downloaded: fields.u32()?, leechers: fields.u32()? })
    })
}

/// Numbers from the start of a datagram.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }
}

/// The family that the peers in an answer from this address have.
pub const fn is_ipv6(tracker: IpAddr) -> bool {
    // An IPv4 address written as IPv6 is IPv4 on the wire.
    matches!(tracker.to_canonical(), IpAddr::V6(_))
}

#[cfg(test)]
mod tests;
