#!/usr/bin/env bash
# Trains the backbone that ships inside the program (vpt-core/assets/demo), in two stages:
#   1. images of 32 x 32: Tiny ImageNet (200 classes), CIFAR-10 (10) and drawn scenes (91), together
#   2. the same at 64 x 64, the size at which the backbone is used, where the drawn scenes are sharp
# Interrupted, the same command goes on where it was.
#
# usage: scripts/pretrain-demo.sh TINY_IMAGENET32.tar.xz CIFAR10.tar.xz [FOLDER]
#   START=demo      weights to begin with: `demo` are the ones inside the program, `random` begins anew
#   EPOCHS1, EPOCHS2  length of the stages
# Then `cp FOLDER/demo/* vpt-core/assets/demo/`. Accuracy and what it cost are in docs/results.md.
set -euo pipefail

tiny=$(realpath "${1:?the archive of Tiny ImageNet at 32 x 32}")
cifar=$(realpath "${2:?the archive of CIFAR-10}")
folder=${3:-pretrain}
start=${START:-demo}
cd "$(dirname "$0")/.."
cargo build --release --bin vpt
cargo build --release -p vpt-data --example draw_dataset
vpt=$PWD/target/release/vpt
draw=$PWD/target/release/examples/draw_dataset
mkdir -p "$folder"
cd "$folder"

# Images: train/ and val/ of class folders, the classes of all three sources side by side.
if [ ! -d images ]; then
    rm -rf unpacked && mkdir unpacked
    tar xJf "$tiny" -C unpacked
    tar xJf "$cifar" -C unpacked # its test images validate here
    mv unpacked/test/* unpacked/val/ && rmdir unpacked/test
    "$draw" scenes scenes 400 40 64 7
    for split in train val; do
        for class in scenes/$split/*/; do mv "$class" "unpacked/$split/scene_$(basename "$class")"; done
    done
    rm -rf scenes unpacked/classes.tsv
    mv unpacked images
fi

# Scenes are told by place and orientation: no mirror images, and crops that leave most of the picture.
stage() { # NAME EPOCHS LR FLAGS…
    local name=$1 epochs=$2 lr=$3
    shift 3
    if [ -f "runs/train/$name/args.toml" ]; then
        "$vpt" train --resume "runs/train/$name" --quiet
    else
        "$vpt" train --data-dir images --method full --experiment "$name" --epochs "$epochs" --lr "$lr" --warmup-epochs 0.5 \
            --batch-size 128 --weight-decay 0.05 --smoothing 0.1 --hflip 0 --rrc-scale 0.5,1 --color-jitter 0.3 --seed 1 "$@"
    fi
}
from=(--model demo)
[ "$start" = demo ] || from=(--model "${MODEL:-demo}" --no-pretrained)
stage small "${EPOCHS1:-12}" 7e-4 "${from[@]}" --img-size 32
"$vpt" export runs/train/small --output small
stage large "${EPOCHS2:-3}" 4e-4 --model small --img-size 64
"$vpt" export runs/train/large --output demo --half
"$vpt" eval runs/train/large --split val
