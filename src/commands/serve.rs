//! `vpt serve`: tasks over HTTP, all on one backbone.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use vpt_core::memory::{MemoryEstimate, Workload};
use vpt_core::{Backbone, MethodConfig, Precision};
use vpt_eval::resident_memory_bytes;
use vpt_serve::{Change, Registry, ServeOptions, Server, Sources};

use crate::cli::{MemoryArgs, values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::output::Output;
use crate::session::Session;
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  vpt serve runs/train                                      all tasks of a folder, which is watched
  vpt serve eyes=runs/train/fundus skin.safetensors
  curl --data-binary @photo.jpg localhost:8080/v1/tasks/eyes/predict
  curl -F image=@a.jpg -F image=@b.jpg 'localhost:8080/v1/predict?tasks=eyes,skin'
  VPT_TOKEN=secret vpt serve --host 0.0.0.0 runs/train
  curl -H 'Authorization: Bearer secret' -T new.safetensors server:8080/v1/tasks/new

The backbone is in memory once; tasks with deep prompts (or none) share its batches, other tasks (shallow prompts, LoRA, full …) \
are computed in batches of their own, and those that change the backbone hold their own copy of what they changed.
Files that are added to a folder, changed or removed are noticed within a second. The page at / tries tasks on an image; \
/openapi.json describes every address.";

/// Answer over HTTP for many tasks on one backbone
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Task files, run folders, or folders of them; NAME= gives a task another name than that of its file
    #[arg(value_name = "[NAME=]TASKFILE|RUN|DIR", required_unless_present = "model")]
    pub tasks: Vec<String>,

    /// Backbone, if it is no longer where training found it
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,

    /// Where to listen; other addresses than those of this machine want an access token
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "Access"
    )]
    pub host: IpAddr,

    /// Port; 0 takes any that is free
    #[arg(long, value_name = "N", default_value = "8080", help_heading = "Access")]
    pub port: u16,

    /// File with the access token [default: environment variable VPT_TOKEN]
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    pub token_file: Option<PathBuf>,

    /// The most images in a batch
    #[arg(long, value_name = "N", default_value = "16", value_parser = values::count, help_heading = "Batches")]
    pub max_batch: usize,

    /// How long the first image of a batch waits for others
    #[arg(long, value_name = "MS", default_value = "5", help_heading = "Batches")]
    pub max_wait_ms: u64,

    /// Images (times tasks) that may wait; more are told to come back (429)
    #[arg(long, value_name = "N", default_value = "256", value_parser = values::count, help_heading = "Limits")]
    pub queue: usize,

    /// Seconds that a request may take to arrive, and to be answered
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = values::count, help_heading = "Limits")]
    pub timeout: usize,

    /// Megabytes of a request
    #[arg(long, value_name = "MB", default_value = "32", value_parser = values::count, help_heading = "Limits")]
    pub max_body_mb: usize,

    /// Megapixels of an image
    #[arg(long, value_name = "MP", default_value = "50", value_parser = values::count, help_heading = "Limits")]
    pub max_megapixels: usize,

    /// Images of a request
    #[arg(long, value_name = "N", default_value = "64", value_parser = values::count, help_heading = "Limits")]
    pub max_images: usize,

    /// Clients that may be connected at once
    #[arg(long, value_name = "N", default_value = "1024", value_parser = values::count, help_heading = "Limits")]
    pub max_connections: usize,

    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// What is said when the server is ready.
#[derive(Serialize)]
struct Ready {
    url: String,
    tasks: Vec<String>,
    backbone: String,
    device: String,
    resident_bytes: Option<u64>,
    most_bytes: u128,
}

/// Loads the backbone and the tasks, then serves until it is interrupted.
pub fn run(args: &ServeArgs, session: &Session) -> Result<Exit> {
    let output = session.output;
    interrupt::handle(
        output,
        "answering what was accepted; Ctrl-C again to stop at once",
    )?;
    let mut sources = Sources::default();
    for task in &args.tasks {
        let (name, path) = parts(task);
        sources.add(name, path)?;
    }
    let options = args.options(session)?;
    let backbone = backbone(args, &sources)?;
    let device = session.device()?;
    let most_bytes = most_bytes(&backbone, args.memory.precision, &options);
    let registry = Arc::new(Registry::new(backbone, &device, args.memory.precision)?);
    for change in sources.refresh(&registry) {
        match change {
            Change::Refused { path, error } if sources.is_named(&path) => return Err(error.into()),
            change => said(&change, output),
        }
    }
    let server = Server::bind(Arc::clone(&registry), options)?;
    let url = format!("http://{}", server.address());
    let tasks: Vec<String> = registry.all().iter().map(|task| task.name.clone()).collect();
    let resident = resident_memory_bytes();
    output.info(format!("{} on {}", registry.architecture(), device.name));
    if let Some(resident) = resident {
        let most = megabytes(u128::from(resident).max(most_bytes));
        output.info(format!(
            "memory: {} MB now, at most about {most} MB with full batches, queue and requests",
            megabytes(resident.into())
        ));
    }
    output.result(format!("serving {} tasks at {url}", tasks.len()))?;
    output.json(&Ready {
        url,
        tasks,
        backbone: registry.architecture().to_owned(),
        device: device.name.clone(),
        resident_bytes: resident,
        most_bytes,
    })?;
    let ended = AtomicBool::new(false);
    let stop = || interrupt::requested() || ended.load(Ordering::SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| sources.watch(&registry, &stop, &|change| said(&change, output)));
        let served = server.run(&stop);
        ended.store(true, Ordering::SeqCst);
        served
    })?;
    output.info("every accepted request was answered");
    Ok(Exit::Success)
}

