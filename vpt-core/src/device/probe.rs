//! The trial run of a device, in a child process where a crash of the driver does no harm.

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};

use super::{DeviceChoice, open};
use crate::{CoreError, HostTensor, ops};

/// First argument of the hidden command that runs [`probe`] for the device in the second argument.
pub const PROBE_COMMAND: &str = "__probe-device";

/// A driver that has compiled nothing yet may take its time for the first shaders.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Set for the child, so that it does not start children of its own.
const CHILD: &str = "VPT_DEVICE_PROBE";

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Whether [`select()`](super::select()) may start this program again, as `PROGRAM __probe-device DEVICE`, to
/// try a device.
///
/// Off by default: only a program that answers [`PROBE_COMMAND`] with [`probe`] may switch it on. It must end
/// with exit code 0 when the device passes, and what [`probe`] found on stdout, else with another code and the error on stderr. The environment
/// variable `VPT_DEVICE_PROBE=0` switches it off again, for a parent that has already tried the device.
pub fn set_child_probe(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Tries a device in a child process, once per device and process. Passes at once where [`set_child_probe`]
/// did not allow it, and for the CPU. A device that fails with kernels of our own is tried without them; if it
/// passes, this process does without them, and the note says why.
///
/// # Errors
/// [`CoreError::DeviceFailed`] when the child crashes, finds wrong numbers or does not end in time.
pub fn probe_in_child(choice: &DeviceChoice) -> Result<Option<String>, CoreError> {
    static RESULTS: Mutex<BTreeMap<String, Result<Option<String>, String>>> = Mutex::new(BTreeMap::new());
    let allowed = ENABLED.load(Ordering::Relaxed) && std::env::var_os(CHILD).is_none();
    if !allowed || *choice == DeviceChoice::Cpu {
        return Ok(None);
    }
    let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let result = results
        .entry(choice.to_string())
        .or_insert_with(|| run_children(choice));
    match result {
        Ok(None) => Ok(None),
        Ok(Some(reason)) => {
            ops::set_gpu_kernels(false);
            Ok(Some(format!(
                "this program's own kernels failed their trial run on it ({reason}); using Burn's operations"
            )))
        }
        Err(reason) => Err(CoreError::DeviceFailed {
            device: choice.to_string(),
            reason: reason.clone(),
        }),
    }
}

/// Computes what a block of a model is made of, and its gradients, on the device and compares them with the CPU. Where they differ
/// with kernels of our own and not without, says how.
///
/// # Errors
/// [`CoreError::DeviceFailed`] when numbers differ, and the errors of [`select()`](super::select()), for
/// `auto` too when there is no real GPU. A driver may also crash or hang: run it in a child process.
pub fn probe(choice: &DeviceChoice) -> Result<Option<String>, CoreError> {
    let selected = open(choice)?;
    let expected = trial(&Device::flex())?;
    let compare = || {
        // What goes wrong in a kernel surfaces as a panic in Burn.
        let found = catch_unwind(AssertUnwindSafe(|| trial(&selected.device)))
            .map_err(|_| "an operation panicked".to_owned())?
            .map_err(|error| error.to_string())?;
        difference(&expected, &found)
    };
    let failed = |reason| CoreError::DeviceFailed {
        device: selected.name.clone(),
        reason,
    };
    match compare() {
        Ok(()) => Ok(None),
        Err(reason) if !selected.is_cpu && ops::gpu_kernels() => {
            ops::set_gpu_kernels(false);
            compare().map_err(failed)?;
            Ok(Some(reason))
        }
        Err(reason) => Err(failed(reason)),
    }
}

/// The error says by how much `found` differs, if it is more than rounding.
fn difference(expected: &[f32], found: &[f32]) -> Result<(), String> {
    let pairs = expected.iter().zip(found);
    let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let whole = expected.len() == found.len() && found.iter().all(|x| x.is_finite());
    match whole && largest < 1e-3 {
        true => Ok(()),
        false => Err(format!("a small calculation differs by {largest} from the CPU's")),
    }
}

/// Values and gradients of `gelu(attention(layer_norm(A · B)))` for fixed 33 × 65 and 65 × 54 matrices: sizes no kernel likes.
fn trial(device: &Device) -> Result<Vec<f32>, CoreError> {
    const DIM: usize = 18;
    let device = device.clone().autodiff();
    let matrix = |rows: usize, columns: usize| {
        let values = (0..rows * columns)
            .map(|i| (i as f32 * 0.37).sin() * 0.3)
            .collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device).require_grad()
    };
    let (a, b) = (matrix(33, 65), matrix(65, 3 * DIM));
    let (gamma, beta) = (
        Tensor::ones([3 * DIM], &device),
        Tensor::zeros([3 * DIM], &device),
    );
    let qkv = ops::layer_norm(a.clone().matmul(b.clone()), gamma, beta, 1e-6);
    let attended = ops::attention(qkv.unsqueeze(), None, None, 2, 33);
    let output = ops::gelu(attended);
    let gradients = output.clone().powi_scalar(2).sum().backward();
    let mut values = HostTensor::from_tensor(&output)?.data;
    for gradient in [a.grad(&gradients), b.grad(&gradients)] {
        let gradient = gradient.ok_or_else(|| CoreError::Device {
            reason: "it made no gradient".to_owned(),
        })?;
        values.extend(HostTensor::from_tensor(&gradient)?.data);
    }
    Ok(values)
}

