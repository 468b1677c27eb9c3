//! `btctl watch`: torrents at work, live.

use super::{Context, Result};
use crate::{
    exit::{Code, Failure},
    ids::Name,
    render::{
        Output, Style, clean,
        format::{duration, percent, short_rate},
        live::{Live, bar},
        text::{elide, pad, width},
    },
};
use clap::ValueEnum;
use jsonrpsee::core::client::Subscription;
use proto::{
    id::InfoHash,
    rpc::{ApiSubscriber, Ids, State, Torrent, session::Events},
};
use std::{collections::BTreeMap, io};
use tokio::signal::unix::{SignalKind, signal};

/// `btctl watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// Which torrents; without any, all.
    ids: Vec<Name>,
    /// When to end; else Ctrl-C does.
    #[arg(long, value_name = "WHAT")]
    until: Option<Until>,
}

/// When watching ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Until {
    /// Everything wanted of every torrent is here.
    Done,
}

impl Watch {
    /// Watches.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let chosen = match cx.many(&self.ids).await? {
            Ids::These(ids) if !self.ids.is_empty() => Some(ids),
            _ => None,
        };
        watch(cx, chosen, self.until).await
    }
}

/// Watches these torrents until everything wanted of them is here.
pub(crate) async fn until_done(cx: &Context<'_>, ids: Vec<InfoHash>) -> Result {
    watch(cx, Some(ids), Some(Until::Done)).await
}

async fn watch(cx: &Context<'_>, chosen: Option<Vec<InfoHash>>, until: Option<Until>) -> Result {
    let client = cx.remote.websocket().await?;
    let events = cx.call(client.events()).await?;
    let mut view = View { chosen, torrents: BTreeMap::new() };
    let end = if cx.out.json {
        follow(cx, events, &mut view, until, &mut Silent).await
    } else if cx.out.terminal {
        let mut screen = Screen { out: cx.out, live: Live::new(cx.out)? };
        follow(cx, events, &mut view, until, &mut screen).await
    } else {
        follow(cx, events, &mut view, until, &mut Lines::default()).await
    };
    if cx.out.json && end.is_ok() {
        cx.out.document(&view.torrents.values().collect::<Vec<_>>())?;
    }
    end
}

/// Reads events until the end, or until a signal; the display is dropped, and the terminal restored, either way.
async fn follow(
    cx: &Context<'_>,
    mut events: Subscription<Events>,
    view: &mut View,
    until: Option<Until>,
    display: &mut impl Display,
) -> Result {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    loop {
        let item = tokio::select! {
            item = events.next() => item,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        };
        match item {
            Some(Ok(events)) => view.apply(events),
            Some(Err(error)) => return Err(Failure::failed(format!("btd's answer makes no sense: {error}"))),
            None => return Err(Failure::new(Code::Unreachable, "the connection to btd is lost")),
        }
        display.show(view)?;
        if until == Some(Until::Done)
            && let Some(end) = view.end()
        {
            return end;
        }
    }
    // Leaving an endless watch is its usual end; leaving one that had an aim means that the aim was not reached.
    match until {
        None => Ok(Code::Ok),
        Some(Until::Done) if cx.out.json => Ok(Code::Failed),
        Some(Until::Done) => Err(Failure::failed("left before all was done; the download goes on")),
    }
}

/// What is being watched.
struct View {
    /// Only these.
    chosen: Option<Vec<InfoHash>>,
    torrents: BTreeMap<InfoHash, Torrent>,
}

impl View {
    fn apply(&mut self, events: Events) {
        for torrent in events.changed {
            if self.chosen.as_ref().is_none_or(|ids| ids.contains(&torrent.id)) {
                self.torrents.insert(torrent.id, torrent);
            }
        }
        for id in events.removed {
            self.torrents.remove(&id);
        }
    }

