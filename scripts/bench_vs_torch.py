#!/usr/bin/env python3
"""`vpt bench` beside PyTorch and timm: the same model, batch, image size and threads, in turns.

    python3 -m venv venv && venv/bin/pip install torch timm
    cargo build --release
    venv/bin/python scripts/bench_vs_torch.py [--models NAMES] [--batches 8,32] [--cases vpt-deep:10,vpt-deep:50,full]
                                              [--modes train,infer] [--precision bf16] [--rounds 3] [--steps 5] [--threads 2] [--out FILE.json]
                                              [--against scripts/bench_ratios.json] [--record FILE.json]

PyTorch runs prompts as the official code of VPT does (Jia et al. 2022): they are tokens among the others, between the class token and the
patches, and in the deep form are overwritten in front of every block. A training step is forward, cross entropy, backward and AdamW on
what is tuned; frozen parameters need no gradient, and the backbone of a linear probe runs without a tape. All eager, in float32; with
`--precision bf16` frozen weights are bfloat16 in `vpt`, and PyTorch runs under its autocast to bfloat16 (`--precision bf16-weights`: frozen
weights of PyTorch are converted once besides, which autocast alone does in every step).

Every measurement is a process of its own, `vpt` and PyTorch by turns, and a ratio is that of one turn: what else the machine does falls on
both. Waiting threads sleep (OMP_WAIT_POLICY=PASSIVE). The table has medians over the rounds; "of the product" is the arithmetic that was reached
next to what a matrix product of float32 reaches in the same process. With `--out` every single measurement is kept.

`--record` keeps the ratios of this run, of speed and of memory; `--against` compares with ratios that were recorded before, prints every loss of
more than 10 % and then fails. Ratios of turns, unlike times, can be compared between days and machines of one kind: for a nightly job.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLASSES = 10
WARM_UP = 2


def torch_model(name, method, tokens):
    """The model, and the parameters that are tuned."""
    import timm
    import torch
    from torch import nn

    vit = timm.create_model(name, num_classes=CLASSES)
    if method == "full":
        return vit, list(vit.parameters())
    for parameter in vit.parameters():
        parameter.requires_grad_(False)
    head = list(vit.head.parameters())
    for parameter in head:
        parameter.requires_grad_(True)
    if method == "linear":
        class Probe(nn.Module):
            def __init__(self):
                super().__init__()
                self.vit = vit

            def forward(self, pixels):
                with torch.no_grad():
                    pooled = self.vit.forward_head(self.vit.forward_features(pixels), pre_logits=True)
                return self.vit.head(pooled)

        return Probe(), head

    class Prompted(nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = vit
            sets = len(vit.blocks) if method == "vpt-deep" else 1
            self.prompts = nn.Parameter(torch.empty(sets, tokens, vit.embed_dim).uniform_(-0.1, 0.1))

        def forward(self, pixels):
            vit = self.vit
            x = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(pixels))))
            for i, block in enumerate(vit.blocks):
                if i < len(self.prompts):
                    prompts = self.prompts[i].expand(len(x), -1, -1)
                    rest = x[:, 1:] if i == 0 else x[:, 1 + tokens:]
                    x = torch.cat([x[:, :1], prompts, rest], 1)
                x = block(x)
            return vit.forward_head(vit.norm(x))

    model = Prompted()
    return model, [model.prompts, *head]


def torch_worker(case):
    """Measures one case in this process and prints it."""
    import torch

    torch.set_num_threads(case["threads"])
    torch.manual_seed(0)
    model, tuned = torch_model(case["model"], case["method"], case["tokens"])
    pixels = torch.randn(case["batch"], 3, *case["size"])
    labels = torch.arange(case["batch"]) % CLASSES
    optimizer = torch.optim.AdamW(tuned, lr=1e-3)
    if case["precision"] == "bf16-weights":
        # Norms are computed in float32 under autocast, and stay.
        layers = [layer for layer in model.modules() if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))]
        for parameter in (parameter for layer in layers for parameter in layer.parameters()):
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()

    def forward():
        with torch.autocast("cpu", torch.bfloat16, enabled=case["precision"] != "float32"):
            return model(pixels)

    def step():
        loss = torch.nn.functional.cross_entropy(forward().float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    @torch.inference_mode()
    def infer():
        forward().sum().item()

    work = step if case["mode"] == "train" else infer
    model.train(case["mode"] == "train")
    seconds = []
    for _ in range(WARM_UP + case["steps"]):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    # Read before the product, whose matrices are not the model's.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    matrix, best = torch.randn(2048, 2048), float("inf")
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"images_per_second": case["batch"] / statistics.median(seconds[WARM_UP:]), "peak_memory_bytes": peak,
                      "matmul_gflop_per_second": 2 * 2048**3 / best / 1e9, "torch": torch.__version__}))


def environment(threads):
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def measure_torch(case):
    command = [sys.executable, __file__, "--worker", json.dumps(case)]
    return json.loads(subprocess.run(command, env=environment(case["threads"]), check=True, capture_output=True, text=True).stdout)


def measure_vpt(vpt, case):
    size = "x".join(map(str, case["size"]))
    command = [vpt, "bench", "--json", "--device", "cpu", "--threads", case["threads"], "--model", case["model"], "--method", case["method"],
               "--img-size", size, "--batch-size", case["batch"], "--mode", case["mode"], "--steps", case["steps"]]
    if case["precision"] != "float32":
        command += ["--precision", "bf16"]
    if case["tokens"]:
        command += ["--num-tokens", case["tokens"]]
    done = subprocess.run(list(map(str, command)), env=environment(case["threads"]), check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return {**report[case["mode"]], "matmul_gflop_per_second": report["matmul_gflop_per_second"]}


def row(case, turns):
    def median(side, key):
        return statistics.median(turn[side][key] for turn in turns)

    gflop = turns[0]["vpt"]["gflop_per_image"]
    cells = [f"{case['model']}, batch {case['batch']}", case["method"] + (f", {case['tokens']} tokens" if case["tokens"] else ""), case["mode"]]
    cells += [f"{median(side, 'images_per_second'):.3g}" for side in ["vpt", "torch"]]
    cells.append(f"{statistics.median(turn['vpt']['images_per_second'] / turn['torch']['images_per_second'] for turn in turns):.2f}")
    cells += [f"{median(side, 'peak_memory_bytes') / 1e9:.2f} GB" for side in ["vpt", "torch"]]
    cells.append(f"{100 * gflop * median('vpt', 'images_per_second') / median('vpt', 'matmul_gflop_per_second'):.0f} %")
    return "| " + " | ".join(cells) + " |"


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    widest = next((name for name in ["avx512f", "avx2"] if name in flags), "")
    return f"{names[0] if names else platform.processor()} {widest}".strip()


def ratios(case, turns):
    """Name of a case, and how many times the speed and the memory of PyTorch `vpt` has in it: medians over the turns."""
    name = f"{case['model']}, {case['size'][0]} x {case['size'][1]}, batch {case['batch']}, {case['method']}"
    name += f" {case['tokens']}, {case['mode']}" if case["tokens"] else f", {case['mode']}"
    name += "" if case["precision"] == "float32" else f", {case['precision']}"
    of = lambda key: round(statistics.median(turn["vpt"][key] / turn["torch"][key] for turn in turns), 3)
    return name, {"speed": of("images_per_second"), "memory": of("peak_memory_bytes")}


def losses(now, before):
    """What is more than 10 % worse than it was, in sentences."""
    for name, was in before.items():
        is_now = now.get(name)
        if is_now is None:
            continue
        if is_now["speed"] < 0.9 * was["speed"]:
            yield f"{name}: {is_now['speed']} times PyTorch's speed, {was['speed']} before"
        if is_now["memory"] > 1.1 * was["memory"]:
            yield f"{name}: {is_now['memory']} times PyTorch's memory, {was['memory']} before"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vpt", default=str(ROOT / "target/release/vpt"))
    parser.add_argument("--models", default="vit_tiny_patch16_224,vit_base_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batches", default="8,32")
    parser.add_argument("--cases", default="vpt-deep:10,vpt-deep:50,vpt-deep:100,vpt-shallow:50,linear,full")
    parser.add_argument("--modes", default="train,infer")
    parser.add_argument("--precision", choices=["float32", "bf16", "bf16-weights"], default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        torch_worker(json.loads(args.worker))
        return
    print(f"{processor()}, {args.threads} threads, {args.precision}, {args.rounds} rounds of {args.steps} steps\n")
    print("| model | method | mode | vpt images/s | PyTorch images/s | ratio | vpt memory | PyTorch memory | vpt of the product |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
    recorded = json.loads(args.against.read_text())["ratios"] if args.against else {}
    kept, found = [], {}
    for model in args.models.split(","):
        for batch in map(int, args.batches.split(",")):
            for method, _, tokens in (case.partition(":") for case in args.cases.split(",")):
                for mode in args.modes.split(","):
                    case = {"model": model, "method": method, "tokens": int(tokens or 0), "batch": batch, "mode": mode,
                            "size": [args.size, args.size], "precision": args.precision, "steps": args.steps, "threads": args.threads}
                    turns = [{"vpt": measure_vpt(args.vpt, case), "torch": measure_torch(case)} for _ in range(args.rounds)]
                    kept.append({**case, "turns": turns})
                    print(row(case, turns), flush=True)
                    name, of_case = ratios(case, turns)
                    found[name] = of_case
                    if args.out:
                        document = {"processor": processor(), "python": platform.python_version(), "cases": kept}
                        args.out.write_text(json.dumps(document, indent=1))
                    if args.record:
                        document = {"processor": processor(), "threads": args.threads, "ratios": found}
                        args.record.write_text(json.dumps(document, indent=1) + "\n")
    lost = list(losses(found, recorded))
    if args.against:
        print(f"\n{len(found.keys() & recorded.keys())} of {len(found)} cases were recorded before; worse by more than 10 %: {len(lost)}")
    for line in lost:
        print(f"  {line}")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
