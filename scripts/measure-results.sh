#!/usr/bin/env bash
# Runs comparisons of "Methods compared" in docs/results.md (fundus_large, sign_digits, brain_mri4, bccd_cells) with the backbone inside the program, one after the other, on the CPU.
# Runs that are there with the same settings and backbone are reused: interrupted, the same command goes on where it was
# (linear probes, which take seconds, are made again).
#
# usage: scripts/measure-results.sh DATA [FOLDER]
#   DATA    holds sign_digits/, brain_mri4/ and bccd_cells/, each with train/ val/ test/ of class folders; what is not there is left out
#   FOLDER  gets the drawn images and runs/ (default: runs/results); the tables are runs/compare/*/comparison.md in it
#   PARTS="tables large probes"  which of them: a table for each set, 128 x 128 pixels, linear probes by size and k-NN
set -euo pipefail

data=$(realpath "${1:?the folder of the data sets}")
folder=${2:-runs/results}
cd "$(dirname "$0")/.."
repository=$PWD
cargo build --release --workspace --bin vpt
cargo build --release --workspace --example draw_dataset
vpt=$repository/target/release/vpt
mkdir -p "$folder"
cd "$folder"
draw() { [ -d "$1" ] || "$repository/target/release/examples/draw_dataset" fundus "$@"; }
draw fundus_large 400 100 500 96 43
for name in sign_digits brain_mri4 bccd_cells; do
    [ -d "$data/$name" ] && ln -sfn "$data/$name" "$name"
done

compare() { # NAME DATA FLAGS…
    local name=$1 images=$2
    shift 2
    [ -d "$images" ] || return 0
    "$vpt" compare --data-dir "$images" --experiment "$name" --seeds 3 --jobs 2 --device cpu "$@"
}
table() { # DATA EPOCHS-OF-SHALLOW-PROMPTS EPOCHS-OF-FULL FLAGS…
    local images=$1 shallow=$2 full=$3
    shift 3
    compare "$images" "$images" --set vpt-shallow.epochs="$shallow" --set full.epochs="$full" "$@"
}

for part in ${PARTS:-tables large probes}; do
    case $part in
    tables)
        table sign_digits 30 12
        table fundus_large 20 10
        table brain_mri4 20 12
        table bccd_cells 6 6 --set vpt-deep.epochs=6
        ;;
    large)
        compare sign_digits_128 sign_digits --methods vpt-deep,linear,full --img-size 128 --set vpt-deep.epochs=30 --set full.epochs=12
        ;;
    probes)
        for name in sign_digits brain_mri4 fundus_large bccd_cells; do
            [ -d "$name" ] || continue
            "$vpt" knn --data-dir "$name" --device cpu
            for size in 64 96 128; do
                "$vpt" train --data-dir "$name" --method linear --img-size "$size" --seed 0 --experiment "${name}_probe_$size" \
                    --exist-ok --quiet --device cpu
            done
        done
        ;;
    *) echo "PARTS=$part: expected tables, large or probes" >&2 && exit 2 ;;
    esac
done
