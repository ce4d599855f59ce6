//! The attributes that make up a picture; no other one is ever looked at.

use std::fmt;

/// A data element's tag: group and element number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(pub u16, pub u16);

pub(super) const TRANSFER_SYNTAX_UID: Tag = Tag(0x0002, 0x0010);
pub(super) const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
pub(super) const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
pub(super) const PLANAR_CONFIGURATION: Tag = Tag(0x0028, 0x0006);
pub(super) const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
pub(super) const ROWS: Tag = Tag(0x0028, 0x0010);
pub(super) const COLUMNS: Tag = Tag(0x0028, 0x0011);
pub(super) const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
pub(super) const BITS_STORED: Tag = Tag(0x0028, 0x0101);
pub(super) const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
pub(super) const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
pub(super) const PIXEL_PADDING_VALUE: Tag = Tag(0x0028, 0x0120);
pub(super) const PIXEL_PADDING_RANGE_LIMIT: Tag = Tag(0x0028, 0x0121);
pub(super) const WINDOW_CENTER: Tag = Tag(0x0028, 0x1050);
pub(super) const WINDOW_WIDTH: Tag = Tag(0x0028, 0x1051);
pub(super) const RESCALE_INTERCEPT: Tag = Tag(0x0028, 0x1052);
pub(super) const RESCALE_SLOPE: Tag = Tag(0x0028, 0x1053);
pub(super) const VOI_LUT_FUNCTION: Tag = Tag(0x0028, 0x1056);
pub(super) const RED_PALETTE_DESCRIPTOR: Tag = Tag(0x0028, 0x1101);
pub(super) const GREEN_PALETTE_DESCRIPTOR: Tag = Tag(0x0028, 0x1102);
pub(super) const BLUE_PALETTE_DESCRIPTOR: Tag = Tag(0x0028, 0x1103);
pub(super) const RED_PALETTE_DATA: Tag = Tag(0x0028, 0x1201);
pub(super) const GREEN_PALETTE_DATA: Tag = Tag(0x0028, 0x1202);
pub(super) const BLUE_PALETTE_DATA: Tag = Tag(0x0028, 0x1203);
pub(super) const SEGMENTED_RED_PALETTE_DATA: Tag = Tag(0x0028, 0x1221);
pub(super) const MODALITY_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3000);
pub(super) const LUT_DESCRIPTOR: Tag = Tag(0x0028, 0x3002);
pub(super) const LUT_DATA: Tag = Tag(0x0028, 0x3006);
pub(super) const VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x3010);
pub(super) const FRAME_VOI_LUT_SEQUENCE: Tag = Tag(0x0028, 0x9132);
pub(super) const PIXEL_VALUE_TRANSFORMATION_SEQUENCE: Tag = Tag(0x0028, 0x9145);
pub(super) const SHARED_FUNCTIONAL_GROUPS: Tag = Tag(0x5200, 0x9229);
pub(super) const PER_FRAME_FUNCTIONAL_GROUPS: Tag = Tag(0x5200, 0x9230);
pub(super) const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7fe0, 0x0001);
pub(super) const PIXEL_DATA: Tag = Tag(0x7fe0, 0x0010);

/// Starts an item of a sequence.
pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
/// Ends an item whose length was not given.
pub(super) const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
/// Ends a sequence whose length was not given.
pub(super) const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);

/// All of them with the standard's names.
const NAMES: [(Tag, &str); 35] = [
    (TRANSFER_SYNTAX_UID, "Transfer Syntax UID"),
    (SAMPLES_PER_PIXEL, "Samples per Pixel"),
    (PHOTOMETRIC_INTERPRETATION, "Photometric Interpretation"),
    (PLANAR_CONFIGURATION, "Planar Configuration"),
    (NUMBER_OF_FRAMES, "Number of Frames"),
    (ROWS, "Rows"),
    (COLUMNS, "Columns"),
    (BITS_ALLOCATED, "Bits Allocated"),
    (BITS_STORED, "Bits Stored"),
    (HIGH_BIT, "High Bit"),
    (PIXEL_REPRESENTATION, "Pixel Representation"),
    (PIXEL_PADDING_VALUE, "Pixel Padding Value"),
    (PIXEL_PADDING_RANGE_LIMIT, "Pixel Padding Range Limit"),
    (WINDOW_CENTER, "Window Center"),
    (WINDOW_WIDTH, "Window Width"),
    (RESCALE_INTERCEPT, "Rescale Intercept"),
    (RESCALE_SLOPE, "Rescale Slope"),
    (VOI_LUT_FUNCTION, "VOI LUT Function"),
    (
        RED_PALETTE_DESCRIPTOR,
        "Red Palette Color Lookup Table Descriptor",
    ),
    (
        GREEN_PALETTE_DESCRIPTOR,
        "Green Palette Color Lookup Table Descriptor",
    ),
    (
        BLUE_PALETTE_DESCRIPTOR,
        "Blue Palette Color Lookup Table Descriptor",
    ),
    (RED_PALETTE_DATA, "Red Palette Color Lookup Table Data"),
    (GREEN_PALETTE_DATA, "Green Palette Color Lookup Table Data"),
    (BLUE_PALETTE_DATA, "Blue Palette Color Lookup Table Data"),
    (
        SEGMENTED_RED_PALETTE_DATA,
        "Segmented Red Palette Color Lookup Table Data",
    ),
    (MODALITY_LUT_SEQUENCE, "Modality LUT Sequence"),
    (LUT_DESCRIPTOR, "LUT Descriptor"),
    (LUT_DATA, "LUT Data"),
    (VOI_LUT_SEQUENCE, "VOI LUT Sequence"),
    (FRAME_VOI_LUT_SEQUENCE, "Frame VOI LUT Sequence"),
    (
        PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
        "Pixel Value Transformation Sequence",
    ),
    (SHARED_FUNCTIONAL_GROUPS, "Shared Functional Groups Sequence"),
    (
        PER_FRAME_FUNCTIONAL_GROUPS,
        "Per-Frame Functional Groups Sequence",
    ),
    (EXTENDED_OFFSET_TABLE, "Extended Offset Table"),
    (PIXEL_DATA, "Pixel Data"),
];

impl Tag {
    /// Whether the attribute says anything about the picture.
    pub fn is_known(self) -> bool {
        NAMES.iter().any(|&(tag, _)| tag == self)
    }
}

/// `Rows (0028,0010)`. The number of any other tag is not shown: where a file is out of step, it may be four letters of
/// a name.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(tag, _)| tag == self) {
            Some((Self(group, element), name)) => write!(f, "{name} ({group:04X},{element:04X})"),
            None => f.write_str("a data element"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_shown_with_their_names() {
        assert_eq!(ROWS.to_string(), "Rows (0028,0010)");
        assert_eq!(Tag(0x10, 0x10).to_string(), "a data element");
        assert!(PIXEL_DATA.is_known() && !Tag(0x10, 0x10).is_known());
    }
}
