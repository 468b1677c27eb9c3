//! `btd`, a BitTorrent daemon.

mod clock;
mod dht;
mod filter;
mod gate;
mod http;
mod log;
mod lsd;
mod net;
mod notify;
mod pump;
mod random;
mod run;
mod session;
mod settings;
mod shard;
mod storage;
mod store;
mod trackers;

/// Our name and version, as peers and trackers see it.
const CLIENT: &str = concat!("btd ", env!("CARGO_PKG_VERSION"));

fn main() -> std::process::ExitCode {
    let gathered = match settings::gather(std::env::args_os(), &settings::process_env()) {
        Ok(gathered) => gathered,
        Err(error) => error.exit(),
    };
    match run::run(gathered) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("btd: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