    /// How it ends, once no torrent can get further.
    fn end(&self) -> Option<Result> {
        if let Some(gone) = self.chosen.iter().flatten().find(|id| !self.torrents.contains_key(id)) {
            let gone = &gone.to_string()[..8];
            return Some(Err(Failure::new(
                Code::NotFound,
                format!("torrent {gone} is not there, or no longer"),
            )));
        }
        let mut failed = self.torrents.values().filter(|torrent| torrent.state == State::Error);
        if !self.torrents.values().all(|torrent| torrent.state == State::Error || is_done(torrent)) {
            return None;
        }
        Some(match failed.next() {
            None => Ok(Code::Ok),
            Some(torrent) => {
                let reason = torrent.error.as_deref().unwrap_or("no reason given");
                Err(Failure::failed(format!("{}: {reason}", torrent.name)))
            }
        })
    }

    /// The torrents, the busiest first.
    fn ordered(&self) -> Vec<&Torrent> {
        let rank = |state| match state {
            State::Downloading => 0,
            State::Metadata | State::Checking => 1,
            State::Error => 2,
            State::Queued => 3,
            State::Seeding => 4,
            State::Paused => 5,
        };
        let mut all: Vec<&Torrent> = self.torrents.values().collect();
        all.sort_by(|a, b| {
            let key = |t: &Torrent| (rank(t.state), t.added_at, t.id);
            key(a).cmp(&key(b))
        });
        all
    }
}

/// Whether everything wanted is here. While checking, `progress` is that of the check.
fn is_done(torrent: &Torrent) -> bool {
    match torrent.state {
        State::Seeding => true,
        State::Paused | State::Queued => torrent.size > 0 && torrent.progress >= 1.0,
        State::Checking | State::Metadata | State::Downloading | State::Error => false,
    }
}

/// Where progress is shown.
trait Display {
    fn show(&mut self, view: &View) -> io::Result<()>;
}

/// With `--json` there is one document, at the end.
struct Silent;

impl Display for Silent {
    fn show(&mut self, _: &View) -> io::Result<()> {
        Ok(())
    }
}

/// In a pipe or a log: a line whenever a torrent's state changes or another tenth of it is here.
#[derive(Default)]
struct Lines(BTreeMap<InfoHash, (State, u8)>);

impl Display for Lines {
    fn show(&mut self, view: &View) -> io::Result<()> {
        use std::io::Write;
        let mut stdout = io::stdout().lock();
        for torrent in view.ordered() {
            let tenth = (torrent.progress.clamp(0.0, 1.0) * 10.0) as u8;
            if self.0.insert(torrent.id, (torrent.state, tenth)) == Some((torrent.state, tenth)) {
                continue;
            }
            let (id, name) = (&torrent.id.to_string()[..8], clean(&torrent.name));
            let (state, share) = (torrent.state.name(), percent(torrent.progress));
            writeln!(
                stdout,
                "{id}  {state:<11}  {share:>6}  {:>9}  {name}",
                short_rate(torrent.download_rate)
            )?;
        }
        stdout.flush()
    }
}

/// On a terminal: a bar for each torrent.
struct Screen<'a> {
    out: &'a Output,
    live: Live<'a>,
}

impl Display for Screen<'_> {
    fn show(&mut self, view: &View) -> io::Result<()> {
        let all = view.ordered();
        let columns = self.out.width().unwrap_or(80);
        let room = self.live.room();
        let shown = if all.len() <= room { all.len() } else { room - 1 };
        let longest = all.iter().take(shown).map(|torrent| width(&clean(&torrent.name))).max().unwrap_or(0);
        let mut lines: Vec<String> =
            all.iter().take(shown).map(|torrent| line(torrent, columns, longest, self.out)).collect();
        if shown < all.len() {
            lines.push(self.out.paint(Style::Dim, &format!("… and {} more", all.len() - shown)));
        }
        if all.is_empty() {
            lines.push(self.out.paint(Style::Dim, "there are no torrents"));
        }
        self.live.draw(&lines)
    }
}

