//! [`BlobHash`]: the hash that names a file's content.

use std::fmt::{self, Display, Write};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 18;

/// The hash of a file's content, as hexadecimal digits; also what the cache calls the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlobHash {
    /// Of files in git's large file storage.
    Sha256(String),
    /// Of all other files: git's hash of a blob.
    GitSha1(String),
}

impl BlobHash {
    /// Takes 64 hexadecimal digits.
    pub(crate) fn sha256(digits: &str) -> Option<Self> {
        is_hex(digits, 64).then(|| Self::Sha256(digits.to_owned()))
    }

    /// Takes 40 hexadecimal digits.
    pub(crate) fn git_sha1(digits: &str) -> Option<Self> {
        is_hex(digits, 40).then(|| Self::GitSha1(digits.to_owned()))
    }

    /// The digits.
    pub(crate) fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitSha1(digits) => digits,
        }
    }

    /// The hash, of the same kind as this one, of a file.
    pub(crate) fn of_file(&self, path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        match self {
            Self::Sha256(_) => Ok(Self::Sha256(hash(Sha256::new(), &mut file)?)),
            Self::GitSha1(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {}\0", file.metadata()?.len()));
                Ok(Self::GitSha1(hash(hasher, &mut file)?))
            }
        }
    }
}

impl Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256 {digits}"),
            Self::GitSha1(digits) => write!(f, "git sha1 {digits}"),
        }
    }
}

/// Whether `text` is `digits` lower-case hexadecimal digits, and so also harmless as a file's name.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn hash<D: Digest>(mut hasher: D, file: &mut File) -> io::Result<String> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut digits = String::new();
    for byte in hasher.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"hello\n").unwrap();
        // `git hash-object` and `sha256sum` of a file that holds `hello`.
        let git = BlobHash::git_sha1("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        assert_eq!(git.of_file(&path).unwrap(), git);
        let sha =
            BlobHash::sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").unwrap();
        assert_eq!(sha.of_file(&path).unwrap(), sha);
    }

    #[test]
    fn only_hexadecimal_digits_are_a_hash() {
        assert!(BlobHash::sha256("../../etc").is_none());
        assert!(BlobHash::git_sha1(&"g".repeat(40)).is_none());
        assert!(BlobHash::git_sha1(&"a".repeat(39)).is_none());
        assert!(BlobHash::sha256(&"a".repeat(64)).is_some());
    }
}
