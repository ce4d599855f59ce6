//! How the server holds up: speed with many clients, abuse among good requests, tasks swapped under load.
//!
//! `cargo run --release -p vpt-serve --example load_test -- [MODEL] [TASKS] [TOKENS] [REQUESTS] [BAD] [SWAPS]`
//!
//! MODEL is an architecture (random weights); each task has random deep prompts and a head for ten classes. The server runs in this
//! process, on the CPU; clients are threads of it, so they share its processors. Every answer is compared with the one that the
//! same task gave to the same image when it was alone.

use std::error::Error;
use std::io::{Cursor, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use vpt_core::device::SelectedDevice;
use vpt_core::task_file::TaskInfo;
use vpt_core::{Backbone, HeadConfig, MethodConfig, Precision, PromptConfig, PromptDepth, TaskFile, preset};
use vpt_data::TaskKind;
use vpt_eval::resident_memory_bytes;
use vpt_serve::{Registry, ServeOptions, Server};

type Failed = Box<dyn Error + Send + Sync>;

const CLASSES: usize = 10;
const TOKEN: &str = "secret";

/// How long a bad client rests: without it, all of them are done before two good requests are.
const ABUSE_EVERY: Duration = Duration::from_millis(20);

/// Logits are compared up to this: products of other numbers of rows are summed in another order.
const TOLERANCE: f64 = 1e-4;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let name = arguments.first().map_or("vit_tiny_patch16_224", String::as_str);
    let (tasks, tokens, requests) = (number(1, 20)?, number(2, 10)?, number(3, 256)?);
    let (bad, swaps) = (number(4, 10_000)?, number(5, 1000)?);
    let config = preset(name).ok_or_else(|| format!("no architecture `{name}`"))?;
    let backbone = Backbone::random(config, 0, 0);
    let method = MethodConfig::vpt(PromptConfig::new(PromptDepth::Deep, tokens));
    let file = |seed: u64| -> Result<Vec<u8>, Failed> {
        let info = TaskInfo {
            name: format!("task {seed}"),
            kind: TaskKind::Classification,
            classes: (0..CLASSES).map(|class| format!("class {class}")).collect(),
        };
        let preprocess = backbone.preprocess.clone();
        Ok(
            TaskFile::random(&backbone, &method, HeadConfig::Linear, info, preprocess, seed)?
                .to_bytes(false)?,
        )
    };
    let files = (0..tasks as u64).map(file).collect::<Result<Vec<_>, _>>()?;
    let registry = Arc::new(Registry::new(backbone, &SelectedDevice::cpu(), Precision::F32)?);
    for (i, bytes) in files.iter().enumerate() {
        registry.put(&format!("task{i}"), Path::new("random"), bytes)?;
    }
    let mut options = ServeOptions {
        token: Some(TOKEN.to_owned()),
        timeout: Duration::from_mins(2),
        ..ServeOptions::default()
    };
    options.address.set_port(0);
    let server = Server::bind(registry, options)?;
    let url = format!("http://{}", server.address());
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let serving = std::thread::spawn(move || server.run(&|| asked.load(Ordering::SeqCst)));
    let load = Load::new(url, tasks)?;
    println!(
        "{name}, {tasks} tasks of {tokens} tokens, {} threads",
        rayon::current_num_threads()
    );
    load.clients(requests)?;
    load.abuse(bad)?;
    load.swaps(&files, swaps)?;
    stop.store(true, Ordering::SeqCst);
    serving.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Clients of a server.
struct Load {
    url: String,
    image: Vec<u8>,
    /// What each task says of the image alone.
    expected: Vec<Vec<f64>>,
}

impl Load {
    fn new(url: String, tasks: usize) -> Result<Self, Failed> {
        let picture = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Jpeg)?;
        let mut load = Self {
            url,
            image: file.into_inner(),
            expected: Vec::new(),
        };
        let client = agent();
        load.expected = (0..tasks)
            .map(|task| load.ask(&client, task))
            .collect::<Result<_, _>>()?;
        Ok(load)
    }

    /// Logits of one task for the image.
    fn ask(&self, client: &ureq::Agent, task: usize) -> Result<Vec<f64>, Failed> {
        let request = client.post(format!("{}/v1/tasks/task{task}/predict", self.url));
        let mut answer = request
            .header("Authorization", format!("Bearer {TOKEN}"))
            .send(&self.image[..])?;
        let text = answer.body_mut().read_to_string()?;
        let answer: Value = serde_json::from_str(&text)?;
        let logits = answer["predictions"][0]["logits"].as_array().ok_or(text)?;
        Ok(logits.iter().filter_map(Value::as_f64).collect())
    }

    /// How far an answer is from what one of `tasks` says.
    fn error(&self, logits: &[f64], tasks: impl Iterator<Item = usize>) -> f64 {
        let of = |task: usize| {
            let pairs = logits.iter().zip(&self.expected[task]);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        tasks.map(of).fold(f64::INFINITY, f64::min)
    }

    /// Requests of so many clients at once, each for another task, or all for one.
    fn clients(&self, requests: usize) -> Result<(), Failed> {
        println!(
            "\n| clients | tasks | requests/s | p50 ms | p99 ms | largest difference |\n|---|---|---|---|---|---|"
        );
        for (clients, tasks) in [
            (1, 1),
            (8, 1),
            (8, self.expected.len()),
            (64, 1),
            (64, self.expected.len()),
        ] {
            let requests = requests.min(64 * clients).max(clients);
            let (next, start) = (AtomicUsize::new(0), Instant::now());
            let work = || -> Result<Vec<(f64, f64)>, Failed> {
                let client = agent();
                let mut seen = Vec::new();
                loop {
                    let request = next.fetch_add(1, Ordering::SeqCst);
                    if request >= requests {
                        return Ok(seen);
                    }
                    let (task, asked) = (request % tasks, Instant::now());
                    let logits = self.ask(&client, task)?;
                    let took = asked.elapsed().as_secs_f64();
                    seen.push((took, self.error(&logits, task..=task)));
                }
            };
            let seen = all(clients, &work)?;
            let seconds = start.elapsed().as_secs_f64();
            let mut times: Vec<f64> = seen.iter().map(|(took, _)| took * 1000.0).collect();
            times.sort_by(f64::total_cmp);
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
            let error = seen.iter().map(|(_, error)| *error).fold(0.0, f64::max);
            println!(
                "| {clients} | {tasks} | {:.1} | {:.1} | {:.1} | {error:.1e} |",
                seen.len() as f64 / seconds,
                at(0.5),
                at(0.99)
            );
        }
        Ok(())
    }

    /// Requests that are none among those of two good clients.
    fn abuse(&self, bad: usize) -> Result<(), Failed> {
        let address = self.url.strip_prefix("http://").unwrap_or_default();
        let (left, done) = (AtomicUsize::new(bad), AtomicBool::new(false));
        let (right, wrong, lost) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let before = resident_memory_bytes();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let client = agent();
                    for request in 0.. {
                        if done.load(Ordering::SeqCst) {
                            return;
                        }
                        let task = request % self.expected.len();
                        let count = match self.ask(&client, task) {
                            Err(_) => &lost,
                            Ok(logits) if self.error(&logits, task..=task) < TOLERANCE => &right,
                            Ok(_) => &wrong,
                        };
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            // Clients that send a few bytes and then wait.
            let slow: Vec<_> = (0..100).map(|_| abused(address, &Abuse::Slow)).collect();
            let bad: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        while left
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                            .is_ok()
                        {
                            let kinds = [Abuse::Noise, Abuse::NoImage, Abuse::Oversized, Abuse::CutOff];
                            drop(abused(address, &kinds[left.load(Ordering::SeqCst) % kinds.len()]));
                            std::thread::sleep(ABUSE_EVERY);
                        }
                    })
                })
                .collect();
            for client in bad {
                // A panic of a client is one of this program.
                client.join().expect("a client that sends nonsense");
            }
            drop(slow);
            done.store(true, Ordering::SeqCst);
        });
        let megabytes = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes / 1_000_000);
        println!(
            "\n{bad} malformed, oversized or broken-off requests and 100 slow clients: {} good requests answered right, {} wrong, {} lost; \
             resident {} MB before, {} MB after",
            right.into_inner(),
            wrong.into_inner(),
            lost.into_inner(),
            megabytes(before),
            megabytes(resident_memory_bytes())
        );
        Ok(())
    }

    /// One name, under which one task after the other is put while clients ask.
    fn swaps(&self, files: &[Vec<u8>], swaps: usize) -> Result<(), Failed> {
        let (done, start) = (AtomicBool::new(false), Instant::now());
        let before = resident_memory_bytes();
        let work = || -> Result<Vec<(f64, f64)>, Failed> {
            let client = agent();
            let mut seen = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let logits = self.ask(&client, 0)?;
                seen.push((0.0, self.error(&logits, 0..self.expected.len())));
            }
            Ok(seen)
        };
        let swap = || -> Result<f64, Failed> {
            let client = agent();
            for swap in 0..swaps {
                let request = client.put(format!("{}/v1/tasks/task0", self.url));
                let request = request.header("Authorization", format!("Bearer {TOKEN}"));
                request.send(&files[swap % files.len()][..])?;
            }
            Ok(start.elapsed().as_secs_f64())
        };
        let (seen, seconds) = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                let swapped = swap();
                done.store(true, Ordering::SeqCst);
                swapped
            });
            let seen = all(4, &work);
            (
                seen,
                swapping
                    .join()
                    .unwrap_or_else(|_| Err("the swapping client panicked".into())),
            )
        });
        let (seen, seconds) = (seen?, seconds?);
        let wrong = seen.iter().filter(|(_, error)| *error >= TOLERANCE).count();
        println!(
            "\n{swaps} swaps in {seconds:.1} s under 4 clients: {} answers, {wrong} of them of no task; resident {} MB before, {} MB after",
            seen.len(),
            before.unwrap_or(0) / 1_000_000,
            resident_memory_bytes().unwrap_or(0) / 1_000_000
        );
        Ok(())
    }
}

