#!/usr/bin/env bash
# Unpacks PatchCamelyon, as published in FOLDER/camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5 (or .h5.gz): each patch becomes
# an uncompressed TIFF in FOLDER/images/, and FOLDER/manifest.csv names them with label and split. Where a split's _meta.csv is there,
# the slide that a patch was cut from is its group. A split that is missing is left out; there must be `train`.
# Needs h5dump (Debian: hdf5-tools) and perl; 9 GB for the images, and 7 GB more while the largest file is unpacked.
#
#   scripts/prepare-patch-camelyon.sh data/patch-camelyon
set -euo pipefail

folder=${1:?usage: $0 FOLDER with camelyonpatch_level_2_split_train_x.h5.gz and the like}
fail() { echo "error: $*" >&2; exit 1; }
command -v h5dump >/dev/null || fail "no h5dump; it comes with hdf5-tools (Debian) or hdf5 (Homebrew)"
command -v perl >/dev/null || fail "no perl"

work=$(mktemp -d "$folder/unpacked.XXXXXX")
trap 'rm -rf "$work" "$folder/manifest.csv.part"' EXIT

# Prints the HDF5 file of a split's x or y, unpacked if need be.
file_of() {
  local name=camelyonpatch_level_2_split_$1_$2.h5
  if [ -f "$folder/$name" ]; then
    echo "$folder/$name"
  elif [ -f "$folder/$name.gz" ]; then
    gzip -dc "$folder/$name.gz" >"$work/$name" && echo "$work/$name"
  else
    return 1
  fi
}

# Prints the shape of the array of bytes called $2 in the file $1: `262144 96 96 3`.
shape_of() {
  local header
  header=$(h5dump -H -d "/$2" "$1") || fail "cannot read the array $2 of $1"
  case $header in *H5T_STD_U8LE*) ;; *) fail "the array $2 of $1 does not hold bytes" ;; esac
  sed -n 's/.*SIMPLE *{ *( *\([0-9, ]*\)).*/\1/p' <<<"$header" | tr -d , | head -n 1
}

# Writes the images that come on stdin, and their lines of the table on stdout.
program=$(cat <<'PERL'
use strict;
use warnings;
use File::Path 'make_path';
my ($folder, $split, $count, $height, $width, $labels, $meta) = @ARGV;

my @slides;
if ($meta ne '') {
    open my $table, '<', $meta or die "error: $meta: $!\n";
    my @header = split /,/, <$table> =~ s/\r?\n//r;
    my ($column) = grep { $header[$_] eq 'wsi' } 0 .. $#header;
    die "error: $meta has no column wsi\n" unless defined $column;
    while (my $line = <$table>) { push @slides, (split /,/, $line =~ s/\r?\n//r)[$column] }
    die "error: $meta has " . @slides . " lines for $count images\n" unless @slides == $count;
}

# An uncompressed TIFF: header, one directory, then the pixels as they are.
my $bytes = 3 * $height * $width;
my $tiff = 'II' . pack('v V v', 42, 8, 9);
for ([256, 4, 1, $width], [257, 4, 1, $height], [258, 3, 3, 122], [259, 3, 1, 1], [262, 3, 1, 2], [273, 4, 1, 128],
     [277, 3, 1, 3], [278, 4, 1, $height], [279, 4, 1, $bytes]) { $tiff .= pack 'v v V V', @$_ }
$tiff .= pack 'V v3', 0, 8, 8, 8;

binmode STDIN;
open my $classes, '<:raw', $labels or die "error: $labels: $!\n";
for my $image (0 .. $count - 1) {
    my ($picture, $class);
    die "error: the images of $split end with number $image\n" unless (read(STDIN, $picture, $bytes) // 0) == $bytes;
    die "error: the labels of $split end with number $image\n" unless read $classes, $class, 1;
    $class = ord $class;
    die "error: image $image of $split has the label $class, expected 0 or 1\n" if $class > 1;
    my $place = sprintf 'images/%s/%03d', $split, $image / 1000;
    make_path("$folder/$place") if $image % 1000 == 0;
    my $path = sprintf '%s/%06d.tif', $place, $image;
    open my $file, '>:raw', "$folder/$path" or die "error: $folder/$path: $!\n";
    print $file $tiff, $picture;
    close $file or die "error: $folder/$path: $!\n";
    print join(',', $path, ('normal', 'tumour')[$class], $split, $meta ne '' ? $slides[$image] : ()), "\n";
}
PERL
)

# The splits that are there, and whether it is known from which slides all of them are.
splits='' grouped=1
for split in train valid test; do
  name=$folder/camelyonpatch_level_2_split_$split
  if [ -f "${name}_x.h5" ] || [ -f "${name}_x.h5.gz" ]; then
    splits="$splits $split"
    [ -f "${name}_meta.csv" ] || grouped=0
  fi
done
case $splits in ' train'*) ;; *) fail "no camelyonpatch_level_2_split_train_x.h5.gz in $folder" ;; esac

[ $grouped = 1 ] && columns=path,label,split,group || columns=path,label,split
echo $columns >"$folder/manifest.csv.part"
for split in $splits; do
  images=$(file_of "$split" x)
  labels=$(file_of "$split" y) || fail "no camelyonpatch_level_2_split_${split}_y.h5.gz in $folder"
  shape=$(shape_of "$images" x)
  read -r count height width channels <<<"$shape"
  [ "${channels:-}" = 3 ] || fail "the array x of $images is no list of colour images"
  shape=$(shape_of "$labels" y)
  read -r labelled _ <<<"$shape"
  [ "$count" = "$labelled" ] || fail "$count images but $labelled labels in $split"
  meta=
  [ $grouped = 0 ] || meta=$folder/camelyonpatch_level_2_split_${split}_meta.csv
  h5dump -d /y -b LE -o "$work/y" "$labels" >/dev/null
  h5dump -d /x -b LE -o /dev/fd/3 "$images" 3>&1 >/dev/null |
    perl -e "$program" "$folder" "$split" "$count" "$height" "$width" "$work/y" "$meta" >>"$folder/manifest.csv.part"
  rm -f "$work"/*.h5
done
mv "$folder/manifest.csv.part" "$folder/manifest.csv"
echo "wrote $folder/manifest.csv"
