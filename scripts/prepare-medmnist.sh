#!/usr/bin/env bash
# Downloads archives of MedMNIST (28 x 28) to where the tasks in datasets/ look for them, and checks them.
#
#   scripts/prepare-medmnist.sh pathmnist retinamnist      MEDMNIST_DIR: another folder, MEDMNIST_URL: another mirror
set -euo pipefail

folder=${MEDMNIST_DIR:-$(dirname "$0")/../data/medmnist}
url=${MEDMNIST_URL:-https://zenodo.org/records/6496656/files}

# The sums that MedMNIST 2.1 publishes in its info.py.
sum_of() {
  case $1 in
    pathmnist) echo a8b06965200029087d5bd730944a56c1 ;;
    dermamnist) echo 0744692d530f8e62ec473284d019b0c7 ;;
    octmnist) echo c68d92d5b585d8d81f7112f81e2d0842 ;;
    pneumoniamnist) echo 28209eda62fecd6e6a2d98b1501bb15f ;;
    chestmnist) echo 02c8a6516a18b556561a56cbdd36c4a8 ;;
    retinamnist) echo bd4c0672f1bba3e3a89f0e4e876791e4 ;;
    breastmnist) echo 750601b1f35ba3300ea97c75c52ff8f6 ;;
    bloodmnist) echo 7053d0359d879ad8a5505303e11de1dc ;;
    tissuemnist) echo ebe78ee8b05294063de985d821c1c34b ;;
    organamnist) echo 866b832ed4eeba67bfb9edee1d5544e6 ;;
    organcmnist) echo 0afa5834fb105f7705a7d93372119a21 ;;
    organsmnist) echo e5c39f1af030238290b9557d9503af9d ;;
    *) return 1 ;;
  esac
}

md5() {
  if command -v md5sum >/dev/null; then md5sum <"$1" | cut -d ' ' -f 1; else command md5 -q "$1"; fi
}

if [ $# -eq 0 ]; then
  echo "usage: $0 NAME…, such as pathmnist" >&2
  exit 2
fi
for name in "$@"; do
  expected=$(sum_of "$name") || { echo "error: no data set \`$name\`; see datasets/README.md" >&2; exit 2; }
  file=$folder/$name.npz
  if [ -f "$file" ] && [ "$(md5 "$file")" = "$expected" ]; then
    echo "$file is there"
    continue
  fi
  mkdir -p "$folder"
  # Under another name until it is checked, so that half a file is never taken for a whole one.
  trap 'rm -f "$file.part"' EXIT
  curl --fail --location --silent --show-error --output "$file.part" "$url/$name.npz"
  found=$(md5 "$file.part")
  if [ "$found" != "$expected" ]; then
    echo "error: $url/$name.npz has the MD5 sum $found, expected $expected" >&2
    exit 1
  fi
  mv "$file.part" "$file"
  echo "wrote $file"
done
