use super::*;
use proto::krpc::{Mutable, code};
use std::collections::{BTreeMap, VecDeque};

const NOW: Instant = Instant::from_secs(1000);
const HASH: InfoHash = InfoHash([0x42; 20]);

fn addr(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 6881).into()
}

fn addr6(n: u16) -> SocketAddr {
    (std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n), 6881).into()
}

fn node(n: u8) -> Dht {
    Dht::new(NOW, Config { seed: n.into(), v6: false, ..Config::default() }, &State::default())
}

/// Nodes and what they say to each other, without delay. What goes to nobody is lost.
struct Net {
    nodes: BTreeMap<SocketAddr, Dht>,
    now: Instant,
    seen: Vec<(SocketAddr, Action)>,
}

impl Net {
    fn new(count: u8) -> Self {
        let nodes = (1..=count).map(|n| (addr(n), node(n))).collect();
        let mut net = Self { nodes, now: NOW, seen: Vec::new() };
        for n in 1..=count {
            net.on(addr(n), Event::Contacts(&[addr(1), addr(2)]));
        }
        net.run(Duration::from_secs(120));
        net
    }

    fn on(&mut self, at: SocketAddr, event: Event<'_>) {
        let mut out = Out::new();
        self.nodes.get_mut(&at).unwrap().on(self.now, event, &mut out);
        self.deliver(at, out);
    }

