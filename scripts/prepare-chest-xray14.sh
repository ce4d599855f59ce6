#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from Data_Entry_2017.csv and test_list.txt of NIH ChestX-ray14 and the images below FOLDER, in `images/` or
# as they are unpacked, `images_001/images/` and so on. Images of one patient are one group; `No Finding` is no class.
# Images that are not there are left out, so that a part of the archives will do.
#
#   scripts/prepare-chest-xray14.sh data/chest-xray14
set -euo pipefail

folder=${1:?usage: $0 FOLDER with Data_Entry_2017.csv, test_list.txt and the images}
for name in Data_Entry_2017.csv test_list.txt; do
  [ -f "$folder/$name" ] || { echo "error: no $name in $folder" >&2; exit 1; }
done

trap 'rm -f "$folder/manifest.csv.part" "$folder/images.list.part"' EXIT
(cd "$folder" && find . -name '*.png' | sed 's|^\./||') >"$folder/images.list.part"
awk -F, -v OFS=, -v images="$folder/images.list.part" -v tests="$folder/test_list.txt" '
    BEGIN { while ((getline line < images) > 0) { name = line; sub(/.*\//, "", name); path[name] = line }
            while ((getline line < tests) > 0) { sub(/\r$/, "", line); test[line] = 1 } }
    { sub(/\r$/, "") }
    NR == 1 { if ($1 != "Image Index" || $2 != "Finding Labels" || $4 != "Patient ID") {
                print "error: expected the header Image Index, Finding Labels, Follow-up #, Patient ID, found " $0 > "/dev/stderr"; exit 1 }
              print "path", "labels", "split", "patient", "age", "sex", "view"; next }
    NF && ($1 in path) { found++
         print path[$1], ($2 == "No Finding" ? "" : $2), ($1 in test ? "test" : "train"), $4, $5, $6, $7 }
    NF && !($1 in path) { absent++ }
    END { if (NR > 1 && !found) { print "error: none of the images of the table is there" > "/dev/stderr"; exit 1 }
          if (absent) print "note: left out " absent " images that are not there" > "/dev/stderr" }
' "$folder/Data_Entry_2017.csv" >"$folder/manifest.csv.part"
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
