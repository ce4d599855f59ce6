#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from the training labels of ISIC 2018, task 3, and the images in FOLDER/ISIC2018_Task3_Training_Input/.
# Where ISIC2018_Task3_Training_LesionGroupings.csv is there too, images of one lesion are one group.
#
#   scripts/prepare-isic2018.sh data/isic-2018
set -euo pipefail

folder=${1:?usage: $0 FOLDER with ISIC2018_Task3_Training_Input/ and the labels}
images=ISIC2018_Task3_Training_Input
name=ISIC2018_Task3_Training_GroundTruth
# The labels come as a folder with the table in it.
labels=$folder/$name/$name.csv
[ -f "$labels" ] || labels=$folder/$name.csv
[ -f "$labels" ] || { echo "error: no $name.csv in $folder" >&2; exit 1; }
[ -d "$folder/$images" ] || { echo "error: no folder $folder/$images" >&2; exit 1; }
lesions=$folder/ISIC2018_Task3_Training_LesionGroupings.csv
[ -f "$lesions" ] || lesions=/dev/null

trap 'rm -f "$folder/manifest.csv.part"' EXIT
awk -F, -v OFS=, -v images="$images" -v lesions="$lesions" '
    BEGIN { while ((getline line < lesions) > 0) { split(line, value, ","); group[value[1]] = value[2]; grouped = 1 } }
    { sub(/\r$/, "") }
    NR == 1 { if ($1 != "image" || NF != 8) { print "error: expected the header image and 7 classes, found " $0 > "/dev/stderr"; exit 1 }
              for (i = 2; i <= NF; i++) class[i] = $i
              if (grouped) print "path", "label", "group"; else print "path", "label"
              next }
    NF { label = ""
         for (i = 2; i <= NF; i++) if ($i + 0 == 1) label = class[i]
         if (label == "") { print "error: " $1 " has no class" > "/dev/stderr"; exit 1 }
         path = images "/" $1 ".jpg"
         if (grouped) print path, label, ($1 in group ? group[$1] : $1); else print path, label }
' "$labels" >"$folder/manifest.csv.part"
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
