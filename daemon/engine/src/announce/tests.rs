use super::*;
use proptest::prelude::*;
use proto::tracker::Retry;
use std::collections::BTreeMap;

const T0: Instant = Instant::from_secs(1_000);
const HALF_HOUR: Duration = Duration::from_secs(1800);

fn tiers(tiers: &[&[&str]]) -> Vec<Vec<String>> {
    tiers.iter().map(|urls| urls.iter().map(|name| url(name)).collect()).collect()
}

fn url(name: &str) -> String {
    format!("http://{name}.example/announce")
}

fn response(peers: usize) -> Box<AnnounceResponse> {
    let peer = |i: usize| SocketAddr::from(([10, 0, 0, 1], 1000 + i as u16));
    Box::new(AnnounceResponse {
        interval: Some(HALF_HOUR),
        peers: (0..peers).map(peer).collect(),
        ..AnnounceResponse::default()
    })
}

fn timeout() -> TrackerError {
    TrackerError::Timeout
}

/// An announcer, its clock, and what it asked for.
struct Rig {
    announcer: Announcer,
    now: Instant,
    out: Vec<Action>,
}

impl Rig {
    fn new(names: &[&[&str]], spread: Spread) -> Self {
        Self { announcer: Announcer::new(&tiers(names), spread, 1), now: T0, out: Vec::new() }
    }

    fn started(names: &[&[&str]], spread: Spread) -> Self {
        let mut rig = Self::new(names, spread);
        rig.on(Event::Started);
        rig
    }

    fn on(&mut self, event: Event) {
        self.announcer.on(self.now, event, &mut self.out);
    }

    /// Lets time pass up to the deadline.
    fn wake(&mut self) -> Why {
        let (at, why) = self.announcer.deadline().expect("a deadline");
        assert!(at > self.now, "work that is due is done at once");
        self.now = at;
        self.announcer.wake(self.now, &mut self.out);
        why
    }

    /// The announces since the last call: the tracker's name and the event.
    fn asked(&mut self) -> Vec<(TrackerKey, String, Option<AnnounceEvent>)> {
        let asked = self.out.drain(..).filter_map(|action| match action {
            Action::Announce { tracker, url, ask } => {
                Some((tracker, url.host().split('.').next().unwrap().to_owned(), ask.event))
            }
            _ => None,
        });
        asked.collect()
    }

    /// The one announce since the last call.
    fn one(&mut self) -> (TrackerKey, String, Option<AnnounceEvent>) {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    fn answer(&mut self, tracker: TrackerKey) {
        self.on(Event::Answered { tracker, response: response(3) });
    }

    fn fail(&mut self, tracker: TrackerKey) {
        self.on(Event::Failed { tracker, error: timeout() });
    }
}

#[test]
fn a_life() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (key, _, event) = rig.one();
    assert_eq!(event, Some(AnnounceEvent::Started));
    assert_eq!(rig.announcer.deadline(), None, "nothing to do but wait for the answer");
    rig.answer(key);
    assert!(matches!(rig.out.as_slice(), [Action::Peers(peers)] if peers.len() == 3));
    rig.out.clear();

    assert_eq!(rig.wake(), Why::Interval);
    let waited = rig.now.since(T0);
    assert!(waited >= HALF_HOUR && waited <= HALF_HOUR.mul_f64(1.0 + INTERVAL_JITTER), "{waited:?}");
    assert_eq!(rig.one().2, None);
    rig.answer(key);
    rig.out.clear();

    rig.on(Event::Completed);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Completed), "the completion does not wait");
    rig.answer(key);
    rig.out.clear();

    rig.on(Event::Stop);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Stopped));
    rig.answer(key);
    assert_eq!(rig.out, [Action::Stopped]);
    assert_eq!(rig.announcer.deadline(), None);
}

#[test]
fn the_one_that_works_comes_first_the_next_time() {
    let mut rig = Rig::started(&[&["a", "b", "c"], &["d"]], Spread::One);
    let (first, _, _) = rig.one();
    rig.fail(first);
    let (second, name, event) = rig.one();
    assert_eq!(event, Some(AnnounceEvent::Started), "the first one did not hear it");
    rig.answer(second);
    assert_eq!(rig.announcer.tiers()[0][0], url(&name));
    rig.out.clear();
    rig.wake();
    assert_eq!(rig.one(), (second, name, None));
}