impl ServeArgs {
    fn options(&self, session: &Session) -> Result<ServeOptions> {
        let token = match &self.token_file {
            None => std::env::var("VPT_TOKEN").ok(),
            Some(file) => {
                let text = fs::read_to_string(file);
                Some(text.with_context(|| format!("cannot read `{}`", file.display()))?)
            }
        };
        let token = token.map(|token| token.trim().to_owned());
        if token.as_ref().is_some_and(String::is_empty) {
            return Err(Failure::usage("the access token is empty")
                .hint("put a secret into VPT_TOKEN or the file of `--token-file`")
                .into());
        }
        let body = self.max_body_mb << 20;
        Ok(ServeOptions {
            address: SocketAddr::new(self.host, self.port),
            token,
            max_batch: self.max_batch,
            max_wait: Duration::from_millis(self.max_wait_ms),
            queue: self.queue,
            timeout: Duration::from_secs(self.timeout as u64),
            max_body_bytes: body,
            max_bodies_bytes: ServeOptions::default().max_bodies_bytes.max(2 * body),
            max_pixels: self.max_megapixels as u64 * 1_000_000,
            max_images: self.max_images,
            max_connections: self.max_connections,
            decoders: session.threads(),
        })
    }
}

/// `NAME=PATH`, or a path.
fn parts(given: &str) -> (Option<&str>, &Path) {
    match given.split_once('=') {
        Some((name, path)) if !name.contains(['/', '\\']) && !Path::new(given).exists() => {
            (Some(name), Path::new(path))
        }
        _ => (None, Path::new(given)),
    }
}

/// The one that is named, or that of the first task.
fn backbone(args: &ServeArgs, sources: &Sources) -> Result<Backbone> {
    if let Some(model) = &args.model {
        return Ok(Backbone::load(model)?);
    }
    let files: Vec<PathBuf> = sources.files().into_values().collect();
    let opened = |file: &PathBuf| Target::open(file);
    let named = files.iter().find(|file| sources.is_named(file)).map(opened);
    let first = named.or_else(|| files.iter().map(opened).find(Result::is_ok));
    match first {
        Some(target) => target?.backbone(None),
        None => Err(Failure::new("there is no task file")
            .hint("give task files or run folders; to begin without tasks, name the backbone with `--model`")
            .into()),
    }
}

fn said(change: &Change, output: Output) {
    match change {
        Change::Added(name) => output.info(format!("task `{name}`")),
        Change::Replaced(name) => output.info(format!("task `{name}` is replaced")),
        Change::Removed(name) => output.info(format!("task `{name}` is gone")),
        Change::Refused { path, .. } if change.is_no_task() => {
            output.detail(format!("`{}` is no task file", path.display()));
        }
        Change::Refused { path, error } => {
            output.warn(format!("`{}` is not served: {error}", path.display()));
        }
    }
}

/// What the limits allow: weights, a full batch, a full queue, and requests that are read and decoded.
fn most_bytes(backbone: &Backbone, precision: Precision, options: &ServeOptions) -> u128 {
    const FLOAT: usize = 4;
    // A picture in colours, and what its decoder holds beside it.
    const BYTES_PER_PIXEL: u64 = 6;
    let size = backbone.preprocess.input_size;
    let method = MethodConfig::linear();
    let workload = Workload {
        precision,
        ..Workload::new(size, options.max_batch, 1)
    };
    let computing = MemoryEstimate::of(&backbone.config, &method, workload).infer;
    let waiting = options.queue * 3 * size[0] * size[1] * FLOAT;
    let decoding = options.decoders as u64 * options.max_pixels * BYTES_PER_PIXEL;
    computing + (waiting + options.max_bodies_bytes) as u128 + u128::from(decoding)
}

fn megabytes(bytes: u128) -> u128 {
    bytes / 1_000_000
}
