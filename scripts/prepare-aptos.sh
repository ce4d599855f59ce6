#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from the APTOS 2019 competition's train.csv (id_code,diagnosis) and the images in FOLDER/train_images/.
#
#   scripts/prepare-aptos.sh data/aptos-2019
set -euo pipefail
. "$(dirname "$0")/manifest.sh"

folder=${1:?usage: $0 FOLDER with train.csv and train_images/}
graded_manifest "$folder" train.csv train_images id_code,diagnosis path,label \
  'print "train_images/" $1 ".png", $2'
