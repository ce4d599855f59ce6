//! [`RepoId`]: which repository of the hub, and which state of it.

use std::fmt::{self, Display};
use std::str::FromStr;

use crate::HubError;

/// Prefixes that mark an id of the hub; timm writes the first, open_clip and older timm the second.
const PREFIXES: [&str; 2] = ["hf-hub:", "hf_hub:"];

/// What is fetched if an id names no revision.
const DEFAULT_REVISION: &str = "main";

/// Longest name of an organisation, a repository, or a part of a revision.
const LONGEST: usize = 96;

/// A repository on the hub and a revision of it: `org/name` or `org/name@revision`, with or without `hf-hub:`.
///
/// ```
/// let id: vpt_hub::RepoId = "hf-hub:timm/vit_tiny_patch16_224.augreg_in21k".parse()?;
/// assert_eq!(id.revision(), "main");
/// # Ok::<(), vpt_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    org: String,
    name: String,
    revision: String,
}

impl RepoId {
    /// Whether `spec` says by its prefix that it is an id of the hub, and not, say, a folder.
    pub fn has_prefix(spec: &str) -> bool {
        PREFIXES.iter().any(|prefix| spec.starts_with(prefix))
    }

    /// Who owns the repository.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The repository's name below its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A branch, a tag, a commit or something like `refs/pr/1`; `main` unless the id says otherwise.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// `org/name`, without the revision.
    pub fn path(&self) -> String {
        format!("{}/{}", self.org, self.name)
    }

    /// The repository's folder in the cache.
    pub(crate) fn folder_name(&self) -> String {
        format!("models--{}--{}", self.org, self.name)
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    /// Reads `[hf-hub:]org/name[@revision]`.
    ///
    /// # Errors
    /// [`HubError::BadId`], also for anything that could lead out of the cache's folder.
    fn from_str(spec: &str) -> Result<Self, HubError> {
        let bad = |reason: String| HubError::BadId {
            id: spec.to_owned(),
            reason,
        };
        let id = PREFIXES
            .iter()
            .find_map(|prefix| spec.strip_prefix(prefix))
            .unwrap_or(spec);
        let (path, revision) = id.split_once('@').unwrap_or((id, DEFAULT_REVISION));
        let Some((org, name)) = path.split_once('/') else {
            return Err(bad("expected `org/name`".into()));
        };
        check_name("organisation", org).map_err(bad)?;
        check_name("name", name).map_err(bad)?;
        for part in revision.split('/') {
            check_part("revision", part).map_err(bad)?;
        }
        Ok(Self {
            org: org.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }
}

impl Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)?;
        if self.revision != DEFAULT_REVISION {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// The hub's own rules for names. `--` separates the parts of a cache folder's name, so it must not occur in them.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    check_part(what, name)?;
    let edges = |c| c == '-' || c == '.';
    if name.contains("--") || name.starts_with(edges) || name.ends_with(edges) {
        return Err(format!(
            "the {what} `{name}` may not hold `--` or start or end with `-` or `.`"
        ));
    }
    Ok(())
}

/// What becomes one part of a path and of an address is letters, digits, `.`, `_` and `-`.
fn check_part(what: &str, part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err(format!("the {what} has an empty part"));
    }
    if part.len() > LONGEST {
        return Err(format!("the {what} is longer than {LONGEST} letters"));
    }
    if part.contains("..") || part == "." {
        return Err(format!("the {what} may not hold `..` or be `.`"));
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    match part.chars().find(odd) {
        Some(c) => Err(format!("the {what} may not hold {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_form() {
        for spec in [
            "timm/vit_tiny.augreg",
            "hf-hub:timm/vit_tiny.augreg",
            "hf_hub:timm/vit_tiny.augreg",
        ] {
            let id: RepoId = spec.parse().unwrap();
            assert_eq!((id.org(), id.name()), ("timm", "vit_tiny.augreg"), "{spec}");
            assert_eq!(id.revision(), "main");
            assert_eq!(id.to_string(), "timm/vit_tiny.augreg");
            assert_eq!(id.folder_name(), "models--timm--vit_tiny.augreg");
        }
        let id: RepoId = "hf-hub:a/b@refs/pr/1".parse().unwrap();
        assert_eq!(id.revision(), "refs/pr/1");
        assert_eq!(
            (id.to_string(), id.path()),
            ("a/b@refs/pr/1".into(), "a/b".into())
        );
        assert!(RepoId::has_prefix("hf_hub:a/b") && !RepoId::has_prefix("a/b"));
    }

    #[test]
    fn tricks_and_typing_errors_are_refused() {
        for (spec, says) in [
            ("", "expected `org/name`"),
            ("vit", "expected `org/name`"),
            ("hf-hub:", "expected `org/name`"),
            ("/etc/passwd", "empty part"),
            ("a/", "empty part"),
            ("a/b/c", "'/'"),
            ("../x", "`..`"),
            ("a/..", "`..`"),
            ("a/b..c", "`..`"),
            ("a/.b", "start or end"),
            ("a--b/c", "`--`"),
            ("a/b c", "' '"),
            ("a/b?x=1", "'?'"),
            ("a\\b/c", "'\\\\'"),
            ("a/b\0", "'\\0'"),
            ("a/ü", "'ü'"),
            ("a/b@", "empty part"),
            ("a/b@../../x", "`..`"),
            ("a/b@/x", "empty part"),
            ("a/b@x//y", "empty part"),
            ("a/b@x/./y", "be `.`"),
            ("a/b@x@y", "'@'"),
            ("https://huggingface.co/a/b", "':'"),
        ] {
            let error = spec.parse::<RepoId>().unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, HubError::BadId { .. }), "{spec}: {text}");
            assert!(text.contains(says), "{spec}: {text}");
        }
        assert!(format!("a/{}", "x".repeat(97)).parse::<RepoId>().is_err());
    }
}
