//! Making a torrent in the daemon.

use super::{Mktorrent, tiers};
use crate::{
    commands::{
        Context, Result, act,
        work::{self, Bar, Stop, TICK},
    },
    exit::{Code, Failure},
    render::{Output, table::Pairs},
};
use make::Format;
use proto::{
    rpc::{
        ApiClient,
        params::{Create, CreateFormat, JobId},
        session::{Created, Job, JobState},
    },
    size::Size,
};

impl Mktorrent {
    /// Makes the torrent in the daemon, and waits for it.
    pub(crate) async fn run(self, cx: &Context<'_>) -> Result {
        let target = if cx.remote.is_local() { Some(self.target()?) } else { self.torrent_path.clone() };
        let request = Create {
            path: act::folder(cx, self.path())?,
            torrent_path: target.map(|target| act::folder(cx, &target)).transpose()?,
            force: self.force,
            format: match self.format() {
                Format::V1 => CreateFormat::V1,
                Format::V2 => CreateFormat::V2,
                Format::Hybrid => CreateFormat::Hybrid,
            },
            align: self.align,
            exclude: self.exclude.clone(),
            include_hidden: self.include_hidden,
            follow_symlinks: self.follow_symlinks,
            created_by: self.created_by.clone(),
            name: self.torrent_name.clone(),
            piece_length: self.piece_length.map(|length| Size(u64::from(length))),
            trackers: tiers(&self.announce_urls).map_err(work::failure)?,
            web_seeds: self.web_seeds.clone(),
            comment: self.comment.clone(),
            source: self.source.clone(),
            private: self.private,
            no_date: self.not_write,
            seed: self.seed,
        };
        let started =
            cx.call(cx.client.torrent_create(&request)).await.map_err(|failure| match failure.code {
                Code::Unreachable => failure.advise("--local makes the torrent without a daemon"),
                _ => failure,
            })?;
        let job = wait(cx, started.job).await?;
        match (job.state, job.created, job.error) {
            (JobState::Done, Some(created), _) => {
                cx.out.result(&created, |created| text(created, self.seed, cx.out))?;
                Ok(Code::Ok)
            }
            (JobState::Cancelled, ..) => Err(work::failure(make::Error::Cancelled)),
            (_, _, Some(error)) => Err(error.into()),
            _ => Err(Failure::failed("btd does not say what came of it")),
        }
    }
}

/// Asks how the job stands until it has ended; a signal cancels it.
async fn wait(cx: &Context<'_>, job: u64) -> Result<Job> {
    let mut stop = Stop::new()?;
    let mut bar = Bar::new(cx.out, "making")?;
    loop {
        let state = cx.call(cx.client.job_get(&JobId { job })).await?;
        if state.state != JobState::Running {
            return Ok(state);
        }
        bar.show(state.done, state.total)?;
        tokio::select! {
            () = stop.wait() => drop(cx.call(cx.client.job_cancel(&JobId { job })).await?),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

fn text(created: &Created, seed: bool, out: &Output) -> String {
    let mut pairs = Pairs::default();
    pairs.add("Torrent", &created.path);
    pairs.add("Info-hash", created.id.to_string());
    pairs.maybe("Info-hash v2", created.v2_hash.as_deref());
    pairs.add("Magnet", &created.magnet);
    if seed {
        pairs.add("State", "seeding");
    }
    pairs.render(out)
}