/// How a child did not end well.
#[derive(Debug, PartialEq)]
enum Ending {
    /// By itself, for this reason.
    Failed(String),
    /// The driver took it down, or kept it.
    Broken(String),
}

/// Runs the hidden command, and where that breaks the child, once more without kernels of our own: why they are not to be used, or why
/// the device is not.
fn run_children(choice: &DeviceChoice) -> Result<Option<String>, String> {
    match run_child(choice, &[]) {
        Ok(said) => Ok(Some(said).filter(|said| !said.is_empty())),
        Err(Ending::Broken(reason)) if ops::gpu_kernels() => {
            match run_child(choice, &[(ops::GPU_KERNELS, "0")]) {
                Ok(_) => Ok(Some(reason)),
                Err(_) => Err(reason),
            }
        }
        Err(Ending::Failed(reason) | Ending::Broken(reason)) => Err(reason),
    }
}

/// Runs the hidden command: what it prints, or how it ended instead.
fn run_child(choice: &DeviceChoice, environment: &[(&str, &str)]) -> Result<String, Ending> {
    let program = std::env::current_exe()
        .map_err(|error| Ending::Failed(format!("cannot find this program: {error}")))?;
    let child = Command::new(program)
        .args([PROBE_COMMAND, &choice.to_string()])
        .env(CHILD, "child")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Ending::Failed(format!("cannot start the trial run: {error}")))?;
    wait(child, TIME_LIMIT)
}

/// Reads a pipe to its end, in a thread, or a driver that has much to say would block.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_string(&mut text);
        }
        text
    })
}

/// Waits for a child to end well within `limit`: what it printed, or how it ended instead.
fn wait(mut child: Child, limit: Duration) -> Result<String, Ending> {
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                let reason = format!("it did not end within {} seconds", limit.as_secs());
                return Err(Ending::Broken(reason));
            }
        }
    };
    if status.success() {
        return Ok(stdout.join().unwrap_or_default().trim().to_owned());
    }
    Err(ending(status, &stderr.join().unwrap_or_default()))
}

/// How a child ended, in words: its own last ones (but for a hint) if it had any.
fn ending(status: ExitStatus, stderr: &str) -> Ending {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ending::Broken(format!("it crashed with signal {signal}"));
    }
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint:");
    match (stderr.lines().rfind(said), status.code()) {
        (Some(line), _) => Ending::Failed(line.strip_prefix("error: ").unwrap_or(line).to_owned()),
        // What Windows ends a crashed process with is a code too.
        (None, Some(code)) => Ending::Broken(format!("it ended with code {code}")),
        (None, None) => Ending::Broken("it crashed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_passes_its_trial() {
        assert_eq!(probe(&DeviceChoice::Cpu).unwrap(), None);
    }

    #[test]
    fn nothing_is_started_unless_allowed() {
        assert_eq!(probe_in_child(&DeviceChoice::Gpu(7)).unwrap(), None);
    }

    #[test]
    fn what_differs_is_said() {
        assert_eq!(difference(&[1.0, 2.0], &[1.0, 2.0001]), Ok(()));
        let far = "a small calculation differs by 0.5 from the CPU's";
        assert_eq!(difference(&[1.0, 2.0], &[1.5, 2.0]), Err(far.to_owned()));
        difference(&[1.0], &[f32::NAN]).unwrap_err();
        difference(&[1.0], &[]).unwrap_err();
    }

    #[cfg(unix)]
    #[test]
    fn endings_are_told_apart() {
        let run = |script: &str, limit| {
            let child = Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait(child, Duration::from_millis(limit))
        };
        let broken = |reason: &str| Err(Ending::Broken(reason.to_owned()));
        assert_eq!(run("exit 0", 20_000), Ok(String::new()));
        assert_eq!(run("echo chatter >&2; echo so", 20_000), Ok("so".to_owned()));
        assert_eq!(run("exit 3", 20_000), broken("it ended with code 3"));
        let script = "echo chatter >&2; echo 'error: no driver' >&2; echo 'hint: get one' >&2; exit 1";
        assert_eq!(run(script, 20_000), Err(Ending::Failed("no driver".to_owned())));
        assert_eq!(run("kill -SEGV $$", 20_000), broken("it crashed with signal 11"));
        assert_eq!(
            run("exec sleep 60", 50),
            broken("it did not end within 0 seconds")
        );
    }
}
