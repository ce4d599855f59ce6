//! `vpt inspect model`: what a backbone is, what it costs, and where each of it comes from.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use vpt_core::flops::ForwardMacs;
use vpt_core::memory::{MemoryEstimate, Workload};
use vpt_core::presets::Preset;
use vpt_core::weights::num_params;
use vpt_core::{Backbone, MethodConfig, MethodOptions, VitConfig};
use vpt_data::Preprocess;
use vpt_eval::report::format;

use super::preprocess;
use crate::cli::values;
use crate::exit::Exit;
use crate::session::Session;
use crate::tables;

/// The methods whose memory is shown.
const METHODS: [&str; 6] = ["vpt-deep", "vpt-shallow", "linear", "bitfit", "partial-1", "full"];

/// Which backbone, and for which work its memory is estimated.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// `demo` (built in), a folder with weights, one weight file, `hf-hub:org/name`, or a name of `vpt list models`
    #[arg(value_name = "MODEL", default_value = "demo")]
    pub model: String,

    /// Only the architecture of this name, without weights
    #[arg(long)]
    pub no_pretrained: bool,

    /// Images in a batch, for the estimate of memory; may be given several times
    #[arg(short, long = "batch-size", visible_alias = "batch", value_name = "N", default_values = ["1", "8", "32"],
          value_parser = values::count)]
    pub batch_sizes: Vec<usize>,

    /// Image size for memory and multiply-adds: pixels, or height x width [default: that of the backbone]
    #[arg(long, visible_alias = "imgsz", value_name = "SIZE", value_parser = values::image_size)]
    pub img_size: Option<[usize; 2]>,

    /// Prompt tokens, for the estimate of memory
    #[arg(long, value_name = "N", default_value = "10", value_parser = values::count)]
    pub num_tokens: usize,
}

/// All that is known of a backbone.
#[derive(Serialize)]
struct Report {
    source: String,
    described_by: String,
    architecture: String,
    config: VitConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    preprocess: Option<Preprocess>,
    params: usize,
    image_size: [usize; 2],
    macs_per_image: u128,
    head_classes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    memory: Vec<MemoryRow>,
    notes: Vec<String>,
}

/// Estimated memory of a method at a batch size, in bytes.
#[derive(Serialize)]
struct MemoryRow {
    method: String,
    batch_size: usize,
    #[serde(flatten)]
    bytes: MemoryEstimate,
}

/// Prints it.
pub fn run(args: &ModelArgs, session: &Session) -> Result<Exit> {
    let mut report = if args.no_pretrained {
        Report::of_architecture(&args.model)?
    } else {
        Report::of(Backbone::load(&args.model)?)
    };
    let size = args.img_size.unwrap_or(report.image_size);
    report.image_size = size;
    report.macs_per_image = ForwardMacs::of(&report.config, size, &MethodConfig::linear()).backbone;
    report.memory = memory(&report, args)?;
    let output = session.output;
    output.json(&report)?;
    for note in &report.notes {
        output.info(format!("note: {note}"));
    }
    output.result(report.text())?;
    output.result(format!("\n{}", report.memory_text(args)))?;
    Ok(Exit::Success)
}

impl Report {
    fn of(backbone: Backbone) -> Self {
        Self {
            params: backbone.num_params(),
            source: backbone.source,
            described_by: backbone.described_by,
            architecture: backbone.architecture,
            config: backbone.config,
            image_size: backbone.preprocess.input_size,
            preprocess: Some(backbone.preprocess),
            macs_per_image: 0,
            head_classes: backbone.num_classes,
            sha256: Some(backbone.sha256),
            memory: Vec::new(),
            notes: backbone.notes,
        }
    }

