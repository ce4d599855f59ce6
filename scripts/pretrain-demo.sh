#!/usr/bin/env bash
# Trains the backbone that ships inside the program (vpt-core/assets/demo), in stages:
#   small1, small2  images of 32 x 32: Tiny ImageNet (200 classes), CIFAR-10 (10) and drawn scenes (91), together
#   large           the same at 64 x 64, the size at which the backbone is used, where the drawn scenes are sharp
#   long            at 48 x 48, from the weights so far with a new head: most of the work; fewer patches make a pass cheaper
#   sharp           some images at 64 x 64 again, at a low rate, for positions are those of 64 x 64 from here on
# Interrupted, the same command goes on where it was.
#
# usage: scripts/pretrain-demo.sh TINY_IMAGENET32.tar.xz CIFAR10.tar.xz [FOLDER]
#   START=first     weights to begin with: `first` are those that this repository began with (in its history), `demo` the
#                   ones inside the program now, `random` none
#   EPOCHS1, EPOCHS2, EPOCHS3, EPOCHS4, EPOCHS5  passes of the stages;  SHOTS3, SHOTS5  images a class in the third and fifth
#   SCENES=400      drawn scenes of each class to train on
# Then `cp FOLDER/demo/* vpt-core/assets/demo/`. Accuracy and what it cost are in docs/results.md.
set -euo pipefail

tiny=$(realpath "${1:?the archive of Tiny ImageNet at 32 x 32}")
cifar=$(realpath "${2:?the archive of CIFAR-10}")
folder=${3:-pretrain}
start=${START:-first}
cd "$(dirname "$0")/.."
repository=$PWD
cargo build --release --workspace --bin vpt
cargo build --release --workspace --example draw_dataset
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
    "$draw" scenes scenes "${SCENES:-400}" 40 64 7
    for split in train val; do
        for class in scenes/$split/*/; do mv "$class" "unpacked/$split/scene_$(basename "$class")"; done
    done
    rm -rf scenes unpacked/classes.tsv
    mv unpacked images
fi

seed2=2
case $start in
first)
    if [ ! -d first ]; then
        assets=vpt-core/assets/demo
        commit=$(git -C "$repository" log --format=%h -- $assets/model.safetensors | tail -1)
        mkdir first.part
        for file in model.safetensors config.json; do
            git -C "$repository" show "$commit:$assets/$file" >first.part/$file
        done
        mv first.part first
    fi
    from=(--model first)
    ;;
demo) from=(--model demo) ;;
random)
    from=(--model demo --no-pretrained)
    seed2=1 # the random weights, which the stages must share, are a function of the seed
    ;;
*) echo "START=$start: expected first, demo or random" >&2 && exit 2 ;;
esac

# Scenes are told by place and orientation: no mirror images, and crops that leave most of the picture.
stage() { # NAME FLAGS…
    local name=$1
    shift
    if [ -f "runs/train/$name/args.toml" ]; then
        "$vpt" train --resume "runs/train/$name" --quiet
    else
        "$vpt" train --data-dir images --method full "${from[@]}" --experiment "$name" --weight-decay 0.05 --smoothing 0.1 \
            --hflip 0 --color-jitter 0.3 --head-init normal --cache-mb 1500 "$@"
    fi
}
best() { echo "runs/train/$1/best.safetensors"; }
stage small1 --seed 1 --img-size 32 --rrc-scale 0.5,1 --epochs "${EPOCHS1:-3}" --batch-size 128 --lr 6e-4 --warmup-epochs 0.3
stage small2 --seed $seed2 --img-size 32 --rrc-scale 0.5,1 --epochs "${EPOCHS2:-2}" --batch-size 128 --lr 8e-4 --warmup-epochs 0.2 \
    --init-from "$(best small1)"
stage large --seed $seed2 --img-size 64 --rrc-scale 0.5,1 --epochs "${EPOCHS3:-1}" --batch-size 64 --lr 4e-4 --warmup-epochs 0.05 \
    --shots "${SHOTS3:-500}" --init-from "$(best small2)"
[ -d middle ] || "$vpt" export runs/train/large --output middle --half
from=(--model middle)
stage long --seed $seed2 --img-size 48 --rrc-scale 0.35,1 --epochs "${EPOCHS4:-6}" --batch-size 128 --lr 6e-4 --warmup-epochs 0.3
stage sharp --seed $seed2 --img-size 64 --rrc-scale 0.5,1 --epochs "${EPOCHS5:-1}" --batch-size 128 --lr 1e-4 --warmup-epochs 0.05 \
    --shots "${SHOTS5:-100}" --init-from "$(best long)"
"$vpt" export runs/train/sharp --output demo --half
