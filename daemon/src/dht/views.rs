//! What is shown of the node.

use engine::dht::{Family, Hop, NodeStatus, Report, Status};
use proto::rpc::session::{DhtHop, DhtLookupResult, DhtNode, DhtStatus};

pub(super) fn status(status: &Status) -> DhtStatus {
    DhtStatus { enabled: true, nodes: status.nodes.iter().map(|node| shown(node, status)).collect() }
}

fn shown(node: &NodeStatus, status: &Status) -> DhtNode {
    DhtNode {
        family: match node.family {
            Family::V4 => "ipv4".to_owned(),
            Family::V6 => "ipv6".to_owned(),
        },
        id: node.id.to_string(),
        external: node.external,
        read_only: status.read_only,
        good: count(node.good),
        questionable: count(node.questionable),
        replacements: count(node.replacements),
        lookups: count(node.lookups),
        stored_torrents: count(status.stored_torrents),
        stored_peers: count(status.stored_peers),
        stored_items: count(status.stored_items),
        queries_in: status.counters.queries_in,
        queries_out: status.counters.queries_out,
        timeouts: status.counters.timeouts,
    }
}

pub(super) fn report(report: Report) -> DhtLookupResult {
    DhtLookupResult {
        peers: report.peers,
        path: report.path.iter().map(hop).collect(),
        elapsed: report.elapsed.as_secs_f64(),
    }
}

fn hop(hop: &Hop) -> DhtHop {
    DhtHop {
        id: hop.id.map(|id| id.to_string()),
        address: hop.addr,
        common_bits: count(hop.common_bits),
        depth: hop.depth,
        rtt: hop.rtt.map(|rtt| rtt.as_secs_f64()),
        peers: count(hop.peers),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
