//! `btctl list`.

use super::{Context, Result};
use crate::{
    exit::Code,
    ids::unique_digits,
    render::{
        Output, Style,
        format::{duration, percent, short},
        table::{Cell, Column, Table},
    },
};
use clap::ValueEnum;
use proto::rpc::{
    ApiClient, Row, State,
    params::{self, Filter},
    torrent::TorrentList,
};
use std::cmp::Ordering;

/// What the table shows; asking for no more keeps a list of 100,000 torrents small.
const FIELDS: [&str; 15] = [
    "name",
    "state",
    "progress",
    "size",
    "download_rate",
    "upload_rate",
    "ratio",
    "peers",
    "seeds",
    "eta",
    "error",
    "message",
    "added_at",
    "uploaded",
    "queue_position",
];

/// `btctl list`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only torrents with this in their name.
    text: Option<String>,
    /// Only torrents in this state.
    #[arg(long, short = 's', value_parser = parse_state)]
    state: Option<State>,
    /// Only torrents with this label.
    #[arg(long, short = 'l')]
    label: Option<String>,
    /// Only torrents with a tracker on this host.
    #[arg(long, value_name = "HOST")]
    tracker: Option<String>,
    /// The order; what is more, newer or faster comes first, but names from A to Z.
    #[arg(long, value_name = "KEY")]
    sort: Option<Sort>,
    /// The reverse order.
    #[arg(long, short = 'r')]
    reverse: bool,
    /// Show this many at most.
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    Name,
    State,
    Progress,
    Size,
    Down,
    Up,
    Ratio,
    Peers,
    Eta,
    Added,
    Queue,
}

fn parse_state(text: &str) -> std::result::Result<State, String> {
    State::ALL
        .into_iter()
        .find(|state| state.name() == text)
        .ok_or_else(|| format!("the states are {}", State::ALL.map(State::name).join(", ")))
}

impl List {
    /// Lists them.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let request = params::List { filter: self.filter(), ..params::List::default() };
        let request = if cx.out.json {
            request
        } else {
            params::List { fields: Some(FIELDS.map(str::to_owned).to_vec()), ..request }
        };
        let mut list = cx.call(cx.client.torrent_list(&request)).await?;
        if self.sort.is_some() || self.reverse {
            list.torrents.sort_by(|a, b| self.order(a, b));
        }
        if let Some(limit) = self.limit {
            list.torrents.truncate(limit);
        }
        cx.out.result(&list, |list| text(list, cx.out))?;
        if list.torrents.is_empty() {
            cx.out.note(match request.filter {
                None => "there are no torrents; add one: btctl add FILE.torrent",
                Some(_) => "no torrent matches",
            });
        }
        Ok(Code::Ok)
    }

    fn filter(&self) -> Option<Filter> {
        let filter = Filter {
            state: self.state,
            label: self.label.clone(),
            tracker: self.tracker.clone(),
            text: self.text.clone(),
        };
        (filter != Filter::default()).then_some(filter)
    }

    fn order(&self, a: &Row, b: &Row) -> Ordering {
        let order = match self.sort {
            // As the daemon gave them: by time of adding.
            None => a.added_at.cmp(&b.added_at).then(a.id.cmp(&b.id)),
            Some(Sort::Name) => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
            Some(Sort::State) => a.state.cmp(&b.state),
            Some(Sort::Progress) => b.progress.total_cmp(&a.progress),
            Some(Sort::Size) => b.size.cmp(&a.size),
            Some(Sort::Down) => b.download_rate.cmp(&a.download_rate),
            Some(Sort::Up) => b.upload_rate.cmp(&a.upload_rate),
            Some(Sort::Ratio) => b.ratio.total_cmp(&a.ratio),
            Some(Sort::Peers) => b.peers.cmp(&a.peers),
            Some(Sort::Eta) => a.eta.unwrap_or(u64::MAX).cmp(&b.eta.unwrap_or(u64::MAX)),
            Some(Sort::Added) => b.added_at.cmp(&a.added_at),
            Some(Sort::Queue) => a.queue_position.cmp(&b.queue_position),
        };
        if self.reverse { order.reverse() } else { order }
    }
}

/// The style in which a state catches the eye.
pub(crate) const fn style(state: State) -> Style {
    match state {
        State::Downloading => Style::Cyan,
        State::Seeding => Style::Green,
        State::Checking | State::Metadata => Style::Yellow,
        State::Error => Style::Red,
        State::Paused | State::Queued => Style::Dim,
    }
}

fn text(list: &TorrentList, out: &Output) -> String {
    if list.torrents.is_empty() && out.terminal {
        return String::new();
    }
    let mut table = Table::new([
        Column::left("ID"),
        Column::left("STATE"),
        Column::right("DONE"),
        Column::right("SIZE"),
        Column::right("DOWN/s"),
        Column::right("UP/s").spare(1),
        Column::right("RATIO").spare(3),
        Column::right("PEERS").spare(2),
        Column::right("ETA"),
        Column::left("NAME").shrinks(),
    ]);
    let digits = unique_digits(list.torrents.iter().map(|row| row.id));
    for row in &list.torrents {
        table.row(cells(row, digits));
        // Why a torrent stands still.
        if let Some(reason) = row.error.as_ref().or(row.message.as_ref()) {
            table.note(style(row.state), reason);
        }
    }
    table.render(out)
}

/// Bytes, short; a dash for nothing.
fn some(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { short(bytes) }
}

fn cells(row: &Row, digits: usize) -> Vec<Cell> {
    let style = style(row.state);
    vec![
        Cell::new(Style::Dim, &row.id.to_string()[..digits]),
        Cell::new(style, row.state.name()),
        percent(row.progress).into(),
        if row.size == 0 && row.state == State::Metadata { "-".into() } else { short(row.size).into() },
        some(row.download_rate).into(),
        some(row.upload_rate).into(),
        format!("{:.2}", row.ratio).into(),
        row.peers.to_string().into(),
        row.eta.map_or_else(|| "-".to_owned(), duration).into(),
        Cell::new(if row.state == State::Error { Style::Red } else { Style::Plain }, &row.name),
    ]
}