    fn deliver(&mut self, from: SocketAddr, out: Out) {
        let mut queue: VecDeque<(SocketAddr, Action)> =
            out.into_iter().map(|action| (from, action)).collect();
        while let Some((from, action)) = queue.pop_front() {
            match action {
                Action::Send { to, bytes } => {
                    let mut out = Out::new();
                    if let Some(node) = self.nodes.get_mut(&to) {
                        node.on(self.now, Event::Datagram { from, bytes: &bytes }, &mut out);
                    }
                    queue.extend(out.into_iter().map(|action| (to, action)));
                }
                other => self.seen.push((from, other)),
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.nodes.iter().filter_map(|(at, node)| Some((node.deadline()?.0, *at))).min();
            let Some((when, at)) = next.filter(|(when, _)| *when <= end) else { break };
            self.now = self.now.max(when);
            let mut out = Out::new();
            self.nodes.get_mut(&at).unwrap().wake(self.now, &mut out);
            self.deliver(at, out);
        }
        self.now = end;
    }

    fn status(&self, at: SocketAddr) -> Status {
        self.nodes[&at].status(self.now)
    }
}

fn reply(dht: &mut Dht, now: Instant, from: SocketAddr, query: Ask) -> Option<Message> {
    let body = Body::Query(Query { id: NodeId([9; 20]), want: Want::default(), ask: query });
    let tx = Tx::new(b"zz").unwrap();
    let bytes = Message { tx: tx.clone(), version: None, read_only: true, seen_as: None, body }.encode();
    let mut out = Out::new();
    dht.on(now, Event::Datagram { from, bytes: &bytes }, &mut out);
    let messages = out.iter().filter_map(|action| match action {
        Action::Send { bytes, .. } => Message::decode(bytes).ok(),
        _ => None,
    });
    messages.into_iter().find(|message| message.tx == tx)
}

fn response(dht: &mut Dht, now: Instant, from: SocketAddr, query: Ask) -> Response {
    match reply(dht, now, from, query).unwrap().body {
        Body::Response(response) => *response,
        other => panic!("{other:?}"),
    }
}

fn error_code(dht: &mut Dht, from: SocketAddr, query: Ask) -> i64 {
    match reply(dht, NOW, from, query).unwrap().body {
        Body::Error(error) => error.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_find_each_other_and_each_others_torrents() {
    let mut net = Net::new(30);
    assert!(net.nodes.keys().all(|at| net.status(*at).nodes[0].good >= 8));
    net.on(
        addr(5),
        Event::Want { info_hash: HASH, announce: Some(Announce { port: Some(7777), seed: false }) },
    );
    net.run(Duration::from_secs(10));
    net.on(addr(29), Event::Want { info_hash: HASH, announce: None });
    net.run(Duration::from_secs(10));
    let found = Action::Peers { info_hash: HASH, addrs: vec![(addr(5).ip(), 7777).into()] };
    assert!(net.seen.contains(&(addr(29), found)));
    // A caller's own lookup tells the way it took.
    net.on(addr(17), Event::Lookup { job: 1, info_hash: HASH });
    net.run(Duration::from_secs(10));
    let looked = net.seen.iter().find_map(|(_, action)| match action {
        Action::Looked { job: 1, report } => Some(report.clone()),
        _ => None,
    });
    let report = looked.unwrap();
    assert_eq!(report.peers, [SocketAddr::from((addr(5).ip(), 7777))]);
    assert!(report.hops >= 1 && report.path.len() >= 8 && report.path.iter().any(|hop| hop.peers == 1));
    let status = net.status(addr(17));
    assert!(status.lookups.iter().any(|lookup| lookup.done && lookup.target == HASH.into()));
}

#[test]
fn announcements_are_repeated_until_unwanted_and_then_forgotten() {
    let mut net = Net::new(12);
    net.on(addr(5), Event::Want { info_hash: HASH, announce: Some(Announce { port: None, seed: true }) });
    net.run(Duration::from_secs(3 * 3600));
    let stored = |net: &Net| net.nodes.keys().filter(|at| net.status(**at).stored_peers > 0).count();
    assert!(stored(&net) >= 8);
    net.on(addr(5), Event::Unwant { info_hash: HASH });
    net.run(Duration::from_secs(3600));
    assert_eq!(stored(&net), 0);
}

#[test]
fn items_are_put_and_got() {
    let mut net = Net::new(20);
    let mutable = |seq, value: &[u8]| Item::Mutable(Mutable::sign(&[3; 32], b"salt", seq, value));
    let immutable = Item::Immutable(b"5:hello".to_vec());
    for (job, item) in [(1, mutable(1, b"i1e")), (2, mutable(2, b"i2e")), (3, immutable.clone())] {
        net.on(addr(3), Event::Put { job, item, cas: None });
        net.run(Duration::from_secs(20));
    }
    let stored =
        net.seen.iter().filter(|(_, action)| matches!(action, Action::Stored { nodes: 8.., .. })).count();
    assert_eq!(stored, 3);
    net.on(addr(15), Event::Get { job: 4, target: mutable(1, b"").target(), salt: b"salt" });
    net.on(addr(15), Event::Get { job: 5, target: immutable.target(), salt: b"" });
    net.on(addr(15), Event::Get { job: 6, target: NodeId([1; 20]), salt: b"" });
    net.run(Duration::from_secs(20));
    for got in [(4, Some(mutable(2, b"i2e"))), (5, Some(immutable)), (6, None)] {
        assert!(net.seen.contains(&(addr(15), Action::Got { job: got.0, item: got.1 })));
    }
}

#[test]
fn a_node_that_knows_nobody_asks_for_contacts_and_waits_longer_each_time() {
    let mut net = Net { nodes: BTreeMap::from([(addr(1), node(1))]), now: NOW, seen: Vec::new() };
    net.on(addr(1), Event::Want { info_hash: HASH, announce: None });
    net.run(Duration::from_secs(3600));
    let asked = net.seen.iter().filter(|(_, action)| *action == Action::NeedContacts).count();
    assert!((5..=10).contains(&asked), "{asked}");
    // Jobs end all the same.
    net.on(addr(1), Event::Lookup { job: 9, info_hash: HASH });
    assert!(net.seen.contains(&(addr(1), Action::Looked { job: 9, report: Report::default() })));
}

#[test]
fn a_restarted_node_needs_no_contacts() {
    let mut net = Net::new(20);
    let state = State::from_bytes(&net.nodes[&addr(7)].export(net.now).to_bytes());
    assert_eq!(state, net.nodes[&addr(7)].export(net.now));
    assert!(state.nodes.len() >= 8);
    let config = Config { seed: 99, v6: false, ..Config::default() };
    net.nodes.insert(addr(7), Dht::new(net.now, config, &state));
    net.seen.clear();
    net.run(Duration::from_secs(60));
    assert!(net.status(addr(7)).nodes[0].good >= 8);
    assert_eq!(net.status(addr(7)).nodes[0].id, state.id4.unwrap());
    assert!(!net.seen.contains(&(addr(7), Action::NeedContacts)));
}

#[test]
fn both_families_find_in_through_one() {
    let both = |n| Dht::new(NOW, Config { seed: n, ..Config::default() }, &State::default());
    // Here a node's two addresses are told apart by the sender's family.
    let mut nodes: Vec<Dht> = (1..=15).map(both).collect();
    let mut queue: VecDeque<(usize, Action)> = VecDeque::new();
    let (mut now, end) = (NOW, NOW + Duration::from_secs(300));
    for node in &mut nodes {
        node.on(now, Event::Contacts(&[addr(1)]), &mut Out::new());
    }
    nodes[0].on(now, Event::Contacts(&[addr6(2)]), &mut Out::new());
    while now < end {
        let (when, at) =
            nodes.iter().enumerate().map(|(at, node)| (node.deadline().unwrap().0, at)).min().unwrap();
        now = now.max(when);
        let mut out = Out::new();
        nodes[at].wake(now, &mut out);
        queue.extend(out.into_iter().map(|action| (at, action)));
        while let Some((from, action)) = queue.pop_front() {
            let Action::Send { to, bytes } = action else { continue };
            let (target, from) = match to.ip() {
                IpAddr::V4(ip) => (ip.octets()[3] as usize, addr(from as u8 + 1)),
                IpAddr::V6(ip) => (ip.octets()[15] as usize, addr6(from as u16 + 1)),
            };
            let mut out = Out::new();
            nodes[target - 1].on(now, Event::Datagram { from, bytes: &bytes }, &mut out);
            queue.extend(out.into_iter().map(|action| (target - 1, action)));
        }
    }
    for node in &nodes {
        let status = node.status(now);
        assert!(status.nodes.iter().all(|half| half.good >= 8), "{:?}", status.nodes);
    }
}

#[test]
fn tokens_and_items_are_checked() {
    let mut dht = node(1);
    let announce =
        |token: &[u8]| Ask::Announce { info_hash: HASH, port: None, token: token.to_vec(), seed: false };
    let put = |token: &[u8], item: Item, cas| {
        Ask::Put(Box::new(proto::krpc::Put { token: token.to_vec(), item, cas }))
    };
    let item = |seq| Mutable::sign(&[1; 32], b"", seq, b"i1e");
    let get = response(&mut dht, NOW, addr(2), Ask::Get { target: NodeId([1; 20]), seq: None });
    let token = get.token.unwrap();
    assert_eq!(error_code(&mut dht, addr(3), announce(&token)), code::PROTOCOL);
    assert_eq!(error_code(&mut dht, addr(2), announce(b"guess")), code::PROTOCOL);
    assert_eq!(error_code(&mut dht, addr(2), put(b"guess", Item::Mutable(item(1)), None)), code::PROTOCOL);
    assert_eq!(dht.status(NOW).stored_items + dht.status(NOW).stored_peers, 0);
    let mut ok = |ask| response(&mut dht, NOW, addr(2), ask);
    ok(announce(&token));
    ok(put(&token, Item::Mutable(item(5)), None));
    let target = Item::Mutable(item(5)).target();
    assert_eq!(ok(Ask::Get { target, seq: None }).item, Some(Item::Mutable(item(5))));
    let known = ok(Ask::Get { target, seq: Some(5) });
    assert_eq!((known.item, known.seq), (None, Some(5)));
    assert_eq!(ok(Ask::GetPeers { info_hash: HASH, no_seed: false, scrape: false }).peers, [addr(2)]);
    assert_eq!(ok(Ask::Sample { target }).samples.unwrap().hashes, [HASH]);
    let mut code_of = |item, cas| error_code(&mut dht, addr(2), put(&token, item, cas));
    assert_eq!(code_of(Item::Mutable(item(4)), None), code::SEQ_TOO_LOW);
    assert_eq!(code_of(Item::Mutable(item(6)), Some(4)), code::CAS_MISMATCH);
    assert_eq!(code_of(Item::Mutable(Mutable { seq: 7, ..item(6) }), None), code::SIGNATURE);
    assert_eq!(code_of(Item::Mutable(Mutable { salt: vec![0; 65], ..item(6) }), None), code::SALT_TOO_BIG);
    assert_eq!(code_of(Item::Immutable([b"1001:", &[b'x'; 1001][..]].concat()), None), code::TOO_BIG);
}

#[test]
fn unproved_addresses_get_no_more_than_their_due() {
    let mut dht = node(1);
    for n in 0..200 {
        dht.peers.add(NOW, HASH, ([70, 1, 1, n], 1).into(), false);
    }
    let ask = || Ask::GetPeers { info_hash: HASH, no_seed: false, scrape: true };
    let query = Query { id: NodeId([9; 20]), want: Want::default(), ask: ask() };
    let tx = Tx::new(b"zz").unwrap();
    let query =
        Message { tx, version: None, read_only: true, seen_as: None, body: Body::Query(query) }.encode();
    let mut total = 0;
    for n in 0..50 {
        let len = reply(&mut dht, NOW + Duration::from_secs(n), addr(9), ask()).unwrap().encode().len();
        assert!(len <= guard::MAX_ANSWER && len > query.len());
        total += len;
    }
    assert!(total <= guard::MAX_ANSWER + 50 * 3 * query.len(), "{total}");
}

#[test]
fn a_read_only_node_asks_and_does_not_answer() {
    let mut dht = node(1);
    let mut out = Out::new();
    dht.on(NOW, Event::ReadOnly(true), &mut out);
    assert!(reply(&mut dht, NOW, addr(2), Ask::Ping).is_none());
    dht.on(NOW, Event::Contacts(&[addr(2)]), &mut out);
    dht.wake(NOW, &mut out);
    let asked = out.iter().find_map(|action| match action {
        Action::Send { bytes, .. } => Message::decode(bytes).ok(),
        _ => None,
    });
    assert!(asked.unwrap().read_only);
}

#[test]
fn while_our_line_is_down_nobody_is_forgotten() {
    let mut net = Net::new(20);
    let before = net.nodes[&addr(7)].export(net.now).nodes.len();
    let lone = net.nodes.remove(&addr(7)).unwrap();
    let mut alone = Net { nodes: BTreeMap::from([(addr(7), lone)]), now: net.now, seen: Vec::new() };
    alone.run(Duration::from_secs(4 * 3600));
    assert_eq!(alone.nodes[&addr(7)].export(alone.now).nodes.len(), before);
}
