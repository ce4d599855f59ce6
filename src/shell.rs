//! Commands as a shell would take them, for the lines that say what to type next.

use std::path::Path;

/// A path or word that can be pasted into a shell.
pub fn quote(text: impl AsRef<Path>) -> String {
    let text = text.as_ref().display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%~".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The words of a command, each quoted where it needs to be.
pub fn line(words: impl IntoIterator<Item = impl AsRef<Path>>) -> String {
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// The command as it was typed, without what only changes how it talks.
pub fn command() -> String {
    let silent = |word: &String| {
        matches!(
            word.as_str(),
            "--json" | "-q" | "--quiet" | "-v" | "-vv" | "--verbose"
        )
    };
    let words = std::env::args().skip(1).filter(|word| !silent(word));
    line(["vpt".to_owned()].into_iter().chain(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(
            line(["vpt", "eval", "my runs/it's"]),
            r"vpt eval 'my runs/it'\''s'"
        );
        assert_eq!(quote(""), "''");
    }
}
