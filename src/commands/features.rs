//! `vpt features`: what a backbone makes of images, as arrays.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vpt_core::Backbone;
use vpt_data::decode;
use vpt_eval::{FeatureExtractor, FeatureKind, FeatureRequest, FeatureShapes, PredictOptions};

use crate::cli::values;
use crate::exit::Exit;
use crate::session::Session;
use crate::{inputs, progress};

const EXAMPLES: &str = "\
Examples:
  vpt features my_images --output features.safetensors
  vpt features my_images --model vit_base_patch14_dinov2 --features cls --output features.npy
  vpt features --model weights/vit_base photo.jpg --tokens --output tokens.safetensors

NAME.safetensors holds `features` [N, D], and with `--tokens` `tokens` [N, T, D]; the header's metadata `paths` is a JSON \
list in the same order. NAME.npy holds the features alone; beside it lie NAME.paths.txt and with `--tokens` \
NAME.tokens.npy. NAME.parquet has a row for each image: `path`, and lists of float32, `features` and `tokens`. A run that was stopped leaves its rows in FILE.part, and the same command goes on behind them.";

/// Write what a backbone makes of images
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct FeaturesArgs {
    /// Images, folders, or `-` for paths on stdin
    #[arg(value_name = "IMAGE|DIR|-", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Backbone: `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models`
    #[arg(long, value_name = "MODEL", default_value = "demo")]
    pub model: String,

    /// Image size: pixels, or height x width [default: that of the backbone]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size)]
    pub img_size: Option<[usize; 2]>,

    /// File to write, in the format of its ending: .safetensors, .npy or .parquet
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    /// What to take of each image
    #[arg(long, value_name = "WHAT", default_value = "pooled")]
    pub features: Features,

    /// Also write all tokens after the last norm
    #[arg(long)]
    pub tokens: bool,

    /// Go on without images that cannot be read
    #[arg(long)]
    pub skip_bad_images: bool,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,
}

/// One vector of each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Features {
    /// What a head would read
    Pooled,
    /// The class token after the last norm
    Cls,
    /// The mean over the patches after the last norm
    PatchMean,
}

impl From<Features> for FeatureKind {
    fn from(features: Features) -> Self {
        match features {
            Features::Pooled => Self::Pooled,
            Features::Cls => Self::Cls,
            Features::PatchMean => Self::PatchMean,
        }
    }
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    output: &'a PathBuf,
    model: &'a str,
    backbone_sha256: &'a str,
    #[serde(flatten)]
    shapes: FeatureShapes,
    skipped: usize,
}

/// Runs all images through the backbone.
pub fn run(args: &FeaturesArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let backbone = Backbone::load(&args.model)?;
    let mut images = inputs::images(&args.inputs).collect::<Result<Vec<_>>>()?;
    let given = images.len();
    if args.skip_bad_images {
        images.retain(|path| match decode(path) {
            Ok(_) => true,
            Err(error) => {
                output.warn(format!("skipped: {error}"));
                false
            }
        });
    }
    let device = session.device()?;
    let backbone_sha256 = backbone.sha256.clone();
    let extractor = FeatureExtractor::new(backbone, args.img_size, &device.device)?;
    let options = PredictOptions {
        batch_size: args.batch_size,
        workers: 0,
    };
    let bar = progress::images(output, "features", images.len());
    let request = FeatureRequest {
        path: &args.output,
        kind: args.features.into(),
        tokens: args.tokens,
    };
    let mut resumed = None;
    let shapes = extractor.write(&request, &images, &options, &mut |done| {
        if *resumed.get_or_insert(done) == done && done > 0 {
            output.info(format!("{done} images were done already"));
            bar.reset_eta();
        }
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    output.result(format!(
        "features {:?} in {}",
        shapes.features,
        args.output.display()
    ))?;
    if let Some(tokens) = shapes.tokens {
        output.result(format!("tokens   {tokens:?}"))?;
    }
    let skipped = given - images.len();
    output.json(&Written {
        output: &args.output,
        model: &args.model,
        backbone_sha256: &backbone_sha256,
        shapes,
        skipped,
    })?;
    Ok(Exit::Success)
}