#[test]
fn a_lower_tier_is_asked_when_the_higher_ones_fail_and_left_when_they_are_back() {
    let mut rig = Rig::started(&[&["a"], &["b"]], Spread::One);
    let (a, name, _) = rig.one();
    assert_eq!(name, "a");
    rig.fail(a);
    let (b, name, _) = rig.one();
    assert_eq!(name, "b");
    rig.answer(b);
    rig.wake();
    assert_eq!(rig.one().1, "a");
}

#[test]
fn as_many_are_asked_as_the_setting_says() {
    let names: &[&[&str]] = &[&["a", "b"], &["c", "d"]];
    assert_eq!(Rig::started(names, Spread::One).asked().len(), 1);
    assert_eq!(Rig::started(names, Spread::EachTier).asked().len(), 2);
    let mut rig = Rig::started(names, Spread::Every);
    assert_eq!(rig.asked().len(), 4);
    let mut rig = Rig::started(names, Spread::One);
    rig.on(Event::Spread(Spread::EachTier));
    assert_eq!(rig.asked().len(), 2, "the change applies at once");
}

#[test]
fn tiers_are_shuffled_within_themselves() {
    let names: &[&[&str]] = &[&["a", "b", "c", "d"], &["e"]];
    let orders: std::collections::BTreeSet<_> =
        (0..40).map(|seed| Announcer::new(&tiers(names), Spread::One, seed).tiers()).collect();
    assert!(orders.len() > 5);
    for order in orders {
        assert_eq!(order[1], [url("e")]);
        let mut first = order[0].clone();
        first.sort();
        assert_eq!(first, tiers(names)[0]);
    }
}

#[test]
fn failures_are_met_with_growing_rests() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let mut rests = Vec::new();
    for _ in 0..12 {
        let (key, _, _) = rig.one();
        let before = rig.now;
        rig.fail(key);
        assert_eq!(rig.wake(), Why::Retry);
        rests.push(rig.now.since(before));
    }
    for (i, rest) in rests.iter().enumerate() {
        let middle = (FIRST_BACKOFF * 2u32.pow(i as u32)).min(MAX_BACKOFF);
        let range = middle.mul_f64(1.0 - BACKOFF_JITTER)..=middle.mul_f64(1.0 + BACKOFF_JITTER);
        assert!(range.contains(rest), "{i}: {rest:?} not in {range:?}");
    }
    assert_ne!(rests[10], rests[11], "jitter");
    let (key, _, _) = rig.one();
    assert_eq!(rig.announcer.status()[0].failures, 12);
    rig.answer(key);
    assert_eq!(rig.announcer.status()[0].failures, 0);
}

#[test]
fn a_tracker_may_ask_for_a_longer_rest() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let refuse = |rig: &mut Rig, retry| {
        let (tracker, _, _) = rig.one();
        let error = TrackerError::Failure { reason: "not\u{1b} now".into(), retry: Some(retry) };
        rig.on(Event::Failed { tracker, error });
    };
    refuse(&mut rig, Retry::In(Duration::from_secs(600)));
    rig.wake();
    assert_eq!(rig.now.since(T0), Duration::from_secs(600));
    refuse(&mut rig, Retry::Never);
    assert_eq!(rig.announcer.deadline(), None);
    let status = &rig.announcer.status()[0];
    assert_eq!((status.state, status.message.as_deref()), (State::Failing, Some("not now")));
    assert_eq!(status.next_at, None);
    rig.now += HALF_HOUR;
    rig.on(Event::Announce);
    assert_eq!(rig.asked().len(), 1, "a user may insist");
}

#[test]
fn intervals_are_kept_within_bounds() {
    let wait = |interval, min_interval| {
        let mut rig = Rig::started(&[&["a"]], Spread::One);
        let (tracker, _, _) = rig.one();
        let [interval, min_interval] =
            [interval, min_interval].map(|secs: Option<u64>| secs.map(Duration::from_secs));
        let response = Box::new(AnnounceResponse { interval, min_interval, ..*response(9) });
        rig.on(Event::Answered { tracker, response });
        rig.wake();
        rig.now.since(T0)
    };
    let about = |waited: Duration, want: Duration| {
        assert!((want..=want.mul_f64(1.0 + INTERVAL_JITTER)).contains(&waited), "{waited:?} for {want:?}");
    };
    about(wait(None, None), DEFAULT_INTERVAL);
    about(wait(Some(0), None), MIN_INTERVAL);
    about(wait(Some(u32::MAX.into()), Some(0)), MAX_INTERVAL);
    about(wait(Some(120), Some(300)), Duration::from_secs(300));
    about(wait(Some(120), Some(u32::MAX.into())), MAX_INTERVAL);
}

