//! `btctl show`, `files`, `peers` and `trackers`: one torrent in detail.

use super::{Context, Result};
use crate::{
    exit::Code,
    ids::Prefix,
    render::{
        Output, Style,
        format::{duration, limit, long, moment, percent, rate, short, short_rate},
        table::{Cell, Column, Pairs, Table},
    },
};
use proto::rpc::{
    ApiClient, Torrent,
    params::{AddPeers, AddTrackers, BanPeer, Id},
    torrent::{File, Peer, Priority, Tracker, TrackerState, Transport},
};
use std::net::{IpAddr, SocketAddr};

/// `btctl show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Which torrent.
    id: Prefix,
}

impl Show {
    /// Shows it.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        let torrent = cx.call(cx.client.torrent_get(&Id { id })).await?;
        cx.out.result(&torrent, |torrent| details(torrent).render(cx.out))?;
        Ok(Code::Ok)
    }
}

fn details(t: &Torrent) -> Pairs {
    let mut pairs = Pairs::default();
    pairs.add("Name", &t.name);
    pairs.add("Id", t.id.to_string());
    pairs.add("State", t.state.name());
    pairs.maybe("Error", t.error.as_ref());
    pairs.maybe("Status", t.message.as_ref());
    progress(t, &mut pairs);
    swarm(t, &mut pairs);
    pairs.add("Folder", &t.save_path);
    if !t.labels.is_empty() {
        pairs.add("Labels", t.labels.join(", "));
    }
    pairs.add("Added", moment(t.added_at));
    pairs.maybe("Completed", t.completed_at.map(moment));
    pairs.maybe("Active", t.active_at.map(moment));
    limits(t, &mut pairs);
    pairs.add("Private", if t.private { "yes" } else { "no" });
    pairs.maybe("Comment", t.comment.as_ref());
    let created = match (&t.created_by, t.created_at) {
        (Some(by), Some(at)) => Some(format!("by {by}, {}", moment(at))),
        (Some(by), None) => Some(format!("by {by}")),
        (None, at) => at.map(moment),
    };
    pairs.maybe("Created", created);
    pairs
}

fn progress(t: &Torrent, pairs: &mut Pairs) {
    if t.size > 0 {
        pairs.add("Size", long(t.size));
        let unwanted =
            if t.wanted < t.size { format!(", {} wanted", short(t.wanted)) } else { String::new() };
        pairs.add("Have", format!("{} of {}{unwanted}", short(t.have), short(t.size)));
        pairs.add("Files", t.files.to_string());
        pairs.add(
            "Pieces",
            format!("{} of {}, {} each", t.pieces_have, t.pieces, short(t.piece_length.into())),
        );
    }
    pairs.add("Done", percent(t.progress));
    let eta = t.eta.map(|eta| format!(", {} left", duration(eta))).unwrap_or_default();
    pairs.add("Down", format!("{}, {} in all{eta}", rate(t.download_rate), short(t.downloaded)));
    pairs.add("Up", format!("{}, {} in all, ratio {:.2}", rate(t.upload_rate), short(t.uploaded), t.ratio));
    if t.wasted > 0 {
        pairs.add("Wasted", long(t.wasted));
    }
}

fn swarm(t: &Torrent, pairs: &mut Pairs) {
    pairs.add("Peers", format!("{} connected, {} of them seeds; {} known", t.peers, t.seeds, t.known_peers));
    let told = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    if t.swarm_seeds.is_some() || t.swarm_leechers.is_some() {
        pairs.add(
            "Swarm",
            format!("{} seeds, {} leechers (by trackers)", told(t.swarm_seeds), told(t.swarm_leechers)),
        );
    }
    if t.peers > 0 {
        pairs.add("Copies", format!("{:.2}", t.availability));
    }
}

fn limits(t: &Torrent, pairs: &mut Pairs) {
    pairs.add("Queue", format!("place {}", t.queue_position));
    pairs.add("Order", if t.sequential { "sequential" } else { "by strategy" });
    pairs.add("Limits", format!("down {}, up {}", limit(t.download_limit), limit(t.upload_limit)));
    let ratio =
        t.seed_ratio_limit.map(|ratio| if ratio > 0.0 { format!("{ratio}") } else { "never".to_owned() });
    pairs.maybe("Seed ratio", ratio);
    let time = t.seed_time_limit.map(|time| if time > 0 { duration(time) } else { "never".to_owned() });
    pairs.maybe("Seed time", time);
    if t.seed_time > 0 {
        pairs.add("Seeded", duration(t.seed_time));
    }
}

/// `btctl files`.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    /// Which torrent.
    id: Prefix,
}

impl Files {
    /// Lists them.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        let files = cx.call(cx.client.torrent_files(&Id { id })).await?;
        cx.out.result(&files, |files| file_table(files, cx.out))?;
        Ok(Code::Ok)
    }
}

fn file_table(files: &[File], out: &Output) -> String {
    let mut table = Table::new([
        Column::right("FILE"),
        Column::left("PRIORITY").spare(1),
        Column::right("DONE"),
        Column::right("SIZE"),
        Column::left("PATH").shrinks(),
    ]);
    for file in files {
        let share = if file.size == 0 { 1.0 } else { file.have as f64 / file.size as f64 };
        let (style, priority) = match file.priority {
            Priority::Skip => (Style::Dim, "skip"),
            Priority::Low => (Style::Plain, "low"),
            Priority::Normal => (Style::Plain, "normal"),
            Priority::High => (Style::Cyan, "high"),
        };
        table.row([
            file.index.to_string().into(),
            Cell::new(style, priority),
            percent(share).into(),
            short(file.size).into(),
            Cell::new(if file.priority == Priority::Skip { Style::Dim } else { Style::Plain }, &file.path),
        ]);
    }
    table.render(out)
}

