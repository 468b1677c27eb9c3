//! `btctl stats`, `dht`, `nat` and `shutdown`: the daemon as a whole.

use super::{Context, Result};
use crate::{
    exit::Code,
    ids::Prefix,
    render::{
        Output,
        format::{duration, grouped, long, rate, short},
        table::{Column, Pairs, Table},
    },
};
use proto::rpc::{
    ApiClient,
    params::{DhtLookup, Empty},
    session::{DhtLookupResult, DhtNode, DhtStatus, NatStatus, Stats},
};

/// `btctl stats`.
pub(crate) async fn stats(cx: &Context<'_>) -> Result {
    let stats = cx.call(cx.client.session_stats(&Empty {})).await?;
    cx.out.result(&stats, |stats| stats_pairs(stats).render(cx.out))?;
    Ok(Code::Ok)
}

fn stats_pairs(stats: &Stats) -> Pairs {
    let mut pairs = Pairs::default();
    pairs.add("Version", &stats.version);
    pairs.add("Up since", duration(stats.uptime));
    let states: Vec<String> = stats
        .states
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
    pairs.add("Torrents", format!("{}{states}", grouped(stats.torrents)));
    pairs.add("Down", format!("{}, {} since the start", rate(stats.download_rate), short(stats.downloaded)));
    pairs.add("Up", format!("{}, {} since the start", rate(stats.upload_rate), short(stats.uploaded)));
    pairs.add("Ever", format!("{} down, {} up", short(stats.downloaded_ever), short(stats.uploaded_ever)));
    if stats.wasted > 0 {
        pairs.add("Wasted", long(stats.wasted));
    }
    pairs.add(
        "Peers",
        format!("{} connected, {} connecting, {} banned", stats.peers, stats.half_open, stats.banned),
    );
    pairs.add("Port", stats.port.to_string());
    pairs.add("Disk", format!("{} read, {} written", short(stats.disk_read), short(stats.disk_written)));
    pairs.maybe("Free space", stats.free_space.map(long));
    pairs.add("Buffers", short(stats.cache_used));
    pairs
}

/// `btctl shutdown`.
pub(crate) async fn shutdown(cx: &Context<'_>) -> Result {
    let done = cx.call(cx.client.session_shutdown(&Empty {})).await?;
    cx.out.result(&done, |_| "btd is stopping\n".to_owned())?;
    Ok(Code::Ok)
}

/// `btctl dht`.
#[derive(Debug, clap::Args)]
pub(crate) struct Dht {
    /// Look this torrent up: an info-hash, or the beginning of one in the list.
    id: Option<Prefix>,
}

impl Dht {
    /// Shows the node, or the lookup.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        match &self.id {
            Some(id) => {
                let target = cx.one(id).await?;
                let found = cx.call(cx.client.dht_lookup(&DhtLookup { target })).await?;
                cx.out.result(&found, |found| lookup_text(found, cx.out))?;
            }
            None => {
                let status = cx.call(cx.client.dht_status(&Empty {})).await?;
                cx.out.result(&status, |status| status_text(status, cx.out))?;
            }
        }
        Ok(Code::Ok)
    }
}

fn status_text(status: &DhtStatus, out: &Output) -> String {
    if !status.enabled {
        return "the DHT is off; start btd with --dht\n".to_owned();
    }
    let blocks: Vec<String> = status.nodes.iter().map(|node| node_pairs(node).render(out)).collect();
    if blocks.is_empty() { "the DHT node is starting\n".to_owned() } else { blocks.join("\n") }
}

fn node_pairs(node: &DhtNode) -> Pairs {
    let mut pairs = Pairs::default();
    pairs.add("Family", &node.family);
    pairs.add("Node id", &node.id);
    pairs.add(
        "Seen as",
        node.external.map_or_else(|| "not known so far".to_owned(), |address| address.to_string()),
    );
    if node.read_only {
        pairs.add("Mode", "read-only: it cannot be reached from outside");
    }
    pairs.add(
        "Nodes",
        format!("{} good, {} questionable, {} in reserve", node.good, node.questionable, node.replacements),
    );
    pairs.add("Lookups", format!("{} under way", node.lookups));
    let (peers, torrents, items) = (node.stored_peers, node.stored_torrents, node.stored_items);
    pairs.add("Stored", format!("{peers} peers of {torrents} torrents, {items} items"));
    let (queries, lost) = (grouped(node.queries_out), grouped(node.timeouts));
    pairs.add(
        "Queries",
        format!("{} answered; {queries} sent, {lost} without answer", grouped(node.queries_in)),
    );
    pairs
}

fn lookup_text(found: &DhtLookupResult, out: &Output) -> String {
    let mut table = Table::new([
        Column::right("DEPTH"),
        Column::right("BITS"),
        Column::right("ANSWER"),
        Column::right("PEERS"),
        Column::left("ADDRESS"),
        Column::left("NODE").spare(1),
    ]);
    for hop in &found.path {
        table.row([
            hop.depth.to_string().into(),
            hop.common_bits.to_string().into(),
            hop.rtt.map_or_else(|| "none".to_owned(), |rtt| format!("{:.0} ms", rtt * 1000.0)).into(),
            hop.peers.to_string().into(),
            hop.address.to_string().into(),
            hop.id.as_deref().unwrap_or("?").into(),
        ]);
    }
    let mut text = table.render(out);
    let (asked, peers, seconds) = (found.path.len(), found.peers.len(), found.elapsed);
    text.push_str(&format!("{asked} nodes asked, {peers} peers found in {seconds:.1} s\n"));
    text.extend(found.peers.iter().map(|peer| format!("{peer}\n")));
    text
}

/// `btctl nat`.
pub(crate) async fn nat(cx: &Context<'_>) -> Result {
    let status = cx.call(cx.client.nat_status(&Empty {})).await?;
    cx.out.result(&status, |status| nat_pairs(status).render(cx.out))?;
    Ok(Code::Ok)
}

fn nat_pairs(status: &NatStatus) -> Pairs {
    let mut pairs = Pairs::default();
    for address in &status.listening {
        pairs.add("Listening", address.to_string());
    }
    for (address, told) in &status.external {
        pairs.add("Seen as", format!("{address} by {told}"));
    }
    for mapping in &status.mappings {
        let outcome = match (&mapping.external, &mapping.error) {
            (Some(external), _) => external.to_string(),
            (None, Some(error)) => error.clone(),
            (None, None) => "asking".to_owned(),
        };
        pairs.add(
            "Mapping",
            format!("{} {} by {}: {outcome}", mapping.protocol, mapping.port, mapping.method),
        );
    }
    pairs.add(
        "Reachable",
        match status.reachable {
            Some(true) => "yes, peers have connected",
            Some(false) => "no",
            None => "not known so far: nobody has tried",
        },
    );
    pairs
}
