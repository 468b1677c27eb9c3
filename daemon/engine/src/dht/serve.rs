//! Answers to what others ask.

use super::{
    Action, Dht, Family, Out,
    guard::MAX_ANSWER,
    store::{Rejected, is_peer},
    table::K,
};
use proto::{
    id::InfoHash,
    krpc::{
        Ask, Body, Item, ItemError, Message, NodeId, NodeInfo, Put, Query, Refusal, Response, Tx, Want, code,
    },
    time::Instant,
};
use std::net::SocketAddr;

/// Bytes of a peer in an answer, with its length before it.
const PEER_BYTES: [usize; 2] = [8, 21];
/// Bytes of the list around the peers.
const LIST_BYTES: usize = 10;

/// A query's datagram, but for the question.
pub(super) struct Envelope<'a> {
    pub(super) from: SocketAddr,
    /// Bytes of the datagram.
    pub(super) len: usize,
    pub(super) tx: &'a Tx,
    pub(super) read_only: bool,
}

/// Who asked, and what the answer may cost.
struct Asker<'a> {
    from: SocketAddr,
    tx: &'a Tx,
    /// Bytes that the answer may have if the address is not proved.
    credit: usize,
    /// The address is a known node's.
    proved: bool,
}

impl Asker<'_> {
    const fn budget(&self) -> usize {
        if self.proved { MAX_ANSWER } else { self.credit }
    }
}

impl Dht {
    /// Answers a query, if its sender may ask and we are here to answer.
    pub(super) fn serve(&mut self, now: Instant, envelope: Envelope<'_>, query: Query, out: &mut Out) {
        let Envelope { from, len, tx, read_only } = envelope;
        let Some(credit) = self.admit(now, from, len) else { return };
        let Some(overlay) = self.overlay_mut(Family::of(from)) else { return };
        let node = NodeInfo { id: query.id, addr: from };
        let proved = overlay.table.has_endpoint(node);
        let stranger = !read_only && overlay.table.asked_us(now, node);
        let own = overlay.id;
        let mut asker = Asker { from, tx, credit, proved };
        let mut response = Response::new(own);
        let result = match query.ask {
            Ask::Ping => Ok(()),
            Ask::FindNode { target } => {
                self.add_nodes(&mut response, from, query.want, &target);
                Ok(())
            }
            Ask::GetPeers { info_hash, no_seed, scrape } => {
                self.add_nodes(&mut response, from, query.want, &info_hash.into());
                response.token = Some(self.guard.token(now, from.ip(), &mut self.rng));
                self.add_peers(&mut response, &asker, info_hash, no_seed, scrape);
                Ok(())
            }
            Ask::Announce { info_hash, port, token, seed } => {
                self.check_token(now, &mut asker, &token).map(|()| {
                    let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                    if is_peer(peer.ip()) {
                        self.peers.add(now, info_hash, peer, seed);
                    }
                })
            }
            Ask::Get { target, seq } => {
                self.add_nodes(&mut response, from, query.want, &target);
                response.token = Some(self.guard.token(now, from.ip(), &mut self.rng));
                self.add_item(&mut response, target, seq);
                Ok(())
            }
            Ask::Put(put) => {
                self.check_token(now, &mut asker, &put.token).and_then(|()| self.keep(now, *put))
            }
            Ask::Sample { target } => {
                self.add_nodes(&mut response, from, query.want, &target);
                response.samples = Some(self.peers.samples(now, &mut self.rng));
                Ok(())
            }
        };
        match result {
            Ok(()) => self.reply(now, &asker, response, out),
            Err(error) => self.refuse(now, &asker, error, out),
        }
        if stranger && self.guard.curious(now) {
            self.ping(now, from, Some(query.id), out);
        }
    }

    /// Tells the sender of a malformed query what is wrong with it.
    pub(super) fn reject(&mut self, now: Instant, envelope: Envelope<'_>, error: Refusal, out: &mut Out) {
        let Envelope { from, len, tx, .. } = envelope;
        if let Some(credit) = self.admit(now, from, len) {
            let asker = Asker { from, tx, credit, proved: false };
            self.refuse(now, &asker, error, out);
        }
    }

    fn admit(&mut self, now: Instant, from: SocketAddr, len: usize) -> Option<usize> {
        if self.config.read_only {
            return None;
        }
        let credit = self.guard.admit(now, from.ip(), len);
        self.counters.refused += u64::from(credit.is_none());
        credit
    }

    fn add_nodes(&self, response: &mut Response, from: SocketAddr, want: Want, target: &NodeId) {
        let want =
            if want == Want::default() { Want { v4: from.is_ipv4(), v6: from.is_ipv6() } } else { want };
        let closest = |family| self.overlay(family).map(|overlay| overlay.table.closest(target, K));
        response.nodes4 = want.v4.then(|| closest(Family::V4)).flatten();
        response.nodes6 = want.v6.then(|| closest(Family::V6)).flatten();
    }