/// Columns of everything in a line that is neither name nor bar, gaps included.
const FIXED: usize = 44;
const MIN_BAR: usize = 12;
const MAX_BAR: usize = 40;
/// One column stays free: some terminals wrap when the last one is written.
const MARGIN: usize = 1;

/// One torrent in a line of less than `columns`, where the longest name shown has `longest`.
fn line(torrent: &Torrent, columns: usize, longest: usize, out: &Output) -> String {
    let room = columns.saturating_sub(MARGIN);
    let free = room.saturating_sub(FIXED);
    let style = super::list::style(torrent.state);
    let name = clean(&torrent.name);
    let share = percent(torrent.progress);
    let reason = match torrent.state {
        State::Error => torrent.error.as_deref(),
        State::Metadata | State::Checking | State::Queued => torrent.message.as_deref(),
        _ => None,
    };
    // A narrow terminal, or something to say instead of figures.
    if free < 20 || reason.is_some() {
        let said = reason.unwrap_or(torrent.state.name());
        let name = elide(&name, room / 2);
        let said = clean(said);
        let said = elide(&said, room.saturating_sub(width(&name) + share.len() + 4));
        return format!("{name}  {share}  {}", out.paint(style, &said));
    }
    let name_columns = longest.min(free - MIN_BAR);
    let bar_columns = (free - name_columns).min(MAX_BAR);
    let bar = bar(torrent.progress, bar_columns);
    let peers = format!("{}/{}", torrent.seeds, torrent.peers);
    let left = match torrent.state {
        State::Downloading => torrent.eta.map_or_else(|| "∞".to_owned(), duration),
        other => other.name().to_owned(),
    };
    format!(
        "{}  {}▏{share:>6} {:>7}↓ {:>7}↑ {peers:>7} {left:>8}",
        pad(&elide(&name, name_columns), name_columns),
        out.paint(style, &bar),
        short_rate(torrent.download_rate),
        short_rate(torrent.upload_rate),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Color;

    fn torrent(byte: u8, state: State, progress: f64) -> Torrent {
        let mut torrent = Torrent::new(InfoHash([byte; 20]));
        torrent.name = "Ein ziemlich langer Name mit 日本語 und mehr.iso".into();
        torrent.size = 1 << 30;
        (torrent.state, torrent.progress) = (state, progress);
        torrent
    }

    #[test]
    fn a_line_fits_every_terminal() {
        let out = Output::new(false, Color::Never);
        for state in State::ALL {
            let mut torrent = torrent(1, state, 0.5);
            (torrent.download_rate, torrent.upload_rate) = (1023 << 20, 999 << 20);
            (torrent.peers, torrent.seeds, torrent.eta) = (500, 100, Some(86_399));
            for reason in
                [None, Some("no space left on the device that has /srv/downloads; make room and resume")]
            {
                torrent.error = reason.map(str::to_owned);
                torrent.message = reason.map(str::to_owned);
                for columns in 40..200 {
                    for longest in [10, 47, 200] {
                        let line = line(&torrent, columns, longest, &out);
                        assert!(width(&line) < columns, "{columns}: {line}");
                    }
                }
            }
        }
    }

    #[test]
    fn it_ends_when_nothing_can_get_further() {
        let mut view = View { chosen: None, torrents: BTreeMap::new() };
        let set = |view: &mut View, torrent: Torrent| {
            view.apply(Events { changed: vec![torrent], ..Events::default() });
        };
        set(&mut view, torrent(1, State::Downloading, 0.9));
        assert!(view.end().is_none());
        set(&mut view, torrent(1, State::Checking, 1.0));
        assert!(view.end().is_none());
        set(&mut view, torrent(1, State::Seeding, 1.0));
        assert_eq!(view.end().unwrap().unwrap(), Code::Ok);
        set(&mut view, torrent(2, State::Error, 0.1));
        assert_eq!(view.end().unwrap().unwrap_err().code, Code::Failed);
        view.chosen = Some(vec![InfoHash([9; 20])]);
        assert_eq!(view.end().unwrap().unwrap_err().code, Code::NotFound);
    }
}