    fn of_architecture(name: &str) -> Result<Self> {
        let preset = Preset::find(name)?;
        let config = preset.timm_args().resolve();
        Ok(Self {
            source: "none".to_owned(),
            described_by: "its name alone".to_owned(),
            architecture: preset.name.to_owned(),
            params: num_params(&config),
            image_size: config.img_size,
            config,
            preprocess: None,
            macs_per_image: 0,
            head_classes: 0,
            sha256: None,
            memory: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn text(&self) -> String {
        let vit = &self.config;
        let head = match self.head_classes {
            0 => "none".to_owned(),
            classes => format!("{classes} classes"),
        };
        let mut pairs = vec![
            ("architecture", self.architecture.clone()),
            ("source", self.source.clone()),
            ("described by", self.described_by.clone()),
            (
                "parameters",
                format!("{} without the head", format::count(self.params)),
            ),
            (
                "multiply-adds",
                match self.macs_per_image as f64 {
                    few if few < 1e8 => format!("{:.3} million per image", few / 1e6),
                    many => format!("{:.3} billion per image", many / 1e9),
                },
            ),
            ("blocks", blocks(vit)),
            ("patches", pixels(vit.patch_size)),
            ("tokens", tokens(vit, self.image_size)),
            ("head", head),
        ];
        pairs.extend(self.preprocess.iter().map(|it| ("preprocess", preprocess(it))));
        pairs.extend(self.sha256.iter().map(|hash| ("sha256", hash.clone())));
        tables::pairs(&pairs)
    }

    fn memory_text(&self, args: &ModelArgs) -> String {
        let of = |method: &str, read: fn(&MemoryEstimate) -> u128| {
            let rows = self.memory.iter().filter(|row| row.method == method);
            rows.map(|row| format::bytes(u64::try_from(read(&row.bytes)).unwrap_or(u64::MAX)))
                .collect::<Vec<_>>()
        };
        let row = |title: String, cells: Vec<String>| [vec![title], cells].concat();
        let mut rows = vec![row("infer".into(), of(METHODS[0], |bytes| bytes.infer))];
        rows.extend(METHODS.map(|method| row(format!("train {method}"), of(method, |bytes| bytes.train))));
        let titles: Vec<_> = args
            .batch_sizes
            .iter()
            .map(|batch| format!("batch {batch}"))
            .collect();
        let titles: Vec<_> = ["memory, CPU, float32"]
            .into_iter()
            .chain(titles.iter().map(String::as_str))
            .collect();
        tables::plain(&titles, rows)
    }
}

/// Estimates for all methods and batch sizes.
fn memory(report: &Report, args: &ModelArgs) -> Result<Vec<MemoryRow>> {
    let options = MethodOptions {
        num_tokens: args.num_tokens,
        ..MethodOptions::default()
    };
    let classes = report.head_classes.max(2);
    let mut rows = Vec::new();
    for name in METHODS {
        let method = MethodConfig::parse(name, &options)?;
        rows.extend(args.batch_sizes.iter().map(|&batch_size| MemoryRow {
            method: name.to_owned(),
            batch_size,
            bytes: MemoryEstimate::of(
                &report.config,
                &method,
                Workload::new(report.image_size, batch_size, classes),
            ),
        }));
    }
    Ok(rows)
}

/// A size in words.
pub(super) fn pixels([height, width]: [usize; 2]) -> String {
    format!("{height} x {width} pixels")
}

fn blocks(vit: &VitConfig) -> String {
    let (depth, width, heads) = (vit.depth, vit.embed_dim, vit.num_heads);
    let Some(swin) = &vit.swin else {
        return format!("{depth} of width {width}, {heads} heads");
    };
    let list = |counts: &[usize]| {
        let counts: Vec<_> = counts.iter().map(usize::to_string).collect();
        counts.join(", ")
    };
    let widths: Vec<_> = (0..vit.num_stages()).map(|stage| vit.width_of(stage)).collect();
    let [rows, columns] = swin.window_size;
    format!(
        "{} of width {}, {} heads, in windows of {rows} x {columns} patches",
        list(&swin.depths),
        list(&widths),
        list(&swin.num_heads)
    )
}

fn tokens(vit: &VitConfig, image_size: [usize; 2]) -> String {
    format!(
        "{} patches and {} before them",
        vit.grid_for(image_size).iter().product::<usize>(),
        vit.num_prefix_tokens()
    )
}
