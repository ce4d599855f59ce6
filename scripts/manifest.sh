# The manifests of competitions with one table of two columns, image and grade; `prepare-aptos.sh` and `prepare-eyepacs.sh` source it.

# graded_manifest FOLDER LABELS IMAGES HEADER COLUMNS ROW: writes FOLDER/manifest.csv with the columns COLUMNS from the table
# FOLDER/LABELS, which must begin with HEADER, and the images in FOLDER/IMAGES. ROW is what awk prints for a line of the table.
graded_manifest() {
  local folder=$1 labels=$1/$2 images=$1/$3 header=$4 columns=$5 row=$6
  [ -f "$labels" ] || { echo "error: no $labels" >&2; exit 1; }
  [ -d "$images" ] || { echo "error: no folder $images" >&2; exit 1; }
  part=$folder/manifest.csv.part
  trap 'rm -f "$part"' EXIT
  awk -F, -v OFS=, -v header="$header" -v columns="$columns" '
    { sub(/\r$/, "") }
    NR == 1 { if ($0 != header) { print "error: expected the header " header ", found " $0 > "/dev/stderr"; exit 1 }
              print columns; next }
    NF { '"$row"' }
  ' "$labels" >"$part"
  mv "$part" "$folder/manifest.csv"
  echo "wrote $folder/manifest.csv"
}
