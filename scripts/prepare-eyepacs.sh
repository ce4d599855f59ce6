#!/usr/bin/env bash
# Writes FOLDER/manifest.csv from the EyePACS competition's trainLabels.csv (image,level) and the images in FOLDER/train/.
# Both eyes of a patient (10_left, 10_right) are one group.
#
#   scripts/prepare-eyepacs.sh data/eyepacs
set -euo pipefail
. "$(dirname "$0")/manifest.sh"

folder=${1:?usage: $0 FOLDER with trainLabels.csv and train/}
graded_manifest "$folder" trainLabels.csv train image,level path,label,patient,eye \
  'split($1, part, "_"); print "train/" $1 ".jpeg", $2, part[1], part[2]'
