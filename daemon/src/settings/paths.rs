//! Where things are by default: the XDG base directories, and what systemd hands to a service.

use super::Env;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes a path absolute; `~/` is the user's folder, which no shell has replaced in a file.
pub(super) fn absolute(text: &str, env: &Env) -> PathBuf {
    let path = match (text.strip_prefix("~/"), home(env)) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    };
    std::path::absolute(&path).unwrap_or(path)
}

/// The settings file that is read when none is named.
pub(super) fn config(env: &Env) -> Option<PathBuf> {
    let folder = listed(env, "CONFIGURATION_DIRECTORY").or_else(|| Some(config_home(env)?.join("btd")));
    Some(folder?.join("btd.toml"))
}

/// The folder of the state.
pub(super) fn state(env: &Env) -> Option<PathBuf> {
    listed(env, "STATE_DIRECTORY")
        .or_else(|| Some(given(env, "XDG_STATE_HOME")?.join("btd")))
        .or_else(|| Some(home(env)?.join(".local/state/btd")))
}

/// The user's folder for downloads; of a service that has no user's folder, one in its state.
pub(super) fn downloads(env: &Env, state: &Path) -> Option<PathBuf> {
    if listed(env, "STATE_DIRECTORY").is_some() {
        return Some(state.join("downloads"));
    }
    let home = home(env)?;
    let listing = config_home(env).and_then(|folder| fs::read_to_string(folder.join("user-dirs.dirs")).ok());
    let chosen = listing.as_deref().and_then(|listing| download_line(listing, &home));
    Some(given(env, "XDG_DOWNLOAD_DIR").or(chosen).unwrap_or_else(|| home.join("Downloads")))
}

/// The line `XDG_DOWNLOAD_DIR="$HOME/…"` of `user-dirs.dirs`.
fn download_line(listing: &str, home: &Path) -> Option<PathBuf> {
    let value = listing.lines().find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?;
    let value = value.trim().trim_matches('"');
    match value.strip_prefix("$HOME") {
        Some(rest) => Some(home.join(rest.trim_start_matches('/'))),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

fn config_home(env: &Env) -> Option<PathBuf> {
    given(env, "XDG_CONFIG_HOME").or_else(|| Some(home(env)?.join(".config")))
}

fn home(env: &Env) -> Option<PathBuf> {
    given(env, "HOME")
}

/// An absolute path in a variable; others are to be ignored, as the XDG specification says.
fn given(env: &Env, name: &str) -> Option<PathBuf> {
    env.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The first path of a list with colons, as systemd gives them.
fn listed(env: &Env, name: &str) -> Option<PathBuf> {
    env.get(name)?.split(':').map(PathBuf::from).find(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn services_and_users_have_their_own_places() {
        let service = env(&[("STATE_DIRECTORY", "/var/lib/btd:/x"), ("CONFIGURATION_DIRECTORY", "/etc/btd")]);
        assert_eq!(state(&service).unwrap(), Path::new("/var/lib/btd"));
        assert_eq!(config(&service).unwrap(), Path::new("/etc/btd/btd.toml"));
        assert_eq!(
            downloads(&service, Path::new("/var/lib/btd")).unwrap(),
            Path::new("/var/lib/btd/downloads")
        );
        let user = env(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "relative")]);
        assert_eq!(state(&user).unwrap(), Path::new("/home/u/.local/state/btd"));
        assert_eq!(config(&user).unwrap(), Path::new("/home/u/.config/btd/btd.toml"));
        assert_eq!(downloads(&user, Path::new("/s")).unwrap(), Path::new("/home/u/Downloads"));
        assert_eq!(state(&env(&[])), None);
        assert_eq!(absolute("~/x", &user), Path::new("/home/u/x"));
    }

    #[test]
    fn the_users_folders_may_have_other_names() {
        let listing = "# comment\nXDG_DESKTOP_DIR=\"$HOME/Desk\"\nXDG_DOWNLOAD_DIR=\"$HOME/Geladen\"\n";
        assert_eq!(download_line(listing, Path::new("/home/u")).unwrap(), Path::new("/home/u/Geladen"));
        assert_eq!(
            download_line("XDG_DOWNLOAD_DIR=\"/srv/d\"", Path::new("/h")).unwrap(),
            Path::new("/srv/d")
        );
        assert_eq!(download_line("XDG_DOWNLOAD_DIR=relative", Path::new("/h")), None);
    }
}
