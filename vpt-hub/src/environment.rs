//! The environment variables that Python's `huggingface_hub` reads too.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// What the environment says about the hub.
#[derive(PartialEq, Eq)]
pub(crate) struct Environment {
    pub endpoint: Option<String>,
    pub token: Option<String>,
    pub cache: Option<PathBuf>,
    pub offline: bool,
}

impl Environment {
    /// Reads the variables through `lookup`; an empty one counts as not set.
    pub(crate) fn read(lookup: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| {
            let value = get(name)?.into_string().ok()?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let home = get("HOME").or_else(|| get("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| get(name).map(|value| expand(PathBuf::from(value), home.as_deref()));
        let hf_home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(home.as_ref()?.join(".cache").join("huggingface")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(hf_home.as_ref()?.join("token")));
        Self {
            endpoint: text("HF_ENDPOINT"),
            token: text("HF_TOKEN").or_else(|| token_in(&token_file?)),
            cache: path("HF_HUB_CACHE").or_else(|| Some(hf_home.as_ref()?.join("hub"))),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        }
    }
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

/// Most people have no token and no file for it.
fn token_in(file: &Path) -> Option<String> {
    let token = fs::read_to_string(file).ok()?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

/// `~/x` as the shell would read it: variables set in configuration files were never seen by one.
fn expand(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::read(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn cache(variables: &[(&str, &str)]) -> Option<PathBuf> {
        read(variables).cache
    }

    #[test]
    fn the_nearest_variable_names_the_cache() {
        let mut variables = vec![("USERPROFILE", "u")];
        let mut expect = |variable, path: &str| {
            variables.push(variable);
            assert_eq!(cache(&variables), Some(PathBuf::from(path)), "{variables:?}");
        };
        expect(("X", ""), "u/.cache/huggingface/hub");
        expect(("HOME", "h"), "h/.cache/huggingface/hub");
        expect(("XDG_CACHE_HOME", "xdg"), "xdg/huggingface/hub");
        expect(("HF_HOME", "hf"), "hf/hub");
        expect(("HF_HUB_CACHE", "~/c"), "h/c");
        assert_eq!(cache(&[]), None);
        assert_eq!(
            cache(&[("HOME", "h"), ("HF_HOME", "")]),
            Some("h/.cache/huggingface/hub".into())
        );
    }

    #[test]
    fn the_token_is_the_variable_or_else_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        fs::write(folder.path().join("token"), "of-home\n").unwrap();
        fs::write(folder.path().join("other"), " of-path\n").unwrap();
        let other = folder.path().join("other");
        let other = other.to_str().unwrap();
        let token = |variables: &[_]| read(variables).token;
        assert_eq!(token(&[("HF_HOME", home)]).unwrap(), "of-home");
        let both = [("HF_HOME", home), ("HF_TOKEN_PATH", other)];
        assert_eq!(token(&both).unwrap(), "of-path");
        let all = [
            ("HF_HOME", home),
            ("HF_TOKEN_PATH", other),
            ("HF_TOKEN", "direct\n"),
        ];
        assert_eq!(token(&all).unwrap(), "direct");
        assert_eq!(token(&[("HF_TOKEN", " "), ("HF_TOKEN_PATH", "absent")]), None);
    }

    #[test]
    fn offline_and_the_endpoint() {
        for (value, offline) in [
            ("1", true),
            ("TRUE", true),
            ("yes", true),
            ("On", true),
            ("0", false),
            ("no", false),
            ("", false),
        ] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).offline, offline, "{value}");
        }
        assert!(!read(&[]).offline);
        assert_eq!(
            read(&[("HF_ENDPOINT", "http://mirror")]).endpoint.unwrap(),
            "http://mirror"
        );
        assert_eq!(read(&[]).endpoint, None);
    }
}
