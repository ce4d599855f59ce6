#!/usr/bin/env python3
"""`vpt export --format onnx` against onnxruntime: the logits of every model and method.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime numpy safetensors
    cargo build --release && cargo run --release -p vpt-core --example export_cases -- CASES vpt-core/tests/fixtures/golden [GOLDEN...]
    venv/bin/python scripts/check_onnx.py CASES [--vpt target/release/vpt] [--half] [--tolerance 1e-4]
    venv/bin/python scripts/check_onnx.py --one MODEL.onnx TASK.safetensors IO.safetensors

Each `CASES/MODEL/METHOD` has a `task.safetensors` and an `io.safetensors` with `pixels` and what the model answers to them: `logits` and `probs`, or
`boxes` (in pixels) and `scores`. The exported file must pass
onnx's own checker with shape inference, say of itself what the task file says, and answer the same, for the whole
batch and for its first image alone. Prints a table in Markdown with the largest difference of any logit (or edge of a box) by model and by method;
exit code 1 if one is above the tolerance.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent


def document(task):
    """The JSON document of a task file."""
    with open(task, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(length))["__metadata__"]["vpt"])


def check_metadata(session, task):
    """Whether the model says of itself what the task file says."""
    said, expected = session.get_modelmeta().custom_metadata_map, document(task)
    assert said["format"] == "vpt-onnx/1", said["format"]
    for key in ("task", "preprocess", "calibration", "method"):
        assert json.loads(said[key]) == expected[key], key
    backbone = json.loads(said["backbone"])
    assert backbone == {key: expected["backbone"][key] for key in ("architecture", "sha256")}, backbone


def check(model, task, io):
    """The largest differences of logits (or boxes) and of probabilities (or scores)."""
    onnx.checker.check_model(str(model), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    check_metadata(session, task)
    io = load_file(io)
    answers = [output.name for output in session.get_outputs()]
    assert answers == (["boxes", "scores"] if "boxes" in io else ["logits", "probs"]), answers
    worst = [0.0, 0.0]
    for count in (len(io["pixels"]), 1):
        outputs = session.run(answers, {"pixels": io["pixels"][:count]})
        for i, (name, found) in enumerate(zip(answers, outputs)):
            expected = io[name][:count]
            assert found.shape == expected.shape, (name, found.shape, expected.shape)
            assert np.isfinite(found).all(), name
            worst[i] = max(worst[i], float(np.abs(found - expected).max()))
    return worst


def table(title, differences):
    print(f"| {title} | cases | largest difference of a logit |")
    print("|---|---:|---:|")
    for name, found in differences.items():
        print(f"| {name} | {len(found)} | {max(found):.1e} |")
    print()


def check_all(args):
    models, methods, failed = defaultdict(list), defaultdict(list), []
    largest_prob = 0.0
    for case in sorted(path.parent for path in args.cases.glob("*/*/task.safetensors")):
        name, method = case.parent.name, case.name
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.onnx"
            command = [args.vpt, "export", case / "task.safetensors", "--format", "onnx", "--output", model, "-q"]
            command += ["--half"] if args.half else []
            run = subprocess.run(command, capture_output=True, text=True)
            try:
                assert run.returncode == 0, run.stderr
                logits, probs = check(model, case / "task.safetensors", case / "io.safetensors")
            except Exception as error:
                failed.append(f"{name} {method}: {error}")
                continue
        models[name].append(logits)
        methods[method].append(logits)
        largest_prob = max(largest_prob, probs)
        if not logits <= args.tolerance:
            failed.append(f"{name} {method}: a logit differs by {logits:.2e}")
    table("model", models)
    table("method", methods)
    count = sum(map(len, models.values()))
    print(f"{count} files; largest difference of a probability {largest_prob:.1e}; {len(failed)} failures")
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}{', float16 weights' if args.half else ''}")
    for failure in failed:
        print(failure, file=sys.stderr)
    return 1 if failed or count == 0 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("--vpt", default=ROOT / "target/release/vpt")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--one", type=Path, nargs=3, metavar=("MODEL", "TASK", "IO"))
    args = parser.parse_args()
    if args.one:
        logits, probs = check(*args.one)
        print(f"largest difference of a logit {logits:.2e}, of a probability {probs:.2e}")
        return 0 if logits <= args.tolerance else 1
    if args.cases is None:
        parser.error("give a folder of cases, or --one")
    return check_all(args)


if __name__ == "__main__":
    sys.exit(main())
