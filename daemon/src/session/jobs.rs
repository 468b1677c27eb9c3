//! Long work on files that a call began: making torrents. Each job has a thread of its own and tells how far it is.

use super::Session;
use make::{Control, Format, Input, Made, Options, Plan};
use parking_lot::Mutex;
use proto::{
    id::InfoHash,
    rpc::{
        ErrorKind, RpcError,
        params::{Add, Create, CreateFormat},
        session::{Created, Job, JobState, Started},
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// Jobs at work at a time: each uses all cores and the whole disk, so more only take turns.
const MAX_RUNNING: usize = 4;

/// Ended jobs that are remembered, for whoever asks how they ended.
const MAX_ENDED: usize = 100;

/// All jobs, by number.
#[derive(Default)]
pub(super) struct Jobs(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    jobs: BTreeMap<u64, Entry>,
}

struct Entry {
    control: Arc<Control>,
    began: Instant,
    /// How it ended.
    end: Option<Result<Created, RpcError>>,
}

impl Jobs {
    /// Enters a new job; `None` if too many are at work.
    fn begin(&self) -> Option<(u64, Arc<Control>)> {
        let mut table = self.0.lock();
        let running = table.jobs.values().filter(|entry| entry.end.is_none()).count();
        if running >= MAX_RUNNING {
            return None;
        }
        if table.jobs.len() - running >= MAX_ENDED {
            let oldest = table.jobs.iter().find(|(_, entry)| entry.end.is_some()).map(|(job, _)| *job);
            oldest.map(|job| table.jobs.remove(&job));
        }
        table.next += 1;
        let job = table.next;
        let control = Arc::new(Control::new());
        let entry = Entry { control: Arc::clone(&control), began: Instant::now(), end: None };
        table.jobs.insert(job, entry);
        Some((job, control))
    }

    fn end(&self, job: u64, end: Result<Created, RpcError>) {
        if let Some(entry) = self.0.lock().jobs.get_mut(&job) {
            entry.end = Some(end);
        }
    }

    /// `job.get`.
    pub(super) fn get(&self, job: u64) -> Result<Job, RpcError> {
        let table = self.0.lock();
        let entry = table.jobs.get(&job).ok_or_else(|| no_job(job))?;
        let (done, total) = (entry.control.done(), entry.control.total());
        let mut shown = Job { job, done, total, ..Job::default() };
        match &entry.end {
            None => {
                shown.progress = if total == 0 { 0.0 } else { done as f64 / total as f64 };
                shown.rate = (done as f64 / entry.began.elapsed().as_secs_f64().max(0.001)) as u64;
            }
            Some(Ok(created)) => {
                (shown.state, shown.progress) = (JobState::Done, 1.0);
                shown.created = Some(created.clone());
            }
            Some(Err(_)) if entry.control.is_cancelled() => shown.state = JobState::Cancelled,
            Some(Err(error)) => {
                shown.state = JobState::Failed;
                shown.error = Some(error.clone());
            }
        }
        Ok(shown)
    }

    /// `job.cancel`.
    pub(super) fn cancel(&self, job: u64) -> Result<Job, RpcError> {
        let control = self.0.lock().jobs.get(&job).map(|entry| Arc::clone(&entry.control));
        control.ok_or_else(|| no_job(job))?.cancel();
        self.get(job)
    }
}

fn no_job(job: u64) -> RpcError {
    RpcError::new(ErrorKind::NotFound, format!("no job {job}: it was never begun, or it ended long ago"))
}

impl Session {
    /// `torrent.create`: checks what can be checked at once, then works in a thread.
    pub(super) async fn create(&self, params: Create) -> Result<Started, RpcError> {
        let (input, options, target) = plan(&params)?;
        let busy =
            || RpcError::new(ErrorKind::Busy, "enough torrents are being made: try again when one is done");
        let (job, control) = self.jobs.begin().ok_or_else(busy)?;
        let session = self.clone();
        let force = params.force;
        tokio::spawn(async move {
            let made =
                tokio::task::spawn_blocking(move || work(&input, &options, &target, force, &control)).await;
            let end = match made {
                Ok(Ok((made, path))) => session.finish(&params, made, path).await,
                Ok(Err(error)) => Err(RpcError::new(kind(&error), error.to_string())),
                Err(_) => Err(RpcError::new(ErrorKind::Internal, "making the torrent failed: see the log")),
            };
            session.jobs.end(job, end);
        });
        Ok(Started { job })
    }

    /// The torrent is made: it is added if that was asked for.
    async fn finish(&self, params: &Create, made: Made, path: PathBuf) -> Result<Created, RpcError> {
        let id = made
            .info_hash
            .or_else(|| made.v2_hash.map(truncated))
            .ok_or_else(|| RpcError::new(ErrorKind::Internal, "the torrent was made without an info-hash"))?;
        if params.seed {
            let folder = Path::new(&params.path).parent().map(|dir| dir.to_string_lossy().into_owned());
            let add = Add {
                source: Some(path.to_string_lossy().into_owned()),
                save_path: folder,
                assume_complete: true,
                ..Add::default()
            };
            self.add(add).await?;
        }
        Ok(Created {
            path: path.to_string_lossy().into_owned(),
            id,
            v2_hash: made.v2_hash.map(|hash| proto::id::to_hex(&hash)),
            magnet: made.magnet.to_string(),
        })
    }
}

/// A v2 torrent's name where there is room for 20 bytes only (BEP 52).
fn truncated(hash: [u8; 32]) -> InfoHash {
    InfoHash(std::array::from_fn(|at| hash[at]))
}

/// What is to be made of what, and where it goes.
fn plan(params: &Create) -> Result<(Input, Options, PathBuf), RpcError> {
    let wrong = |text: String| RpcError::new(ErrorKind::InvalidParams, text);
    let path = PathBuf::from(&params.path);
    if !path.is_absolute() {
        return Err(wrong(format!("path must be absolute on the daemon's host, not “{}”", params.path)));
    }
    for url in params.trackers.iter().flatten() {
        make::check_tracker(url).map_err(|error| wrong(error.to_string()))?;
    }
    let piece_length = params.piece_length.map(|size| make::parse_piece_length(&size.0.to_string()));
    let piece_length = piece_length.transpose().map_err(|error| wrong(error.to_string()))?;
    let target = match &params.torrent_path {
        Some(target) if Path::new(target).is_absolute() => PathBuf::from(target),
        Some(target) => return Err(wrong(format!("torrent_path must be absolute, not “{target}”"))),
        None => {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".torrent");
            path.with_file_name(name)
        }
    };
    if target.exists() && !params.force {
        return Err(RpcError::new(
            ErrorKind::Duplicate,
            format!(
                "{} is there already: give `force` to replace it, or another torrent_path",
                target.display()
            ),
        ));
    }
    let now = i64::try_from(crate::clock::unix_now()).unwrap_or(i64::MAX);
    let options = Options {
        format: match params.format {
            CreateFormat::V1 => Format::V1,
            CreateFormat::V2 => Format::V2,
            CreateFormat::Hybrid => Format::Hybrid,
        },
        align: params.align,
        piece_length,
        name: params.name.clone(),
        trackers: params.trackers.clone(),
        web_seeds: params.web_seeds.clone(),
        comment: params.comment.clone(),
        created_by: Some(params.created_by.clone().unwrap_or_else(|| crate::CLIENT.to_owned())),
        creation_date: (!params.no_date).then_some(now),
        private: params.private,
        source: params.source.clone(),
    };
    let input = Input {
        path,
        exclude: params.exclude.clone(),
        include_hidden: params.include_hidden,
        follow_symlinks: params.follow_symlinks,
        ..Input::default()
    };
    Ok((input, options, target))
}

fn work(
    input: &Input,
    options: &Options,
    target: &Path,
    force: bool,
    control: &Control,
) -> Result<(Made, PathBuf), make::Error> {
    let plan = Plan::walk(input, control)?;
    let made = make::make(plan, options, control)?;
    make::save(target, &made.bytes, force)?;
    Ok((made, target.to_owned()))
}

fn kind(error: &make::Error) -> ErrorKind {
    match error {
        make::Error::Exists(_) => ErrorKind::Duplicate,
        _ => ErrorKind::Disk,
    }
}
