#!/usr/bin/env python3
"""`vpt export --format timm` against timm: the folder loads as `local-dir:` and gives the same logits.

    python3 -m venv venv && venv/bin/pip install torch timm safetensors
    cargo build --release && cargo run --release -p vpt-core --example export_cases -- CASES vpt-core/tests/fixtures/golden [GOLDEN...]
    venv/bin/python scripts/check_timm_export.py CASES [--vpt target/release/vpt] [--tolerance 1e-4]

Takes the cases of `scripts/check_onnx.py`. A method whose outcome is no backbone must be refused with a hint. What the
export warns of (timm's classes have no place for it) is counted; every other folder must load with
`timm.create_model("local-dir:FOLDER", pretrained=True)`. Prints a table in Markdown with the largest difference of any logit by model and
by method; exit code 1 if one is above the tolerance.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
# Methods that add what timm's models have no place for.
ADDED = ("adapter", "adaptformer", "mlp-", "vpt-")


@torch.inference_mode()
def difference(folder, io):
    """The largest difference of a logit."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    io = load_file(io)
    return (model(io["pixels"]) - io["logits"]).abs().max().item()


def table(title, differences):
    print(f"| {title} | cases | largest difference of a logit |")
    print("|---|---:|---:|")
    for name, found in differences.items():
        print(f"| {name} | {len(found)} | {max(found):.1e} |")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--vpt", default=ROOT / "target/release/vpt")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    models, methods, refused, warned, failed = *(defaultdict(list) for _ in range(4)), []
    for case in sorted(path.parent for path in args.cases.glob("*/*/task.safetensors")):
        name, method = case.parent.name, case.name
        with tempfile.TemporaryDirectory() as folder:
            command = [args.vpt, "export", case / "task.safetensors", "--output", Path(folder) / "model", "-q"]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode != 0:
                if "hint:" not in run.stderr or (Path(folder) / "model").exists():
                    failed.append(f"{name} {method}: {run.stderr}")
                refused[method].append(f"{name}: {run.stderr.splitlines()[0]}")
                continue
            if "timm will not load it" in run.stderr:
                warned[run.stderr.strip().removeprefix("warning: ")].append(f"{name} {method}")
                continue
            try:
                assert not method.startswith(ADDED), "this should have been refused"
                found = difference(Path(folder) / "model", case / "io.safetensors")
            except Exception as error:
                failed.append(f"{name} {method}: {str(error)[:300]}")
                continue
        models[name].append(found)
        methods[method].append(found)
        if not found <= args.tolerance:
            failed.append(f"{name} {method}: a logit differs by {found:.2e}")
    table("model", models)
    table("method", methods)
    for method, whys in refused.items():
        if not method.startswith(ADDED):
            print(f"refused, {method}: " + "; ".join(whys))
    for why, cases in warned.items():
        print(f"{why}: " + ", ".join(cases))
    count, *others = (sum(map(len, found.values())) for found in (models, refused, warned))
    print("{} folders loaded by timm; {} refused, {} with a warning; {} failures".format(count, *others, len(failed)))
    print(f"timm {timm.__version__}, torch {torch.__version__}")
    for failure in failed:
        print(failure, file=sys.stderr)
    return 1 if failed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