/// `btctl peers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// Which torrent.
    id: Prefix,
    /// Try this peer; may be repeated.
    #[arg(long, value_name = "IP:PORT")]
    add: Vec<SocketAddr>,
    /// Drop the peers at this address and refuse it from now on; may be repeated.
    #[arg(long, value_name = "IP")]
    ban: Vec<IpAddr>,
}

impl Peers {
    /// Adds and bans, and else lists.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        if !self.add.is_empty() {
            cx.call(cx.client.torrent_add_peers(&AddPeers { id, peers: self.add.clone() })).await?;
        }
        for &peer in &self.ban {
            cx.call(cx.client.torrent_ban_peer(&BanPeer { id, peer })).await?;
        }
        if (!self.add.is_empty() || !self.ban.is_empty()) && !cx.out.json {
            return Ok(Code::Ok);
        }
        let mut peers = cx.call(cx.client.torrent_peers(&Id { id })).await?;
        peers.sort_by_key(|peer| std::cmp::Reverse((peer.download_rate, peer.upload_rate)));
        cx.out.result(&peers, |peers| peer_table(peers, cx.out))?;
        if peers.is_empty() {
            cx.out.note("no peer is connected");
        }
        Ok(Code::Ok)
    }
}

fn peer_table(peers: &[Peer], out: &Output) -> String {
    let mut table = Table::new([
        Column::left("ADDRESS"),
        Column::left("FLAGS"),
        Column::right("DONE"),
        Column::right("DOWN"),
        Column::right("UP"),
        Column::right("RECEIVED").spare(2),
        Column::right("SENT").spare(1),
        Column::right("SINCE").spare(3),
        Column::left("CLIENT").shrinks(),
    ]);
    for peer in peers {
        table.row([
            peer.address.to_string().into(),
            flags(peer).into(),
            percent(peer.progress).into(),
            short_rate(peer.download_rate).into(),
            short_rate(peer.upload_rate).into(),
            short(peer.downloaded).into(),
            short(peer.uploaded).into(),
            duration(peer.connected).into(),
            Cell::from(&peer.client),
        ]);
    }
    let mut text = table.render(out);
    if !peers.is_empty() && out.terminal {
        const LEGEND: &str = "D we download (d: it chokes us), U we upload (u: we choke it), O optimistic, S snubbed, \
                              I incoming, E encrypted, P uTP";
        text.push_str(&out.paint(Style::Dim, LEGEND));
        text.push('\n');
    }
    text
}

/// The state of a connection in letters, as other clients show it.
fn flags(peer: &Peer) -> String {
    let letters = [
        (peer.interesting && !peer.choked_us, 'D'),
        (peer.interesting && peer.choked_us, 'd'),
        (peer.interested && !peer.choked, 'U'),
        (peer.interested && peer.choked, 'u'),
        (peer.optimistic, 'O'),
        (peer.snubbed, 'S'),
        (peer.incoming, 'I'),
        (peer.encrypted, 'E'),
        (peer.transport == Transport::Utp, 'P'),
    ];
    let flags: String = letters.into_iter().filter_map(|(set, letter)| set.then_some(letter)).collect();
    if flags.is_empty() { "-".to_owned() } else { flags }
}

/// `btctl trackers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Trackers {
    /// Which torrent.
    id: Prefix,
    /// Add this announce URL as a tier of its own; may be repeated.
    #[arg(long, value_name = "URL")]
    add: Vec<String>,
}

impl Trackers {
    /// Adds, and else lists.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let id = cx.one(&self.id).await?;
        if !self.add.is_empty() {
            let trackers = self.add.iter().map(|url| vec![url.clone()]).collect();
            cx.call(cx.client.torrent_add_trackers(&AddTrackers { id, trackers })).await?;
        }
        let trackers = cx.call(cx.client.torrent_trackers(&Id { id })).await?;
        cx.out.result(&trackers, |trackers| tracker_table(trackers, cx.out))?;
        if trackers.is_empty() {
            cx.out.note("it has no trackers; add one with --add URL");
        }
        Ok(Code::Ok)
    }
}

fn tracker_table(trackers: &[Tracker], out: &Output) -> String {
    let mut table = Table::new([
        Column::right("TIER"),
        Column::left("STATE"),
        Column::right("SEEDS").spare(1),
        Column::right("LEECHERS").spare(2),
        Column::right("PEERS").spare(3),
        Column::left("NEXT"),
        Column::left("URL").shrinks(),
    ]);
    let now = crate::render::format::now();
    let told = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for tracker in trackers {
        let (style, state) = match tracker.state {
            TrackerState::Idle => (Style::Dim, "idle"),
            TrackerState::Announcing => (Style::Cyan, "announcing"),
            TrackerState::Working => (Style::Green, "working"),
            TrackerState::Failing => (Style::Red, "failing"),
            TrackerState::Unsupported => (Style::Dim, "unsupported"),
        };
        let next = tracker.next_at.map_or_else(|| "-".to_owned(), |at| duration(at.saturating_sub(now)));
        table.row([
            tracker.tier.to_string().into(),
            Cell::new(style, state),
            told(tracker.seeds).into(),
            told(tracker.leechers).into(),
            told(tracker.peers).into(),
            next.into(),
            Cell::from(&tracker.url),
        ]);
        if let Some(message) = &tracker.message {
            table.note(style, message);
        }
    }
    table.render(out)
}
