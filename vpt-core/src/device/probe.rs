//! The trial run of a device, in a child process where a crash of the driver does no harm.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData, activation};

use super::{DeviceChoice, open};
use crate::{CoreError, HostTensor};

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
/// with exit code 0 when the device passes, else with another code and the error on stderr. The environment
/// variable `VPT_DEVICE_PROBE=0` switches it off again, for a parent that has already tried the device.
pub fn set_child_probe(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Tries a device in a child process, once per device and process. Passes at once where [`set_child_probe`]
/// did not allow it, and for the CPU.
///
/// # Errors
/// [`CoreError::DeviceFailed`] when the child crashes, finds wrong numbers or does not end in time.
pub fn probe_in_child(choice: &DeviceChoice) -> Result<(), CoreError> {
    static RESULTS: Mutex<BTreeMap<String, Option<String>>> = Mutex::new(BTreeMap::new());
    let allowed = ENABLED.load(Ordering::Relaxed) && std::env::var_os(CHILD).is_none();
    if !allowed || *choice == DeviceChoice::Cpu {
        return Ok(());
    }
    let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = results
        .entry(choice.to_string())
        .or_insert_with(|| run_child(choice).err());
    match failure {
        None => Ok(()),
        Some(reason) => Err(CoreError::DeviceFailed {
            device: choice.to_string(),
            reason: reason.clone(),
        }),
    }
}

/// Computes a small product, an activation and their gradients on the device and compares them with the CPU.
///
/// # Errors
/// [`CoreError::DeviceFailed`] when numbers differ, and the errors of [`select()`](super::select()), for
/// `auto` too when there is no real GPU. A driver may also crash or hang: run it in a child process.
pub fn probe(choice: &DeviceChoice) -> Result<(), CoreError> {
    let selected = open(choice)?;
    let expected = trial(&Device::flex())?;
    let found = trial(&selected.device)?;
    let difference = expected
        .iter()
        .zip(&found)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    if difference < 1e-3 && found.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(CoreError::DeviceFailed {
        device: selected.name,
        reason: format!("a small matrix product differs by {difference} from the CPU's"),
    })
}

/// Values and gradients of `gelu(A · B)` for fixed 33 × 65 and 65 × 17 matrices: sizes no kernel likes.
fn trial(device: &Device) -> Result<Vec<f32>, CoreError> {
    let device = device.clone().autodiff();
    let matrix = |rows: usize, columns: usize| {
        let values = (0..rows * columns)
            .map(|i| (i as f32 * 0.37).sin() * 0.3)
            .collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device).require_grad()
    };
    let (a, b) = (matrix(33, 65), matrix(65, 17));
    let output = activation::gelu(a.clone().matmul(b.clone()));
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

/// Runs the hidden command; the error says how it ended.
fn run_child(choice: &DeviceChoice) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let child = Command::new(program)
        .args([PROBE_COMMAND, &choice.to_string()])
        .env(CHILD, "child")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the trial run: {error}"))?;
    wait(child, TIME_LIMIT)
}

/// Waits for a child to end well within `limit`; the error says how it ended instead.
fn wait(mut child: Child, limit: Duration) -> Result<(), String> {
    // A thread empties the pipe, or a driver that has much to say would block.
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    });
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {} seconds", limit.as_secs()));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(ending(status, &reader.join().unwrap_or_default()))
}

/// How a child ended, in words: its own last ones (but for a hint) if it had any.
fn ending(status: ExitStatus, stderr: &str) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("it crashed with signal {signal}");
    }
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint:");
    match (stderr.lines().rfind(said), status.code()) {
        (Some(line), _) => line.strip_prefix("error: ").unwrap_or(line).to_owned(),
        (None, Some(code)) => format!("it ended with code {code}"),
        (None, None) => "it crashed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_passes_its_trial() {
        probe(&DeviceChoice::Cpu).unwrap();
    }

    #[test]
    fn nothing_is_started_unless_allowed() {
        probe_in_child(&DeviceChoice::Gpu(7)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn endings_are_told_apart() {
        let run = |script: &str, limit| {
            let child = Command::new("sh")
                .args(["-c", script])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            wait(child, Duration::from_millis(limit))
        };
        assert_eq!(run("exit 0", 20_000), Ok(()));
        assert_eq!(run("exit 3", 20_000), Err("it ended with code 3".into()));
        let script = "echo chatter >&2; echo 'error: no driver' >&2; echo 'hint: get one' >&2; exit 1";
        assert_eq!(run(script, 20_000), Err("no driver".into()));
        assert_eq!(
            run("kill -SEGV $$", 20_000),
            Err("it crashed with signal 11".into())
        );
        assert_eq!(
            run("exec sleep 60", 50),
            Err("it did not end within 0 seconds".into())
        );
    }
}
