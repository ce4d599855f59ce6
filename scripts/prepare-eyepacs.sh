#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from the EyePACS competition's trainLabels.csv (image,level) and the images in FOLDER/train/.
# Both eyes of a patient (10_left, 10_right) are one group.
#
#   scripts/prepare-eyepacs.sh data/eyepacs
set -euo pipefail

folder=${1:?usage: $0 FOLDER with trainLabels.csv and train/}
labels=$folder/trainLabels.csv
[ -f "$labels" ] || { echo "error: no $labels" >&2; exit 1; }
[ -d "$folder/train" ] || { echo "error: no folder $folder/train" >&2; exit 1; }

trap 'rm -f "$folder/manifest.csv.part"' EXIT
awk -F, -v OFS=, '
    { sub(/\r$/, "") }
    NR == 1 { if ($0 != "image,level") { print "error: expected the header image,level, found " $0 > "/dev/stderr"; exit 1 }
              print "path", "label", "patient", "eye"; next }
    NF { split($1, part, "_"); print "train/" $1 ".jpeg", $2, part[1], part[2] }
' "$labels" >"$folder/manifest.csv.part"
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
