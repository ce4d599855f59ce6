//! `vpt bench`: how fast this machine trains and predicts.

use std::borrow::Cow;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use vpt_core::{Backbone, MethodConfig, MethodOptions, Precision, preset};
use vpt_eval::report::format;
use vpt_train::TrainError;
use vpt_train::bench::{Bench, Speed, matmul_peak};

use crate::cli::{MemoryArgs, values};
use crate::exit::Exit;
use crate::session::Session;
use crate::tables;

const EXAMPLES: &str = "\
Examples:
  vpt bench
  vpt bench --method vpt-deep --num-tokens 50 --batch 16 --mode train
  vpt bench --model weights/vit_base --json

Prints images a second, peak memory and achieved arithmetic next to what the machine's matrix product reaches.";

/// Measure speed and memory
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct BenchArgs {
    /// Backbone: `demo` (built in), an architecture with random weights, a folder, one weight file, or `hf-hub:org/name`
    #[arg(long, value_name = "MODEL", default_value = "demo")]
    pub model: String,

    /// Tuning method (`vpt list methods`)
    #[arg(long, value_name = "METHOD", value_parser = values::method, default_value = "vpt-deep")]
    pub method: String,

    /// Prompt tokens in each block
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::count)]
    pub num_tokens: usize,

    /// Image size: pixels, or height x width [default: that of the backbone]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size)]
    pub img_size: Option<[usize; 2]>,

    /// Images in a batch
    #[arg(short, long, visible_alias = "batch", value_name = "N", default_value = "32", value_parser = values::count)]
    pub batch_size: usize,

    /// What to measure [default: both]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<Mode>,

    /// Compute blocks again for their gradients instead of keeping what they need: less memory, more time
    #[arg(long)]
    pub grad_checkpointing: bool,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Measure inference in turns with this method, and say what the other costs beside it
    #[arg(long, value_name = "METHOD", value_parser = values::method)]
    pub beside: Option<String>,

    /// Timed steps
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::count)]
    pub steps: usize,
}

/// What `vpt bench` measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Forward, backward and the optimiser's step
    Train,
    /// Forward only
    Infer,
}

/// Sides of the matrices whose product shows what the device can reach.
const CPU_MATRIX: usize = 1024;
const GPU_MATRIX: usize = 4096;

/// What was measured, and on what.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    vpt_version: &'static str,
    device: String,
    threads: usize,
    model: String,
    method: String,
    num_tokens: usize,
    image_size: [usize; 2],
    batch_size: usize,
    steps: usize,
    grad_checkpointing: bool,
    precision: Precision,
    tuned_params: usize,
    total_params: usize,
    matmul_gflop_per_second: f64,
    train: Option<Speed>,
    infer: Option<Speed>,
    /// Inference in turns with another method.
    #[serde(skip_serializing_if = "Option::is_none")]
    beside: Option<Beside>,
}

/// Two methods measured in turns.
#[derive(Serialize)]
struct Beside {
    /// The other method.
    method: String,
    own: Speed,
    other: Speed,
    /// How much longer the method takes than the other, as a share of the other's time.
    overhead: f64,
}

