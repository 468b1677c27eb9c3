//! The token: who knows it may drive btd.

use proto::id::to_hex;
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, hint};

/// Random bytes of a token that we make: beyond guessing.
const RANDOM: usize = 32;
/// A token file is one short line.
const MAX_FILE: u64 = 4096;

/// The token. It is never shown by accident.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
    digest: [u8; 32],
}

/// There is no usable token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token file cannot be read or written.
    #[error("the token file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The token cannot be sent in a header.
    #[error("the token in {0} must be one line of visible ASCII characters without spaces")]
    Unusable(String),
    /// The system gives no random bytes.
    #[error("no random bytes for a token: {0}")]
    Random(getrandom::Error),
}

impl Token {
    /// A token as given; `place` names where, for the error.
    pub(crate) fn new(text: &str, place: &str) -> Result<Self, TokenError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Unusable(place.to_owned()));
        }
        Ok(Self { text: text.to_owned(), digest: Sha256::digest(text).into() })
    }

    /// The token of a state directory, made on the first start. A `given` one (of `BTD_TOKEN`) replaces it, so that the
    /// file, which btctl reads, always has the one in force.
    pub(crate) fn settle(state_dir: &Path, given: Option<&str>) -> Result<Self, TokenError> {
        let path = state_dir.join("token");
        let failed = |source| TokenError::File { path: path.clone(), source };
        if let Some(given) = given {
            let token = Self::new(given, "BTD_TOKEN")?;
            token.write(&path).map_err(failed)?;
            return Ok(token);
        }
        match read(&path) {
            Ok(text) if !text.trim().is_empty() => Self::new(text.trim(), &path.display().to_string()),
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(source)),
            _ => {
                let mut random = [0; RANDOM];
                getrandom::fill(&mut random).map_err(TokenError::Random)?;
                let token = Self::new(&to_hex(&random), "the token file")?;
                token.write(&path).map_err(failed)?;
                Ok(token)
            }
        }
    }

    /// Writes the file as a whole, readable by its owner only from the first moment on.
    fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", self.text)?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// The token itself, to be printed or sent.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether this is the token. Digests are compared, so the time it takes says nothing about the token.
    pub(super) fn is(&self, text: &str) -> bool {
        same(&self.digest, &Sha256::digest(text).into())
    }

    /// What the page's cookie holds. A browser sends cookies to every port of a host, so it is not the token itself,
    /// and it belongs to one port.
    pub(super) fn cookie(&self, port: u16) -> String {
        to_hex(
            &Sha256::new().chain_update(format!("btd cookie {port} ")).chain_update(self.digest).finalize(),
        )
    }

    /// Whether this is the cookie's value.
    pub(super) fn is_cookie(&self, text: &str, port: u16) -> bool {
        same(&Sha256::digest(self.cookie(port)).into(), &Sha256::digest(text).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Compares every byte, whatever the first ones are.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    hint::black_box(a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

/// Reads the file, and closes it to others if somebody has opened it up.
fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the token file was open to other users; it is closed to them now");
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_a_token_that_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = Token::settle(dir.path(), None).unwrap();
        assert_eq!((made.reveal().len(), mode(&path)), (2 * RANDOM, 0o600));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Token::settle(dir.path(), None).unwrap().reveal(), made.reveal());
        assert_eq!(mode(&path), 0o600);
        assert_ne!(Token::settle(tempfile::tempdir().unwrap().path(), None).unwrap().reveal(), made.reveal());
    }

    #[test]
    fn a_given_token_is_in_force_and_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        Token::settle(dir.path(), None).unwrap();
        let token = Token::settle(dir.path(), Some("secret")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("token")).unwrap(), "secret\n");
        assert!(token.is("secret") && !token.is("secre") && !token.is("secret2") && !token.is(""));
        assert!(token.is_cookie(&token.cookie(1), 1) && !token.is_cookie(&token.cookie(1), 2));
        assert!(!token.is_cookie("secret", 1) && !token.is(&token.cookie(1)));
        assert!(Token::settle(dir.path(), Some("two words")).is_err());
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
