#!/usr/bin/env python3
"""A batch in which every image is of another task: `vpt` in one forward pass, PyTorch by a loop over the tasks, in turns.

    python3 -m venv venv && venv/bin/pip install torch timm
    cargo build --release --workspace --example many_tasks
    venv/bin/python scripts/bench_mixed_tasks.py [--model vit_base_patch16_224] [--tasks 20] [--tokens 10] [--batch 20] [--rounds 3] [--threads 2]

The loop is what PEFT does with a batch of several adapters (its `adapter_names`): the images of one task after those of another, here with deep prompts
in the form of VPT's official code. Every measurement is a process of its own, by turns; waiting threads sleep (OMP_WAIT_POLICY=PASSIVE). Printed are
images a second of batches of one task, of batches of all tasks, and their ratio, medians over the rounds.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time

from bench_vs_torch import ROOT, environment, torch_model

STEPS = 7


def torch_worker(case):
    """Measures PyTorch in this process and prints it."""
    import torch

    torch.set_num_threads(case["threads"])
    torch.manual_seed(0)
    model, _ = torch_model(case["model"], "vpt-deep", case["tokens"])
    model.eval()
    size = model.vit.patch_embed.img_size
    pixels = torch.randn(case["batch"], 3, *size)
    learned = [(torch.randn_like(model.prompts) * 0.1, torch.randn_like(model.vit.head.weight)) for _ in range(case["tasks"])]

    def put(task):
        model.prompts.data, model.vit.head.weight.data = learned[task]

    def one():
        put(0)
        return model(pixels)

    def many():
        logits = torch.empty(case["batch"], model.vit.head.out_features)
        for task in range(min(case["tasks"], case["batch"])):
            put(task)
            rows = torch.arange(task, case["batch"], case["tasks"])
            logits[rows] = model(pixels[rows])
        return logits

    speeds = {}
    with torch.inference_mode():
        for name, work in [("one", one), ("many", many)] * 2:
            seconds = []
            for _ in range(STEPS):
                start = time.perf_counter()
                work().sum().item()
                seconds.append(time.perf_counter() - start)
            # The first time warms up.
            speeds[name] = case["batch"] / statistics.median(seconds)
    print(json.dumps(speeds))


def measure_torch(case):
    command = [sys.executable, __file__, "--worker", json.dumps(case)]
    return json.loads(subprocess.run(command, env=environment(case["threads"]), check=True, capture_output=True, text=True).stdout)


def measure_vpt(example, case):
    command = [example, *(str(case[key]) for key in ["model", "tasks", "tokens", "batch"])]
    env = {**environment(case["threads"]), "RAYON_NUM_THREADS": str(case["threads"])}
    text = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    one, many = re.search(r"([\d.]+) images/s of one task, ([\d.]+) of", text).groups()
    return {"one": float(one), "many": float(many)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_base_patch16_224")
    for name, default in [("tasks", 20), ("tokens", 10), ("batch", 20), ("rounds", 3), ("threads", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--example", default=str(ROOT / "target/release/examples/many_tasks"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return torch_worker(json.loads(args.worker))
    case = {key: getattr(args, key) for key in ["model", "tasks", "tokens", "batch", "threads"]}
    turns = [{"vpt": measure_vpt(args.example, case), "PyTorch": measure_torch(case)} for _ in range(args.rounds)]
    print(f"{args.model}, {args.tasks} tasks of {args.tokens} tokens, batches of {args.batch}, {args.threads} threads\n")
    print("| | one task, images/s | all tasks, images/s | ratio |\n|---|---|---|---|")
    for side in ["vpt", "PyTorch"]:
        one, many = (statistics.median(turn[side][key] for turn in turns) for key in ["one", "many"])
        ratio = statistics.median(turn[side]["many"] / turn[side]["one"] for turn in turns)
        print(f"| {side} | {one:.2f} | {many:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
