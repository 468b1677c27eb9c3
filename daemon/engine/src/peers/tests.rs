use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_failed_dial_is_tried_again_later_and_in_the_end_forgotten() {
    let mut candidates = Candidates::default();
    let mut now = Instant::from_secs(1);
    candidates.offer(now, Source::Tracker, &[addr("10.0.0.1:5")]);
    let mut waits = Vec::new();
    while let Some((next, source)) = candidates.next(now, false) {
        assert_eq!((next, source), (addr("10.0.0.1:5"), Source::Tracker));
        assert_eq!(candidates.dialling(), 1);
        assert!(candidates.next(now, false).is_none());
        candidates.failed(now, next);
        let Some(due) = candidates.next_due(false) else { break };
        waits.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(waits, [120, 240, 480, 960]);
    assert_eq!((candidates.dialling(), candidates.idle()), (0, 0));
}

#[test]
fn own_banned_and_senseless_endpoints_are_never_dialled() {
    let mut candidates = Candidates::default();
    candidates.set_own(vec![addr("10.0.0.9:6881")]);
    candidates.ban(addr("10.0.0.8:0").ip());
    let all =
        ["10.0.0.9:6881", "[::ffff:10.0.0.8]:7", "10.0.0.1:0", "0.0.0.0:5", "224.0.0.1:5", "[ff02::1]:5"];
    candidates.offer(Instant::START, Source::Pex, &all.map(addr));
    assert!(candidates.next(Instant::START, false).is_none());
    candidates.offer(Instant::START, Source::Pex, &[addr("10.0.0.9:6882")]);
    assert!(candidates.next(Instant::START, false).is_some());
}

#[test]
fn the_table_is_bounded_and_what_failed_makes_room() {
    let mut candidates = Candidates::default();
    let many: Vec<SocketAddr> =
        (0..3_000u32).map(|n| SocketAddr::new(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), 6881)).collect();
    candidates.offer(Instant::START, Source::Pex, &many);
    assert_eq!(candidates.idle() as usize, MAX_CANDIDATES);
    let (failed, _) = candidates.next(Instant::START, false).unwrap();
    candidates.failed(Instant::START, failed);
    candidates.offer(Instant::START, Source::Tracker, &[addr("192.0.2.1:1")]);
    assert!(candidates.remember(MAX_CANDIDATES).contains(&addr("192.0.2.1:1")));
    assert_eq!(candidates.idle() as usize, MAX_CANDIDATES);
}

#[test]
fn seeds_are_not_dialled_by_a_seed() {
    let mut candidates = Candidates::default();
    candidates.offer(Instant::START, Source::Tracker, &[addr("10.0.0.1:5")]);
    candidates.next(Instant::START, true).unwrap();
    candidates.connected(addr("10.0.0.1:5"));
    candidates.closed(Instant::START, addr("10.0.0.1:5"), true, true);
    let later = Instant::from_secs(1_000);
    assert_eq!(candidates.next_due(true), None);
    assert!(candidates.next(later, true).is_none());
    assert!(candidates.next(later, false).is_some());
}
