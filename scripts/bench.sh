#!/usr/bin/env bash
# The figures of docs/performance.md: speed and memory of the built-in backbone, and of ViT-B/16 with random weights, on the CPU
# or on `--device …`. Close everything else first; run it twice and compare.
# usage: scripts/bench.sh [FLAGS OF vpt bench]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --bin vpt --quiet
vpt=target/release/vpt
bench() {
    printf '\n$ vpt bench %s\n' "$*"
    "$vpt" bench "$@"
}
for method in vpt-deep vpt-shallow linear full; do
    bench --method "$method" --batch-size 32 --steps 20 "$@"
done
for tokens in 10 50 100; do
    bench --model vit_base_patch16_224 --method vpt-deep --num-tokens "$tokens" --batch-size 8 --steps 3 "$@"
done
bench --model vit_base_patch16_224 --method full --batch-size 8 --steps 3 "$@"