    /// Adds as many peers as there is room for, leaving some of the nodes out if need be: who asks has arrived.
    fn add_peers(
        &mut self,
        response: &mut Response,
        asker: &Asker<'_>,
        info_hash: InfoHash,
        no_seed: bool,
        scrape: bool,
    ) {
        if scrape && let Some((seeds, leeches)) = self.peers.scrape(info_hash) {
            response.seeds = Some(Box::new(seeds));
            response.leeches = Some(Box::new(leeches));
        }
        let ipv6 = asker.from.is_ipv6();
        let each = PEER_BYTES[usize::from(ipv6)];
        if self.peers.some(info_hash, ipv6, no_seed, 1, &mut self.rng).is_empty() {
            return;
        }
        let mut taken = self.length(asker, response) + LIST_BYTES;
        if taken + each * K > asker.budget() {
            (response.seeds, response.leeches) = (None, None);
            let nodes = if ipv6 { &mut response.nodes6 } else { &mut response.nodes4 };
            nodes.iter_mut().for_each(|nodes| nodes.truncate(K / 2));
            let other = if ipv6 { &mut response.nodes4 } else { &mut response.nodes6 };
            *other = None;
            taken = self.length(asker, response) + LIST_BYTES;
        }
        let count = asker.budget().saturating_sub(taken) / each;
        response.peers = self.peers.some(info_hash, ipv6, no_seed, count, &mut self.rng);
    }

    fn add_item(&self, response: &mut Response, target: NodeId, seq: Option<i64>) {
        match self.items.get(target) {
            Some(Item::Mutable(item)) if seq.is_some_and(|seq| item.seq <= seq) => {
                response.seq = Some(item.seq)
            }
            Some(item) => {
                if let Item::Mutable(mutable) = item {
                    response.seq = Some(mutable.seq);
                }
                response.item = Some(item.clone());
            }
            None => {}
        }
    }

    /// A token proves the address that it was given to.
    fn check_token(&mut self, now: Instant, asker: &mut Asker<'_>, token: &[u8]) -> Result<(), Refusal> {
        let known = self.guard.knows_token(now, asker.from.ip(), token, &mut self.rng);
        asker.proved |= known;
        if known { Ok(()) } else { Err(refusal(code::PROTOCOL, "invalid token")) }
    }

    fn keep(&mut self, now: Instant, put: Put) -> Result<(), Refusal> {
        put.item.check().map_err(|error| {
            let code = match error {
                ItemError::TooBig => code::TOO_BIG,
                ItemError::SaltTooBig => code::SALT_TOO_BIG,
                ItemError::Signature => code::SIGNATURE,
                ItemError::Malformed => code::PROTOCOL,
            };
            Refusal { code, text: error.to_string() }
        })?;
        self.items.put(now, put.item, put.cas).map_err(|rejected| match rejected {
            Rejected::Cas => {
                refusal(code::CAS_MISMATCH, "the CAS hash mismatched, re-read value and try again")
            }
            Rejected::Older => refusal(code::SEQ_TOO_LOW, "sequence number less than current"),
            Rejected::Full => refusal(code::SERVER, "full"),
        })
    }

    /// Sends an answer, leaving out what its budget does not cover.
    fn reply(&mut self, now: Instant, asker: &Asker<'_>, response: Response, out: &mut Out) {
        let ipv6 = asker.from.is_ipv6();
        let steps: [fn(&mut Response, bool); 6] = [
            |r, _| (r.seeds, r.leeches) = (None, None),
            |r, ipv6| if ipv6 { r.nodes4 = None } else { r.nodes6 = None },
            |r, _| r.samples.iter_mut().for_each(|samples| samples.hashes.clear()),
            |r, _| r.nodes4.iter_mut().chain(&mut r.nodes6).for_each(|nodes| nodes.truncate(K / 2)),
            |r, _| (r.nodes4, r.nodes6) = (None, None),
            |r, _| r.item = None,
        ];
        let mut message = self.message(asker, Body::Response(Box::new(response)));
        let mut bytes = message.encode();
        for step in steps {
            if bytes.len() <= asker.budget() {
                break;
            }
            if let Body::Response(response) = &mut message.body {
                step(response, ipv6);
            }
            bytes = message.encode();
        }
        self.dispatch(now, asker, bytes, out);
    }

    fn refuse(&mut self, now: Instant, asker: &Asker<'_>, error: Refusal, out: &mut Out) {
        let bytes = self.message(asker, Body::Error(error)).encode();
        self.dispatch(now, asker, bytes, out);
    }

    /// Sends an answer, if all answers together leave room for it.
    fn dispatch(&mut self, now: Instant, asker: &Asker<'_>, bytes: Vec<u8>, out: &mut Out) {
        if self.guard.spend(now, asker.from.ip(), bytes.len(), asker.proved) {
            self.counters.queries_in += 1;
            out.push(Action::Send { to: asker.from, bytes });
        } else {
            self.counters.refused += 1;
        }
    }

    /// How long an answer would be.
    fn length(&self, asker: &Asker<'_>, response: &Response) -> usize {
        self.message(asker, Body::Response(Box::new(response.clone()))).encode().len()
    }

    fn message(&self, asker: &Asker<'_>, body: Body) -> Message {
        Message {
            tx: asker.tx.clone(),
            version: Some(self.config.version),
            read_only: false,
            seen_as: Some(asker.from),
            body,
        }
    }
}

fn refusal(code: i64, text: &str) -> Refusal {
    Refusal { code, text: text.to_owned() }
}
