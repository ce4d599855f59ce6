//! `--tensorboard`: what is written is what TensorBoard reads.

use std::env;
use std::process::Command;

use serde_json::Value;
use vpt_eval::EpochRow;
use vpt_train::{RunDir, TrainConfig};

use crate::bench::Bench;

/// Data of the TFRecords in a file, whose checksums are right.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(12);
        let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
        assert_eq!(head[8..], masked(&head[..8]));
        let (data, rest) = rest.split_at(length);
        let (sum, rest) = rest.split_at(4);
        assert_eq!(sum, masked(data));
        records.push(data);
        bytes = rest;
    }
    records
}

/// Polynomial division, the highest coefficient first: CRC-32C without the tricks of the usual code.
fn masked(data: &[u8]) -> [u8; 4] {
    let mut remainder = 0xffff_ffffu32;
    for bit in data.iter().flat_map(|byte| (0..8).map(move |i| byte >> i & 1)) {
        let carry = remainder >> 31 != u32::from(bit);
        remainder = (remainder << 1) ^ if carry { 0x1edc_6f41 } else { 0 };
    }
    let crc = !remainder.reverse_bits();
    ((crc >> 15 | crc << 17).wrapping_add(0xa282_ead8)).to_le_bytes()
}

#[test]
fn an_epoch_is_a_record_and_a_resumed_run_has_each_once() {
    let bench = Bench::new();
    let config = TrainConfig {
        tensorboard: true,
        ..bench.config("vpt-deep")
    };
    bench.run_in_pieces("run", &config, &[5, 8]);
    let bytes = bench.read("run", RunDir::EVENTS);
    let records = records(&bytes);
    assert_eq!(records.len(), 4, "the version, then three epochs");
    assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
    for (epoch, record) in records[1..].iter().enumerate() {
        assert_eq!(record[9..11], [0x10, epoch as u8 + 1], "the epoch is the step");
    }
    assert!(records[3].windows(10).any(|part| part == b"\x0a\x08loss/val"));

    let rows = EpochRow::load_csv(&bench.path("run").join(RunDir::RESULTS_CSV)).unwrap();
    let Some(read) = read_by_tensorboard(&bench.path("run")) else {
        return;
    };
    for (tag, value) in [
        ("loss/train", (|row| row.train_loss) as fn(&EpochRow) -> f64),
        ("loss/val", |row| row.val_loss),
        ("lr", |row| row.lr),
        ("val/top1", |row| row.metrics["top1"]),
    ] {
        let points = read[tag].as_array().expect("is a curve");
        assert_eq!(points.len(), rows.len(), "{tag}");
        for (point, row) in points.iter().zip(&rows) {
            assert_eq!(point[0], row.epoch, "{tag}");
            let (read, written) = (point[1].as_f64().unwrap(), value(row));
            assert!(
                (read - written).abs() <= 1e-6 * written.abs(),
                "{tag}: {read} {written}"
            );
        }
    }
}

#[test]
fn without_the_flag_there_is_no_such_file() {
    let bench = Bench::new();
    bench.run("run", &bench.config("linear"));
    assert!(!bench.path("run").join(RunDir::EVENTS).exists());
}

/// `[[step, value], …]` by tag, as the `tensorboard` package of `VPT_PYTHON` (or `python3`) reads the folder.
fn read_by_tensorboard(run: &std::path::Path) -> Option<Value> {
    let python = env::var("VPT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let can = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: `{python}` has no package tensorboard (name a Python that has with VPT_PYTHON)");
        return None;
    }
    let script = "import json, sys\n\
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
        read = EventAccumulator(sys.argv[1]); read.Reload()\n\
        print(json.dumps({tag: [[e.step, e.value] for e in read.Scalars(tag)] for tag in read.Tags()['scalars']}))";
    let output = Command::new(&python)
        .args(["-c", script])
        .arg(run)
        .output()
        .expect("python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).expect("is JSON"))
}