/// Measures the matrix product, then inference, then training, each in the order of its memory.
pub fn run(args: &BenchArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    let backbone = args.backbone()?;
    let options = MethodOptions {
        num_tokens: args.num_tokens,
        ..MethodOptions::default()
    };
    let method = MethodConfig::parse(&args.method, &options)?;
    let image_size = args.img_size.unwrap_or(backbone.preprocess.input_size);
    let device = session.device()?;
    let bench = |backbone: Cow<'_, Backbone>, method: &MethodConfig| {
        Bench::new(
            backbone,
            method,
            image_size,
            args.batch_size,
            args.steps,
            &device.device,
        )?
        .with_grad_checkpointing(args.grad_checkpointing)
        .with_precision(args.memory.precision)
    };
    let other = match &args.beside {
        None => None,
        Some(name) => {
            let other = MethodConfig::parse(name, &options)?;
            Some((other.to_string(), bench(Cow::Borrowed(&backbone), &other)?))
        }
    };
    let bench = bench(Cow::Owned(backbone), &method)?;
    output.info(format!("measuring {} on {}", args.model, device.name));
    let wants = |mode| args.mode.is_none_or(|only| only == mode);
    if wants(Mode::Train) {
        args.memory.precision.check_training(&device.device)?;
    }
    let peak = matmul_peak(
        &device.device,
        if device.is_cpu { CPU_MATRIX } else { GPU_MATRIX },
    )?;
    let infer = wants(Mode::Infer).then(|| bench.infer()).transpose()?;
    let train = wants(Mode::Train).then(|| bench.train()).transpose()?;
    let beside = other
        .map(|(method, other)| {
            let [own, other] = bench.infer_beside(&other)?;
            let overhead = own.seconds_per_step / other.seconds_per_step - 1.0;
            Ok::<_, TrainError>(Beside {
                method,
                own,
                other,
                overhead,
            })
        })
        .transpose()?;
    let (tuned_params, total_params) = bench.parameters();
    let report = Report {
        schema: "vpt-bench/1",
        vpt_version: env!("CARGO_PKG_VERSION"),
        device: device.name,
        threads: session.threads(),
        model: args.model.clone(),
        method: method.to_string(),
        num_tokens: method.prompts.map_or(0, |prompts| prompts.num_tokens),
        image_size,
        batch_size: args.batch_size,
        steps: args.steps,
        grad_checkpointing: args.grad_checkpointing,
        precision: args.memory.precision,
        tuned_params,
        total_params,
        matmul_gflop_per_second: peak,
        train,
        infer,
        beside,
    };
    output.json(&report)?;
    output.result(report.text())?;
    Ok(Exit::Success)
}

impl BenchArgs {
    /// Weights, or random ones for the name of an architecture: the speed is the same.
    fn backbone(&self) -> Result<Backbone> {
        Ok(match preset(&self.model) {
            Some(config) => Backbone::random(config, 0, 0),
            None => Backbone::load(&self.model)?,
        })
    }
}

impl Report {
    fn text(&self) -> String {
        let [height, width] = self.image_size;
        let prompts = if self.num_tokens > 0 {
            format!(", {} tokens", self.num_tokens)
        } else {
            String::new()
        };
        let head = tables::pairs(&[
            ("device", format!("{}, {} CPU threads", self.device, self.threads)),
            (
                "model",
                format!(
                    "{}, {height} x {width} pixels, batch {}",
                    self.model, self.batch_size
                ),
            ),
            ("method", format!("{}{prompts}", self.method)),
            (
                "matrix product",
                format!("{:.0} GFLOP/s", self.matmul_gflop_per_second),
            ),
        ]);
        let rows = [("train", &self.train), ("infer", &self.infer)];
        let rows = rows
            .into_iter()
            .filter_map(|(mode, speed)| Some(self.row(mode, speed.as_ref()?)));
        let mut titles = vec![
            "mode",
            "images/s",
            "ms/step",
            "GFLOP/image",
            "GFLOP/s",
            "of the product",
            "peak memory",
        ];
        if self.on_gpu() {
            titles.push("GPU memory");
        }
        let beside = self.beside.as_ref().map_or_else(String::new, |beside| {
            format!(
                "\ninference in turns: {} images/s, {} with {}: {:+.1} % of its time",
                format::rate(beside.own.images_per_second),
                format::rate(beside.other.images_per_second),
                beside.method,
                100.0 * beside.overhead
            )
        });
        format!("{head}\n\n{}{beside}", tables::plain(&titles, rows))
    }

    fn on_gpu(&self) -> bool {
        let speeds = [&self.train, &self.infer];
        speeds
            .into_iter()
            .flatten()
            .any(|speed| speed.device_memory_bytes.is_some())
    }

    fn row(&self, mode: &str, speed: &Speed) -> Vec<String> {
        let known = |bytes: Option<u64>| bytes.map_or(format::UNKNOWN.to_owned(), format::bytes);
        let mut cells = vec![
            mode.to_owned(),
            format::rate(speed.images_per_second),
            format!("{:.1}", speed.seconds_per_step * 1e3),
            format!("{:.2}", speed.gflop_per_image),
            format!("{:.0}", speed.gflop_per_second),
            format!(
                "{:.0} %",
                100.0 * speed.gflop_per_second / self.matmul_gflop_per_second
            ),
            known(speed.peak_memory_bytes),
        ];
        if self.on_gpu() {
            cells.push(known(speed.device_memory_bytes));
        }
        cells
    }
}
