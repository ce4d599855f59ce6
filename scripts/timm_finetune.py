#!/usr/bin/env python3
"""Full fine-tuning of the built-in backbone as timm's `train.py` does it: the yardstick of `vpt train --method full`.

    python3 -m venv venv && venv/bin/pip install torch torchvision timm scikit-learn
    venv/bin/python scripts/timm_finetune.py DATA [--out FILE.json] [--metric top1|auroc] [--epochs N] [--warmup-epochs N] [--seeds 0,1,2] [--amp] [--setting LR,AUGMENTATION]

DATA is a folder with train, val and test, each of class folders, or a MedMNIST `.npz`: the splits that `vpt` takes as they are. Weights,
sizes and preprocessing are those of `vpt-core/assets/demo`. Everything else is timm's: transforms (RandAugment, random erasing), mixup,
label smoothing, stochastic depth, AdamW without decay on biases and norms, cosine schedule with warm-up. Validation chooses learning
rate, augmentation and epoch; then each seed trains anew and reads the test images once. FILE.json has every run; those that are
in it are not repeated, so an interrupted search goes on where it was. With `--setting` nothing is searched.
"""

import argparse
import contextlib
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from timm.data import Mixup, auto_augment, create_transform
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

BACKBONE = Path(__file__).resolve().parent.parent / "vpt-core/assets/demo"
CONFIG = json.loads((BACKBONE / "config.json").read_text())
SPLITS = ["train", "val", "test"]
BATCH, WEIGHT_DECAY, WARMUP_LR, CLIP = 32, 0.05, 1e-6, 1.0

# By the names of timm's flags.
AUGMENTATIONS = {
    "light": {"scale": (0.7, 1.0), "hflip": 0.5, "aa": None, "reprob": 0.0, "mixup": 0.0, "cutmix": 0.0, "smoothing": 0.1, "drop_path": 0.0},
    "strong": {"scale": (0.35, 1.0), "hflip": 0.5, "aa": "rand-m9-mstd0.5-inc1", "reprob": 0.25, "mixup": 0.2, "cutmix": 0.0,
               "smoothing": 0.1, "drop_path": 0.1},
}


def posterize(image, bits, **kwargs):
    """timm's may ask to keep no bits, which Pillow 13 refuses; one bit is the nearest to it."""
    return TIMM_POSTERIZE(image, max(bits, 1), **kwargs)


TIMM_POSTERIZE = auto_augment.posterize
auto_augment.NAME_TO_OP.update({name: posterize for name, op in auto_augment.NAME_TO_OP.items() if op is TIMM_POSTERIZE})


def read(data):
    """Per split: images as PIL has them, and labels; and the names of the classes."""
    if data.suffix == ".npz":
        arrays = np.load(data)
        splits = {split: ([Image.fromarray(image).convert("RGB") for image in arrays[f"{split}_images"]], arrays[f"{split}_labels"].ravel().astype(int))
                  for split in SPLITS}
        return splits, [str(label) for label in np.unique(splits["train"][1])]
    classes = sorted(folder.name for folder in (data / "train").iterdir() if folder.is_dir())
    splits = {}
    for split in SPLITS:
        files = [(file, label) for label, name in enumerate(classes) for file in sorted((data / split / name).iterdir())]
        splits[split] = [Image.open(file).convert("RGB") for file, _ in files], np.array([label for _, label in files])
    return splits, classes


def preprocessing():
    cfg = CONFIG["pretrained_cfg"]
    return {"input_size": tuple(cfg["input_size"]), "mean": cfg["mean"], "std": cfg["std"], "interpolation": cfg["interpolation"]}


def evaluation_pixels(images):
    transform = create_transform(**preprocessing(), is_training=False, crop_pct=CONFIG["pretrained_cfg"]["crop_pct"])
    return torch.stack([transform(image) for image in images])


