#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from the APTOS 2019 competition's train.csv (id_code,diagnosis) and the images in FOLDER/train_images/.
#
#   scripts/prepare-aptos.sh data/aptos-2019
set -euo pipefail

folder=${1:?usage: $0 FOLDER with train.csv and train_images/}
labels=$folder/train.csv
[ -f "$labels" ] || { echo "error: no $labels" >&2; exit 1; }
[ -d "$folder/train_images" ] || { echo "error: no folder $folder/train_images" >&2; exit 1; }

trap 'rm -f "$folder/manifest.csv.part"' EXIT
awk -F, -v OFS=, '
    { sub(/\r$/, "") }
    NR == 1 { if ($0 != "id_code,diagnosis") { print "error: expected the header id_code,diagnosis, found " $0 > "/dev/stderr"; exit 1 }
              print "path", "label"; next }
    NF { print "train_images/" $1 ".png", $2 }
' "$labels" >"$folder/manifest.csv.part"
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
