//! Visual prompt tuning, shallow and deep (Jia et al. 2022, arXiv 2203.12119).

/// Whether the parameter is learned beside the head: prompts, their projection and their gates.
pub(super) fn tunes(name: &str) -> bool {
    name == "prompts"
        || name == "prompt_gate"
        || name.starts_with("prompts.")
        || name.starts_with("prompt_proj.")
}
