#!/usr/bin/env bash
# Trains the backbone that ships inside the program (vpt-core/assets/demo), in two stages:
#   1. images of 32 x 32: Tiny ImageNet (200 classes), CIFAR-10 (10) and drawn scenes (91), together
#   2. the same at 64 x 64, the size at which the backbone is used, where the drawn scenes are sharp
# Interrupted, the same command goes on where it was.
#
# usage: scripts/pretrain-demo.sh TINY_IMAGENET32.tar.xz CIFAR10.tar.xz [FOLDER]
#   START=demo      weights to begin with: `demo` are the ones inside the program, `random` begins anew
#   EPOCHS1, EPOCHS2, SHOTS2  passes of the stages, and images a class in the second
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
from=(--model demo)
[ "$start" = demo ] || from=(--model demo --no-pretrained)
stage() { # NAME FLAGS…
    local name=$1
    shift
    if [ -f "runs/train/$name/args.toml" ]; then
        "$vpt" train --resume "runs/train/$name" --quiet
    else
        "$vpt" train --data-dir images --method full "${from[@]}" --experiment "$name" --weight-decay 0.05 --smoothing 0.1 \
            --hflip 0 --rrc-scale 0.5,1 --color-jitter 0.3 --seed 1 --cache-mb 1500 "$@"
    fi
}
stage small --img-size 32 --epochs "${EPOCHS1:-3}" --batch-size 128 --lr 6e-4 --warmup-epochs 0.3
stage large --img-size 64 --epochs "${EPOCHS2:-1}" --batch-size 64 --lr 3e-4 --warmup-epochs 0.05 --shots "${SHOTS2:-200}" \
    --init-from runs/train/small/best.safetensors
"$vpt" export runs/train/large --output demo --half
