//! Which files of a repository a model consists of.

use super::weight_files::{ENDINGS, NAMES};

/// What describes a model beside its weights.
const DESCRIPTIONS: [&str; 3] = ["config.json", "preprocessor_config.json", "open_clip_config.json"];

/// Of the files in a repository those to download: the weights of the best known name (with all shards if that is an index),
/// or the only weight file, and what describes them. Nothing when there are no weights, or nothing tells which.
pub(crate) fn choose<'a>(files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let files: Vec<_> = files.filter(|name| !name.contains('/')).collect();
    let known = NAMES.iter().find(|name| files.contains(name));
    let mut chosen: Vec<&str> = match known {
        Some(name) => {
            let shards = name.strip_suffix(".index.json").into_iter().flat_map(|whole| {
                let stem = whole.rsplit_once('.').map_or(whole, |(stem, _)| stem);
                files.iter().copied().filter(move |file| is_shard(file, stem))
            });
            [*name].into_iter().chain(shards).collect()
        }
        None => match files
            .iter()
            .copied()
            .filter(|file| is_weights(file))
            .collect::<Vec<_>>()
        {
            only if only.len() == 1 => only,
            _ => return Vec::new(),
        },
    };
    chosen.extend(DESCRIPTIONS.iter().filter(|name| files.contains(name)));
    chosen.into_iter().map(str::to_owned).collect()
}

/// Whether `file` is called `stem-00001-of-00002.…`.
fn is_shard(file: &str, stem: &str) -> bool {
    let numbers = file
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split('.').next());
    numbers.is_some_and(|numbers| {
        numbers
            .split_once("-of-")
            .is_some_and(|(a, b)| [a, b].iter().all(|n| n.bytes().all(|byte| byte.is_ascii_digit())))
    })
}

/// Whether `file` ends as weights do; what `Trainer` of transformers leaves behind ends so too.
fn is_weights(file: &str) -> bool {
    let ending = file
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    file != "training_args.bin" && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str]) -> Vec<String> {
        choose(files.iter().copied())
    }

    #[test]
    fn the_best_weights_and_their_description() {
        let timm = [
            "README.md",
            "config.json",
            "model.safetensors",
            "pytorch_model.bin",
        ];
        assert_eq!(chosen(&timm), ["model.safetensors", "config.json"]);
        let retfound = ["RETFound_mae_natureCFP.pth", "README.md", "onnx/model.onnx"];
        assert_eq!(chosen(&retfound), ["RETFound_mae_natureCFP.pth"]);
        let open_clip = [
            "open_clip_config.json",
            "open_clip_pytorch_model.bin",
            "tokenizer.json",
        ];
        assert_eq!(
            chosen(&open_clip),
            ["open_clip_pytorch_model.bin", "open_clip_config.json"]
        );
        assert_eq!(chosen(&["a.pth", "b.pth", "config.json"]), Vec::<String>::new());
        assert_eq!(chosen(&["sub/model.safetensors"]), Vec::<String>::new());
    }

    #[test]
    fn an_index_takes_its_shards_along() {
        let files = [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model-extra.safetensors",
            "model.safetensors.index.json",
            "preprocessor_config.json",
        ];
        assert_eq!(
            chosen(&files),
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "preprocessor_config.json"
            ]
        );
    }
}
