//! Trying a device in a child process, end to end: this program is its own child, as `vpt` is.
//!
//! It has its own `main`, since the trial run starts the program itself with the hidden command.

use std::process::ExitCode;
use std::time::Instant;

use vpt_core::device::{DeviceChoice, PROBE_COMMAND, adapters, probe, select, set_child_probe};
use vpt_core::ops;

/// Makes the child crash as a driver would: always (`always`), or with kernels of our own (`kernels`).
const CRASH: &str = "VPT_TEST_CRASH";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [command, choice] if command == PROBE_COMMAND => child(choice),
        // What test runners ask; there is nothing to list.
        [first, ..] if first == "--list" => ExitCode::SUCCESS,
        _ => {
            set_child_probe(true);
            match crash().as_deref() {
                None => {
                    devices_are_tried_in_a_child();
                    again_with_children_that_crash("always");
                    again_with_children_that_crash("kernels");
                }
                Some("kernels") => a_crash_with_kernels_leads_to_burns_operations(),
                Some(_) => a_crash_leads_to_the_cpu(),
            }
            ExitCode::SUCCESS
        }
    }
}

fn crash() -> Option<String> {
    std::env::var(CRASH).ok()
}

fn child(choice: &str) -> ExitCode {
    match crash().as_deref() {
        None => {}
        Some("kernels") if !ops::gpu_kernels() => {}
        Some(_) => std::process::abort(),
    }
    match probe(&choice.parse().expect("a device")) {
        Ok(said) => {
            println!("{}", said.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}\nhint: none");
            ExitCode::FAILURE
        }
    }
}

fn devices_are_tried_in_a_child() {
    let start = Instant::now();
    let selected = select(&DeviceChoice::Auto).expect("auto always finds a device");
    println!(
        "auto: {} {:?} in {:?}",
        selected.name,
        selected.note,
        start.elapsed()
    );
    match adapters().first() {
        Some(best) if best.is_software() => {
            let note = selected.note.expect("a reason");
            assert!(
                note.contains("software adapter") && note.ends_with("; using the CPU"),
                "{note}"
            );
            let start = Instant::now();
            let selected = select(&DeviceChoice::Gpu(0)).expect("a software adapter on request");
            println!(
                "gpu: {} {:?} in {:?}",
                selected.name,
                selected.note,
                start.elapsed()
            );
            assert!(!selected.is_cpu);
        }
        Some(_) => assert!(!selected.is_cpu, "{:?}", selected.note),
        None => assert_eq!(
            selected.note.as_deref(),
            Some("no graphics driver offers a GPU; using the CPU")
        ),
    }
}

fn again_with_children_that_crash(when: &str) {
    let program = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(program)
        .env(CRASH, when)
        .status()
        .expect("a child");
    assert!(status.success(), "{status}");
}

fn a_crash_leads_to_the_cpu() {
    let selected = select(&DeviceChoice::Auto).expect("auto always finds a device");
    assert!(selected.is_cpu);
    let note = selected.note.expect("a reason");
    assert!(
        note.starts_with("device `auto` failed its trial run: it "),
        "{note}"
    );
    if !adapters().is_empty() {
        let error = select(&DeviceChoice::Gpu(0)).expect_err("the child crashes");
        assert!(error.to_string().contains("failed its trial run"), "{error}");
        assert!(error.hint().expect("a hint").contains("--device cpu"));
    }
}

fn a_crash_with_kernels_leads_to_burns_operations() {
    if adapters().is_empty() || !ops::gpu_kernels() {
        println!("skipped: no adapter that runs kernels of our own");
        return;
    }
    let selected = select(&DeviceChoice::Gpu(0)).expect("it passes without kernels");
    assert!(!selected.is_cpu && !ops::gpu_kernels());
    let note = selected.note.unwrap_or_default();
    let expected = "this program's own kernels failed their trial run on it (it crashed";
    assert!(note.starts_with(expected), "{note}");
}