#[test]
fn a_user_cannot_ask_sooner_than_the_tracker_allows() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (tracker, _, _) = rig.one();
    let min = Duration::from_secs(300);
    let response = Box::new(AnnounceResponse { min_interval: Some(min), ..*response(9) });
    rig.on(Event::Answered { tracker, response });
    rig.out.clear();
    rig.on(Event::Announce);
    assert_eq!(rig.asked(), []);
    rig.wake();
    assert_eq!(rig.now.since(T0), min);
    assert_eq!(rig.asked().len(), 1);
}

#[test]
fn a_lonely_torrent_asks_as_soon_as_it_may() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (tracker, _, _) = rig.one();
    let min = Duration::from_secs(300);
    let response = Box::new(AnnounceResponse { min_interval: Some(min), ..*response(1) });
    rig.on(Event::Answered { tracker, response });
    assert_eq!(rig.announcer.deadline(), Some((T0 + min, Why::Interval)));
    rig.on(Event::NeedPeers(0));
    assert!(rig.announcer.deadline().unwrap().0 >= T0 + HALF_HOUR);
}

#[test]
fn peers_are_asked_for_by_need() {
    for (need, want) in [(0, 0), (1, MIN_NUMWANT), (77, 77), (9999, MAX_NUMWANT)] {
        let mut rig = Rig::new(&[&["a"]], Spread::One);
        rig.on(Event::NeedPeers(need));
        rig.on(Event::Started);
        assert!(matches!(&rig.out[..], [Action::Announce { ask, .. }] if ask.numwant == want));
        rig.out.clear();
    }
}

#[test]
fn completion_is_told_to_who_knows_us_only() {
    let mut rig = Rig::started(&[&["a"], &["b"]], Spread::EachTier);
    let asked = rig.asked();
    let [(a, _, _), (b, _, _)] = asked.as_slice() else { panic!("{asked:?}") };
    rig.fail(*b);
    rig.on(Event::Completed);
    assert_eq!(rig.asked(), [], "one is busy, the other does not know us");
    rig.answer(*a);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Completed));
    rig.wake();
    assert_eq!(rig.one(), (*b, "b".into(), Some(AnnounceEvent::Started)));
    rig.answer(*b);
    assert_eq!(rig.asked(), []);
}

#[test]
fn a_completion_that_was_not_heard_is_repeated() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (a, _, _) = rig.one();
    rig.answer(a);
    rig.on(Event::Completed);
    rig.out.clear();
    rig.fail(a);
    assert_eq!(rig.wake(), Why::Retry);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Completed));
    rig.answer(a);
    assert_eq!(rig.asked(), []);
}

#[test]
fn goodbye_waits_for_the_answer_under_way() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (a, _, _) = rig.one();
    rig.on(Event::Stop);
    assert_eq!(rig.out, []);
    rig.answer(a);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Stopped), "and its peers are of no use now");
    rig.on(Event::Started);
    assert_eq!(rig.out, [], "it is still being told");
    rig.fail(a);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Started), "back at once");
}

#[test]
fn pausing_and_resuming_does_not_hammer_a_tracker_that_fails() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (a, _, _) = rig.one();
    rig.fail(a);
    rig.on(Event::Stop);
    rig.on(Event::Started);
    assert_eq!(rig.asked(), []);
    rig.wake();
    assert_eq!(rig.now.since(T0), MANUAL_INTERVAL);
    assert_eq!(rig.one().2, Some(AnnounceEvent::Started));
}

#[test]
fn who_never_answered_is_not_told_goodbye() {
    let mut rig = Rig::started(&[&["a"]], Spread::One);
    let (a, _, _) = rig.one();
    rig.fail(a);
    rig.on(Event::Stop);
    assert_eq!(rig.out, [Action::Stopped]);
    rig.out.clear();
    rig.on(Event::Stop);
    assert_eq!(rig.out, [], "said once");
}

