//! Flags of what is fine-tuned, and how.

use std::path::PathBuf;

use clap::Args;
use toml::Value;

use crate::cli::layer::Layer;
use crate::cli::values;

/// What is fine-tuned.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Backbone: `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models` [default: demo]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Image size: pixels, or height x width [default: that of the backbone; for boxes and masks 32 patches a side]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size)]
    pub img_size: Option<[usize; 2]>,

    /// Channels of the head for boxes or masks; 0 makes it one linear layer, for masks [default: 64]
    #[arg(long, value_name = "N")]
    pub head_width: Option<usize>,

    /// See pictures N times as large, through sliding windows of the image size, for masks with fine detail [default: 1]
    #[arg(long, value_name = "N")]
    pub windows: Option<usize>,

    /// Start from random weights instead of those of the backbone
    #[arg(long)]
    pub no_pretrained: bool,

    /// Start from the prompts (and the head, where the classes agree) of this task file
    #[arg(long, value_name = "TASKFILE")]
    pub init_from: Option<PathBuf>,
}

impl ModelArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.set("model", self.model.clone());
        layer.set(
            "image_size",
            self.img_size
                .map(|size| size.map(|side| Value::Integer(side as i64)).to_vec()),
        );
        layer.set("head_width", self.head_width.map(|width| width as i64));
        layer.set("windows", self.windows.map(|windows| windows as i64));
        layer.set("pretrained", self.no_pretrained.then_some(false));
        layer.set(
            "init_from",
            self.init_from
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
        );
    }
}

/// How the prompts look (for `vpt-deep` and `vpt-shallow`).
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Prompts")]
pub struct PromptArgs {
    /// Prompt tokens in each block
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub num_tokens: Option<usize>,

    /// Dropout on the prompts while training
    #[arg(long, value_name = "P", value_parser = values::rate)]
    pub prompt_dropout: Option<f64>,

    /// Learn prompts of this width and project them to the width of the backbone
    #[arg(long, visible_alias = "prompt-dim", value_name = "DIM", value_parser = values::count)]
    pub prompt_project_dim: Option<usize>,

    /// Prompt only this many blocks: the first ones, or with `--prompt-last` the last ones
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub prompt_deep_layers: Option<usize>,

    /// Prompt the last `--prompt-deep-layers` blocks instead of the first ones
    #[arg(long)]
    pub prompt_last: bool,

    /// For `vpt-shallow`: a learned gate behind each block mixes the prompts that entered it with what it made of them
    #[arg(long)]
    pub prompt_gate: bool,

    /// One set of prompts shared by all blocks
    #[arg(long)]
    pub prompt_shared: bool,

    /// How prompts start: as in the paper, or as patches of the training images
    #[arg(long, value_name = "INIT", value_parser = ["uniform", "patches"])]
    pub prompt_init: Option<String>,

    /// What the head reads: the backbone's pooling, or a mean over image tokens, prompts or both
    #[arg(long, value_name = "POOL", value_parser = ["original", "image", "prompt", "image-prompt"])]
    pub prompt_pool: Option<String>,
}

impl PromptArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.count("method.num_tokens", self.num_tokens);
        layer.set("method.dropout", self.prompt_dropout);
        layer.count("method.project_dim", self.prompt_project_dim);
        layer.count("method.deep_layers", self.prompt_deep_layers);
        layer.switch("method.last", self.prompt_last);
        layer.switch("method.gate", self.prompt_gate);
        layer.switch("method.shared", self.prompt_shared);
        layer.set("method.init", self.prompt_init.clone());
        layer.set("method.pool", self.prompt_pool.clone());
    }
}

/// How the other methods look.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Method options")]
pub struct MethodArgs {
    /// Rank of the updates of `lora` [default: 8]
    #[arg(long, value_name = "R", value_parser = values::count)]
    pub lora_rank: Option<usize>,

    /// Scale of the updates of `lora`, which is ALPHA / R [default: 16]
    #[arg(long, value_name = "ALPHA", value_parser = values::positive)]
    pub lora_alpha: Option<f64>,

    /// Layers of every block that `lora` updates: `qkv`, `proj`, `fc1`, `fc2` [default: qkv]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', value_parser = ["qkv", "proj", "fc1", "fc2"])]
    pub lora_targets: Vec<String>,

    /// Channels between the two layers of `adapter` and `adaptformer` [default: 64]
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub adapter_dim: Option<usize>,
}

impl MethodArgs {
    /// What was given, into a layer of settings.
    pub fn add_to(&self, layer: &mut Layer) {
        layer.count("method.lora_rank", self.lora_rank);
        layer.set("method.lora_alpha", self.lora_alpha);
        let targets = (!self.lora_targets.is_empty()).then(|| self.lora_targets.clone());
        layer.set("method.lora_targets", targets);
        layer.count("method.adapter_dim", self.adapter_dim);
    }
}
