//! Capabilities of runs: a token that names a run and proves that this daemon made it.
//!
//! Nothing is stored per run: the token is a keyed hash of the run's name under a secret of this state folder.

use std::io::{self, Read, Write};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::private;

const SECRET_BYTES: usize = 32;

/// Makes and checks tokens.
pub(crate) struct Tokens {
    secret: [u8; SECRET_BYTES],
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The session's id.
    pub session: String,
    /// The run.
    pub run: u32,
}

impl Tokens {
    /// Reads the secret, or draws one from the system's generator and keeps it with mode 0600.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut secret = [0; SECRET_BYTES];
        let kept = private::open(path, std::fs::OpenOptions::new().read(true));
        match kept.and_then(|mut file| file.read_exact(&mut secret)) {
            Ok(()) => return Ok(Self { secret }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Half a secret is none. Runs that hold a token of the whole one have to do without it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
        // Written aside and moved, so that whoever dies halfway leaves no half.
        let draft = path.with_extension("new");
        let mut file = private::draft(&draft)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        Ok(Self { secret })
    }

    /// Returns the tokens of a secret that is known, for fuzzers.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of(secret: [u8; SECRET_BYTES]) -> Self {
        Self { secret }
    }

    fn mac(&self, session: &str, run: u32) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(format!("{session}/{run}").as_bytes());
        mac
    }

    /// Makes the token of a run.
    pub(crate) fn issue(&self, session: &str, run: u32) -> String {
        let hash = self.mac(session, run).finalize().into_bytes();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{session}.{run}.{hex}")
    }

    /// Returns whom a token speaks for, or `None` when this daemon did not make it.
    pub(crate) fn check(&self, token: &str) -> Option<Bearer> {
        let mut parts = token.splitn(3, '.');
        let (session, number, hex) = (parts.next()?, parts.next()?, parts.next()?);
        let run: u32 = number.parse().ok()?;
        // A run has one token: `+1`, `01` and `AB` would be other spellings of one that was given out.
        let is_ours =
            run.to_string() == number && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let pairs = hex.as_bytes().chunks(2).filter(|_| is_ours);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let hash: Vec<u8> = pairs.map(byte).collect::<Option<_>>()?;
        // Compared in constant time.
        self.mac(session, run).verify_slice(&hash).ok()?;
        Some(Bearer { session: session.into(), run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_kept_and_half_of_one_is_drawn_anew() {
        let folder = std::env::temp_dir().join(format!("oarlock-secret-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret");
        let token = Tokens::open(&path).unwrap().issue("abc", 1);
        assert!(Tokens::open(&path).unwrap().check(&token).is_some(), "the next daemon knows its runs");
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, [1; 5]).unwrap();
        assert_eq!(Tokens::open(&path).unwrap().check(&token), None);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), SECRET_BYTES as u64);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_token_speaks_for_its_own_run_only() {
        let tokens = Tokens { secret: [7; SECRET_BYTES] };
        let token = tokens.issue("abc", 1);
        assert_eq!(tokens.check(&token), Some(Bearer { session: "abc".into(), run: 1 }));
        for forged in [
            token.replace("abc.1", "abc.2"),
            token.replace("abc", "abd"),
            format!("{token}00"),
            token.replace("abc.1", "abc.+1"),
            token.replace("abc.1", "abc.01"),
            token.to_uppercase().replace("ABC", "abc"),
            "".into(),
            "a.b".into(),
            "a.1.zz".into(),
            "a.1.é".into(),
        ] {
            assert_eq!(tokens.check(&forged), None, "{forged} was not made here");
        }
        // "+f" is a number, too.
        let with_plus = |run| {
            let token = tokens.issue("abc", run);
            let hex = token.rfind('.')? + 1;
            let at = (hex..token.len()).step_by(2).find(|at| token.as_bytes()[*at] == b'0')?;
            Some(format!("{}+{}", &token[..at], &token[at + 1..]))
        };
        let forged = (0..100).find_map(with_plus).unwrap();
        assert_eq!(tokens.check(&forged), None, "{forged} was not made here");
        assert_eq!(
            Tokens { secret: [8; SECRET_BYTES] }.check(&token),
            None,
            "another daemon's token is no token"
        );
    }
}