/// What so many clients see, each with a thread of its own.
fn all<T: Send>(
    clients: usize,
    work: &(dyn Fn() -> Result<Vec<T>, Failed> + Sync),
) -> Result<Vec<T>, Failed> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        let mut seen = Vec::new();
        for client in running {
            seen.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(seen)
    })
}

/// Ways to be a bad client.
enum Abuse {
    Noise,
    NoImage,
    Oversized,
    CutOff,
    Slow,
}

/// A connection on which something went wrong.
fn abused(address: &str, abuse: &Abuse) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = |length: usize, body: &str| {
        format!(
            "POST /v1/tasks/task0/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let text = match abuse {
        Abuse::Noise => "\u{1}\u{2} nonsense \r\n\r\n".to_owned(),
        Abuse::NoImage => request(5, "hello"),
        Abuse::Oversized => request(1 << 40, ""),
        Abuse::CutOff | Abuse::Slow => request(1000, "\u{89}PNG"),
    };
    stream.write_all(text.as_bytes()).ok()?;
    if matches!(abuse, Abuse::Noise | Abuse::NoImage | Abuse::Oversized) {
        // The answer, so that the server has seen it all.
        let _ = std::io::Read::read(&mut stream, &mut [0; 512]);
    }
    Some(stream)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(3)));
    config.build().into()
}