#[test]
fn trackers_are_added_and_replaced() {
    let mut rig = Rig::started(&[&["a"]], Spread::EachTier);
    let (a, _, _) = rig.one();
    rig.answer(a);
    rig.out.clear();
    rig.on(Event::AddTrackers(tiers(&[&["a"], &["b"]])));
    let (b, name, _) = rig.one();
    assert_eq!(name, "b");
    assert_eq!(rig.announcer.tiers(), tiers(&[&["a"], &["b"]]));

    rig.on(Event::ReplaceTrackers(tiers(&[&["c"], &["b"]])));
    let mut asked = rig.asked();
    asked.sort_by_key(|(_, name, _)| name.clone());
    let [(_, first, stopped), (_, second, started)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((first.as_str(), *stopped), ("a", Some(AnnounceEvent::Stopped)));
    assert_eq!((second.as_str(), *started), ("c", Some(AnnounceEvent::Started)));
    rig.answer(b);
    assert_eq!(rig.announcer.status()[1].state, State::Working, "it kept its key");
}

#[test]
fn what_we_cannot_use_is_shown() {
    let mut list = tiers(&[&["a"]]);
    list[0].push("wss://x\u{1b}.example".into());
    let rig = Announcer::new(&list, Spread::One, 1);
    let status = rig.status();
    assert_eq!(status.len(), 2);
    assert_eq!(status[0].state, State::Idle);
    assert_eq!((status[1].state, status[1].url.as_str()), (State::Unsupported, "wss://x.example"));
    let many: Vec<Vec<String>> = (0..1000).map(|i| vec![url(&format!("t{i}"))]).collect();
    assert_eq!(Announcer::new(&many, Spread::One, 1).status().len(), MAX_TRACKERS);
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    Complete,
    Stop,
    Need(u32),
    Manual,
    Answer { pick: usize, peers: usize, interval: u64, min: Option<u64> },
    Fail { pick: usize, retry: Option<Retry> },
    Stray(u32),
    Add(u8),
    Replace(Vec<Vec<u8>>),
    Spread(Spread),
    Wait,
    Sleep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let spread = prop_oneof![Just(Spread::One), Just(Spread::EachTier), Just(Spread::Every)];
    let answer = (any::<usize>(), 0..4usize, 0..10_000u64, proptest::option::of(0..2_000u64))
        .prop_map(|(pick, peers, interval, min)| Step::Answer { pick, peers, interval, min });
    let retry = proptest::option::of(prop_oneof![
        Just(Retry::Never),
        (0..100_000u64).prop_map(|s| Retry::In(Duration::from_secs(s)))
    ]);
    prop_oneof![
        3 => Just(Step::Start),
        2 => Just(Step::Complete),
        2 => Just(Step::Stop),
        1 => (0..300u32).prop_map(Step::Need),
        1 => Just(Step::Manual),
        8 => answer,
        4 => (any::<usize>(), retry).prop_map(|(pick, retry)| Step::Fail { pick, retry }),
        1 => any::<u32>().prop_map(Step::Stray),
        1 => (0..6u8).prop_map(Step::Add),
        1 => proptest::collection::vec(proptest::collection::vec(0..6u8, 0..3), 0..4).prop_map(Step::Replace),
        1 => spread.prop_map(Step::Spread),
        8 => Just(Step::Wait),
        2 => (0..10_000u64).prop_map(Step::Sleep),
    ]
}

/// What the outside sees, and what must hold of it.
#[derive(Default)]
struct Oracle {
    /// By URL: what is under way.
    asked: BTreeMap<String, (TrackerKey, Option<AnnounceEvent>)>,
    /// By URL: the tracker has us in its list.
    knows_us: BTreeMap<String, bool>,
    running: bool,
}

impl Oracle {
    fn check(&mut self, actions: &[Action]) -> Result<(), TestCaseError> {
        for action in actions {
            match action {
                Action::Announce { tracker, url, ask } => {
                    let url = url.to_string();
                    let knows_us = self.knows_us.get(&url).copied().unwrap_or(false);
                    match ask.event {
                        Some(AnnounceEvent::Started) => prop_assert!(!knows_us && self.running),
                        Some(AnnounceEvent::Stopped) => {
                            prop_assert!(knows_us, "goodbye to a stranger");
                            self.knows_us.insert(url.clone(), false);
                        }
                        _ => prop_assert!(knows_us && self.running, "{:?} to a stranger", ask.event),
                    }
                    let before = self.asked.insert(url, (*tracker, ask.event));
                    prop_assert!(before.is_none(), "two announces at once");
                }
                Action::Stopped => {
                    prop_assert!(!self.running && self.asked.is_empty(), "stopped is last");
                    prop_assert!(!self.knows_us.values().any(|knows| *knows), "someone was not told");
                }
                Action::Peers(_) | Action::SeenAs(_) => prop_assert!(self.running),
            }
        }
        Ok(())
    }

    /// Takes one of the announces that are under way.
    fn take(&mut self, pick: usize) -> Option<(String, TrackerKey, Option<AnnounceEvent>)> {
        let url = self.asked.keys().nth(pick % self.asked.len().max(1))?.clone();
        let (key, event) = self.asked.remove(&url)?;
        Some((url, key, event))
    }

    fn event(&mut self, step: Step) -> Option<Event> {
        Some(match step {
            Step::Start => Event::Started,
            Step::Complete => Event::Completed,
            Step::Stop => Event::Stop,
            Step::Need(need) => Event::NeedPeers(need),
            Step::Manual => Event::Announce,
            Step::Answer { pick, peers, interval, min } => {
                let (url, tracker, event) = self.take(pick)?;
                if event != Some(AnnounceEvent::Stopped) {
                    self.knows_us.insert(url, true);
                }
                let mut response = response(peers);
                response.interval = Some(Duration::from_secs(interval));
                response.min_interval = min.map(Duration::from_secs);
                Event::Answered { tracker, response }
            }
            Step::Fail { pick, retry } => {
                let error = TrackerError::Failure { reason: "no".into(), retry };
                Event::Failed { tracker: self.take(pick)?.1, error }
            }
            Step::Stray(key) if self.asked.values().all(|(asked, _)| *asked != TrackerKey(key)) => {
                Event::Answered { tracker: TrackerKey(key), response: response(3) }
            }
            Step::Add(name) => Event::AddTrackers(vec![vec![url(&name.to_string())]]),
            Step::Replace(names) => Event::ReplaceTrackers(
                names.iter().map(|tier| tier.iter().map(|name| url(&name.to_string())).collect()).collect(),
            ),
            Step::Spread(spread) => Event::Spread(spread),
            Step::Stray(_) | Step::Wait | Step::Sleep(_) => return None,
        })
    }
}

proptest! {
    /// Whatever happens: a tracker is never asked twice at once, hears `started` first and `stopped` last, nothing is asked
    /// while stopped, and the machine neither spins nor sleeps for ever.
    #[test]
    fn announces_are_orderly(seed: u64, steps in proptest::collection::vec(step(), 0..120)) {
        let mut announcer = Announcer::new(&tiers(&[&["0", "1"], &["2"], &["3", "4"]]), Spread::EachTier, seed);
        let mut oracle = Oracle::default();
        let mut now = T0;
        let mut out = Vec::new();
        for step in steps {
            match (&step, announcer.deadline()) {
                (Step::Wait, Some((at, _))) => now = at,
                (Step::Sleep(secs), _) => now += Duration::from_secs(*secs),
                _ => {}
            }
            match &step {
                Step::Start => oracle.running = true,
                Step::Stop => oracle.running = false,
                _ => {}
            }
            match oracle.event(step) {
                Some(event) => announcer.on(now, event, &mut out),
                None => announcer.wake(now, &mut out),
            }
            oracle.check(&out)?;
            out.clear();
            if let Some((at, _)) = announcer.deadline() {
                prop_assert!(at > now && oracle.running);
            }
        }
        // At the end everyone answers, and nothing is left.
        oracle.running = false;
        announcer.on(now, Event::Stop, &mut out);
        for _ in 0..40 {
            oracle.check(&out)?;
            out.clear();
            if let Some(event) = oracle.event(Step::Answer { pick: 0, peers: 0, interval: 0, min: None }) {
                announcer.on(now, event, &mut out);
            }
        }
        prop_assert!(oracle.asked.is_empty());
        prop_assert!(!oracle.knows_us.values().any(|knows| *knows));
    }

    #[test]
    fn the_same_seed_does_the_same(seed: u64, steps in proptest::collection::vec(step(), 0..60)) {
        let run = || {
            let mut announcer = Announcer::new(&tiers(&[&["0", "1", "2"], &["3", "4"]]), Spread::One, seed);
            let mut oracle = Oracle::default();
            let mut out = Vec::new();
            let mut all = Vec::new();
            for (i, step) in (0..).zip(steps.clone()) {
                if let Some(event) = oracle.event(step) {
                    announcer.on(T0 + Duration::from_secs(i * 100), event, &mut out);
                }
                let _ = oracle.check(&out);
                all.append(&mut out);
            }
            (all, announcer.deadline())
        };
        prop_assert_eq!(run(), run());
    }
}