def model_for(classes, drop_path):
    model = timm.create_model(CONFIG["architecture"], num_classes=len(classes), drop_path_rate=drop_path, **CONFIG["model_args"])
    weights = {name: tensor.float() for name, tensor in load_file(BACKBONE / "model.safetensors").items() if not name.startswith("head.")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert set(missing) == {"head.weight", "head.bias"} and not unexpected, (missing, unexpected)
    return model


@torch.no_grad()
def measure(model, pixels, labels):
    model.eval()
    logits = torch.cat([model(part) for part in pixels.split(128)])
    probabilities = logits.softmax(1).double().numpy()
    top1 = float((logits.argmax(1).numpy() == labels).mean())
    two = probabilities.shape[1] == 2
    auroc = roc_auc_score(labels, probabilities[:, 1]) if two else roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    loss = float(torch.nn.functional.cross_entropy(logits, torch.as_tensor(labels)))
    return {"top1": top1, "auroc": float(auroc), "log_loss": loss}


def train(splits, pixels, classes, setting, seed, epochs, warmup_epochs, metric, test, amp):
    """One run: the metrics of its best epoch on validation, and, if asked for, of the same weights on test."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    augmentation = AUGMENTATIONS[setting["augmentation"]]
    model = model_for(classes, augmentation["drop_path"])
    optimizer = create_optimizer_v2(model, opt="adamw", lr=setting["lr"], weight_decay=WEIGHT_DECAY)
    images, labels = splits["train"]
    steps = -(-len(images) // BATCH)
    schedule = CosineLRScheduler(optimizer, t_initial=(epochs - warmup_epochs) * steps, warmup_t=warmup_epochs * steps, warmup_lr_init=WARMUP_LR,
                                 warmup_prefix=True, t_in_epochs=False)
    transform = create_transform(**preprocessing(), is_training=True, scale=augmentation["scale"], hflip=augmentation["hflip"],
                                 auto_augment=augmentation["aa"], color_jitter=0.0, re_prob=augmentation["reprob"], re_mode="pixel")
    mixing = augmentation["mixup"] > 0 or augmentation["cutmix"] > 0
    mixup = Mixup(augmentation["mixup"], augmentation["cutmix"], label_smoothing=augmentation["smoothing"], num_classes=len(classes)) if mixing else None
    objective = SoftTargetCrossEntropy() if mixing else LabelSmoothingCrossEntropy(augmentation["smoothing"])
    autocast = lambda: torch.autocast("cpu", torch.bfloat16) if amp else contextlib.nullcontext()
    best, weights, step, started, history = None, None, 0, time.time(), []
    schedule.step_update(0)
    for epoch in range(epochs):
        model.train()
        order = np.random.permutation(len(images))
        for start in range(0, len(order), BATCH):
            rows = order[start:start + BATCH]
            rows = rows if len(rows) % 2 == 0 else rows[:-1]  # Mixup mixes pairs.
            if len(rows) == 0:
                continue
            batch, targets = torch.stack([transform(images[row]) for row in rows]), torch.as_tensor(labels[rows])
            if mixup:
                batch, targets = mixup(batch, targets)
            with autocast():
                logits = model(batch)
            loss = objective(logits.float(), targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            step += 1
            schedule.step_update(step)
        measured = measure(model, pixels("val"), splits["val"][1])
        history.append(round(measured[metric], 4))
        if best is None or (measured[metric], -measured["log_loss"]) > (best["val"][metric], -best["val"]["log_loss"]):
            best = {"epoch": epoch + 1, "val": measured}
            weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = {**setting, "seed": seed, "epochs": epochs, "best_epoch": best["epoch"], "val": best["val"], "history": history, "seconds": round(time.time() - started, 1)}
    if test:
        model.load_state_dict(weights)
        run["test"] = measure(model, pixels("test"), splits["test"][1])
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("timm_finetune.json"))
    parser.add_argument("--metric", choices=["top1", "auroc"], default="top1")
    parser.add_argument("--search-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--warmup-epochs", type=int, default=3)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--setting", help="what an earlier search found, such as 1e-3,light")
    parser.add_argument("--amp", action="store_true", help="bfloat16 in the forward and backward pass, as timm's `--amp --amp-dtype bfloat16`")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    splits, classes = read(args.data)
    cached = {}

    def pixels(split):
        if split not in cached:
            cached[split] = evaluation_pixels(splits[split][0])
        return cached[split]

    document = json.loads(args.out.read_text()) if args.out.exists() else {
        "data": args.data.name, "images": {split: len(splits[split][0]) for split in SPLITS}, "classes": classes, "metric": args.metric,
        "timm": timm.__version__, "torch": torch.__version__, "bfloat16": args.amp, "batch": BATCH, "weight_decay": WEIGHT_DECAY,
        "warmup_epochs": args.warmup_epochs, "clip_grad": CLIP, "augmentations": AUGMENTATIONS, "search": [], "runs": []}

    def run(kind, setting, seed, epochs):
        for done in document[kind]:
            if all(done[key] == value for key, value in {**setting, "seed": seed, "epochs": epochs}.items()):
                return done
        found = train(splits, pixels, classes, setting, seed, epochs, args.warmup_epochs, args.metric, kind == "runs", args.amp)
        document[kind].append(found)
        temporary = args.out.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, indent=1))
        temporary.replace(args.out)
        print(kind, {key: found[key] for key in found if key != "history"}, flush=True)
        return found

    def score(found):
        return found["val"][args.metric], -found["val"]["log_loss"]

    def searched_setting():
        searched = []
        for augmentation in AUGMENTATIONS:
            def search(lr):
                found = run("search", {"lr": lr, "augmentation": augmentation}, 0, args.search_epochs)
                searched.append(found)
                return score(found)
            # From two rates on towards the better side, until it gets worse: the best one is not the edge of a grid.
            rates = [3e-4, 1e-3, 3e-3] if search(1e-3) > search(3e-4) else [1e-3, 3e-4, 1e-4]
            search(rates[2])
        best = max(searched, key=score)
        return {"lr": best["lr"], "augmentation": best["augmentation"]}

    if args.setting:
        lr, augmentation = args.setting.split(",")
        setting = {"lr": float(lr), "augmentation": augmentation}
    else:
        setting = searched_setting()
    runs = [run("runs", setting, int(seed), args.epochs) for seed in args.seeds.split(",")]
    values = [found["test"][args.metric] for found in runs]
    document["chosen"] = setting
    document["test"] = {name: {"mean": float(np.mean([found["test"][name] for found in runs])), "sd": float(np.std([found["test"][name] for found in runs], ddof=1)) if len(runs) > 1 else None}
                        for name in ["top1", "auroc", "log_loss"]}
    args.out.write_text(json.dumps(document, indent=1))
    print(f"{args.data.name}: {setting}, test {args.metric} {np.mean(values):.4f} over {len(values)} seeds: {values}")


if __name__ == "__main__":
    main()
