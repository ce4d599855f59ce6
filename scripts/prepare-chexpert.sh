#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from train.csv and valid.csv of CheXpert (FOLDER is CheXpert-v1.0-small or CheXpert-v1.0). Images of
# valid.csv, which three radiologists labelled, are the test. Images of one patient are one group; `No Finding` is no class.
# A finding that the report is uncertain of (-1) counts as absent; with the word `ones` behind the folder as present.
#
#   scripts/prepare-chexpert.sh data/CheXpert-v1.0-small
set -euo pipefail

folder=${1:?usage: $0 FOLDER with train.csv and valid.csv [ones]}
uncertain=${2:-zeros}
case $uncertain in zeros | ones) ;; *) echo "error: expected zeros or ones, found $uncertain" >&2; exit 1 ;; esac
for name in train.csv valid.csv; do
  [ -f "$folder/$name" ] || { echo "error: no $name in $folder" >&2; exit 1; }
done

trap 'rm -f "$folder/manifest.csv.part"' EXIT
awk -F, -v OFS=, -v ones="$([ "$uncertain" = ones ] && echo 1 || echo 0)" '
    { sub(/\r$/, "") }
    FNR == 1 { file++
               if ($1 != "Path" || $6 != "No Finding" || NF != 19) {
                 print "error: expected the header Path, Sex, Age, Frontal/Lateral, AP/PA, No Finding and 13 findings, found " $0 > "/dev/stderr"; exit 1 }
               for (i = 7; i <= NF; i++) class[i] = $i
               if (file == 1) print "path", "labels", "split", "patient", "age", "sex", "view"
               next }
    NF { labels = ""
         for (i = 7; i <= NF; i++) if ($i != "" && ($i + 0 == 1 || (ones && $i + 0 == -1))) labels = labels (labels == "" ? "" : "|") class[i]
         # The first part of the path is the name of the folder itself.
         path = $1; sub(/^[^\/]*\//, "", path)
         if (!match(path, /patient[0-9]+/)) { print "error: no patient in the path " $1 > "/dev/stderr"; exit 1 }
         print path, labels, (file == 1 ? "train" : "test"), substr(path, RSTART, RLENGTH), $3, $2, $4 }
' "$folder/train.csv" "$folder/valid.csv" >"$folder/manifest.csv.part"
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
