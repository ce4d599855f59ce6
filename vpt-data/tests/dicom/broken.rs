//! Broken files: errors that name what is wrong and nobody's name.

use crate::compressed::{jpeg, jpeg_2000, rle};
use crate::written::Written;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vpt_data::{DicomImage, decode_bytes};

pub const JPEG: &str = "1.2.840.10008.1.2.4.50";
pub const JPEG_EXTENDED: &str = "1.2.840.10008.1.2.4.51";
pub const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";

fn gray() -> Written {
    Written::gray(4, 4, 8, &[7; 16])
}

/// The message, which names the file and nobody.
fn message(bytes: &[u8]) -> String {
    let error = decode_bytes("scan.dcm", bytes).unwrap_err();
    let text = format!("{error} {error:?} {:?}", error.hint());
    assert!(!text.contains("SECRET"), "{text}");
    // Nor two letters of it as the number of a tag.
    for pair in b"SECRET^NAME"
        .array_windows()
        .map(|&[low, high]| format!("{high:02X}{low:02X}"))
    {
        assert!(
            !text.contains(&format!("({pair},")) && !text.contains(&format!(",{pair})")),
            "{text}"
        );
    }
    let message = error.to_string();
    assert!(message.contains("`scan.dcm`"), "{message}");
    message
}

fn assert_says(file: &Written, expected: &str) {
    let message = message(&file.bytes());
    assert!(message.contains(expected), "{message}\nexpected {expected}");
}

#[test]
fn attributes_that_are_missing_or_impossible_are_named() {
    let missing = [
        (
            0x0028,
            0x0004,
            "Photometric Interpretation (0028,0004) is missing",
        ),
        (0x0028, 0x0010, "Rows (0028,0010) is missing"),
        (0x0028, 0x0011, "Columns (0028,0011) is missing"),
        (0x0028, 0x0100, "Bits Allocated (0028,0100) is missing"),
        (0x7fe0, 0x0010, "Pixel Data (7FE0,0010) is missing"),
    ];
    for (group, element, expected) in missing {
        assert_says(&gray().without(group, element), expected);
    }
    let words = [
        (0x0002, 3, "Samples per Pixel (0028,0002) is 3, expected 1"),
        (0x0010, 0, "Rows (0028,0010) is 0"),
        (0x0100, 32, "Bits Allocated (0028,0100) is 32, expected 8 or 16"),
        (0x0101, 9, "Bits Stored (0028,0101) is 9, expected 1 to 8"),
        (0x0102, 8, "High Bit (0028,0102) is 8, expected 7 to 7"),
        (0x0103, 2, "Pixel Representation (0028,0103) is 2"),
    ];
    for (element, value, expected) in words {
        assert_says(&gray().word(0x0028, element, value), expected);
    }
    let texts = [
        (
            0x0004,
            "SECRET",
            "Photometric Interpretation (0028,0004) is none of",
        ),
        (0x0008, "SECRET", "Number of Frames (0028,0008) is not a number"),
        (
            0x0008,
            "-1",
            "Number of Frames (0028,0008) is not a number of frames",
        ),
        (0x1051, "SECRET", "Window Width (0028,1051) is not a number"),
        (0x1053, "0", "Rescale Slope (0028,1053) is 0"),
    ];
    for (element, value, expected) in texts {
        assert_says(&gray().text(0x0028, element, *b"CS", value), expected);
    }
    assert_says(
        &gray().text(0x0028, 0x0004, *b"CS", "PALETTE COLOR"),
        "Red Palette Color Lookup Table Descriptor (0028,1101) is missing",
    );
}

#[test]
fn transfer_syntaxes_that_cannot_be_read_are_named() {
    assert_says(
        &gray().syntax("1.2.840.10008.1.2.4.80"),
        "the transfer syntax 1.2.840.10008.1.2.4.80 (JPEG-LS Lossless) is not supported",
    );
    assert_says(
        &gray().syntax("SECRET"),
        "transfer syntax (0002,0010) is not supported",
    );
    assert_says(&gray().syntax(""), "Transfer Syntax UID (0002,0010) is missing");
}

#[test]
fn absurd_sizes_are_refused_unread() {
    let absurd = gray().word(0x0028, 0x0010, 65_535).word(0x0028, 0x0011, 65_535);
    assert_says(&absurd, "65535 x 65535 pixels");
    let large = gray().word(0x0028, 0x0010, 10_000).word(0x0028, 0x0011, 20_000);
    assert_says(
        &large,
        "Pixel Data (7FE0,0010) has 16 bytes, expected 200000000 for Rows (0028,0010) 10000",
    );
    for syntax in [RLE, JPEG, JPEG_EXTENDED, JPEG_2000] {
        assert_says(&large.clone().syntax(syntax), "cannot decode `scan.dcm`");
    }
    assert_says(
        &gray().text(0x0028, 0x0008, *b"IS", "2000000000"),
        "expected 32000000000",
    );
    let colour = Written::colour(15_000, 16_000, "RGB", &[7; 16]);
    assert_says(&colour, "more than 2 GiB");
}

#[test]
fn codecs_do_not_believe_absurd_sizes_either() {
    for precision in [8, 12] {
        let mut forged = jpeg(precision);
        let frame = forged
            .windows(2)
            .position(|marker| marker == b"\xff\xc1")
            .unwrap();
        forged[frame + 5..frame + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
        let file = Written::gray(10_000, 10_000, u16::from(precision), &forged);
        assert_says(
            &file.syntax(JPEG_EXTENDED),
            "too few bytes for a JPEG of its size",
        );
    }
    let runs = Written::gray(10_000, 10_000, 16, &rle()).syntax(RLE);
    assert_says(&runs, "too few bytes for a run-length encoded frame");
    let detail = Written::gray(14_000, 14_000, 8, &jpeg_2000()).syntax(JPEG_2000);
    assert_says(&detail, "more than 2 GiB");
}

#[test]
fn lengths_beyond_the_file_are_cuts() {
    let mut bytes = gray().bytes();
    let length = bytes.len() - 16 - 4;
    bytes[length..length + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    let message = message(&bytes);
    assert!(
        message.ends_with("truncated: Pixel Data (7FE0,0010) claims 4294967280 bytes, 16 are left"),
        "{message}"
    );
}

#[test]
fn every_cut_is_noticed() {
    let whole = gray().bytes();
    for end in 1..whole.len() {
        message(&whole[..end]);
    }
    let encapsulated = gray().syntax(RLE).bytes();
    for end in 1..encapsulated.len() {
        message(&encapsulated[..end]);
    }
}

#[test]
fn garbage_in_fragments() {
    let expected = [
        (RLE, "run-length encod"),
        (JPEG, "JPEG has no valid header"),
        (JPEG_EXTENDED, "JPEG has no valid header"),
        (JPEG_2000, "JPEG 2000 codestream is missing"),
    ];
    for (syntax, part) in expected {
        let garbage = Written::gray(4, 4, 8, &b"SECRET^NAME, garbage".repeat(10));
        assert_says(&garbage.syntax(syntax), part);
    }
    // Compressed pixels that are not in fragments, and the reverse.
    let head = gray().syntax(RLE).head();
    let text = message(&[head, gray().data_set()].concat());
    assert!(
        text.contains("Pixel Data (7FE0,0010) is not in fragments"),
        "{text}"
    );
    let text = message(&[gray().head(), gray().syntax(RLE).data_set()].concat());
    assert!(text.contains("its transfer syntax is not compressed"), "{text}");
    assert_says(
        &gray().syntax(DEFLATED),
        "deflated data set is truncated, damaged",
    );
}

#[test]
fn what_is_no_dicom_file_says_so() {
    let text = message(b"SECRET text");
    assert!(
        text.contains("the letters DICM at byte 128 are missing"),
        "{text}"
    );
    assert!(message(b"").contains("the file is empty"));
}

#[test]
fn names_stay_out_of_everything() {
    let file = gray();
    let bytes = file.bytes();
    let image = DicomImage::open("scan.dcm", &bytes).unwrap();
    assert!(!format!("{image:?} {:?} {}", image.stored_values(0), image.mode()).contains("SECRET"));
    // The name's own element in every broken form: cut, of a wrong type, longer than the file.
    let at = bytes.windows(6).position(|window| window == b"SECRET").unwrap();
    message(&bytes[..at + 3]);
    for (offset, with) in [(4, b'?'), (2, 0xff), (1, 0xff)] {
        let mut broken = bytes.clone();
        broken[at - offset] = with;
        message(&broken);
    }
    for shift in 1..4 {
        let mut out_of_step = bytes.clone();
        out_of_step.splice(at..at, vec![b'-'; shift]);
        message(&out_of_step);
        let mut out_of_step = bytes.clone();
        out_of_step.drain(at - shift..at);
        message(&out_of_step);
    }
    // Where the name slips into attributes of the picture.
    for element in [0x0004, 0x0008, 0x1050, 0x1052, 0x1053] {
        let slipped = file.clone().text(0x0028, element, *b"LO", "SECRET^NAME").text(
            0x0028,
            0x1051,
            *b"DS",
            "SECRET^NAME",
        );
        message(&slipped.bytes());
    }
    let slipped = file.value(0x0028, 0x3010, *b"SQ", b"SECRET^NAME!");
    message(&slipped.bytes());
}

#[test]
fn mutations_never_panic() {
    let window = Written::empty()
        .text(0x0028, 0x1050, *b"DS", "10")
        .text(0x0028, 0x1051, *b"DS", "20");
    let group = Written::empty().item(0x0028, 0x9132, &window);
    let table = Written::empty()
        .value(0x0028, 0x3002, *b"US", &[2, 0, 0, 0, 8, 0])
        .value(0x0028, 0x3006, *b"OW", &[0, 255]);
    let gray = Written::gray(8, 8, 8, &[7; 64]);
    let files = [
        gray.clone().item(0x5200, 0x9229, &group),
        gray.item(0x0028, 0x3010, &table)
            .text(0x0028, 0x0008, *b"IS", "1"),
        Written::colour(4, 4, "YBR_FULL_422", &[9; 48]),
        Written::gray(8, 8, 8, &jpeg(8)).syntax(JPEG),
        Written::gray(8, 8, 12, &jpeg(12)).syntax(JPEG_EXTENDED),
        Written::gray(8, 8, 16, &rle()).syntax(RLE),
        Written::gray(8, 8, 8, &jpeg_2000()).syntax(JPEG_2000),
    ];
    let mut random = Pcg64::seed_from_u64(7);
    for file in files {
        let whole = file.bytes();
        assert!(decode_bytes("scan.dcm", &whole).is_ok());
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..6) {
                // The preamble means nothing.
                let at = random.random_range(128..bytes.len());
                bytes[at] = random.next_u32() as u8;
            }
            if random.random_bool(0.3) {
                bytes.truncate(random.random_range(132..bytes.len()));
            }
            if let Err(error) = decode_bytes("scan.dcm", &bytes) {
                let text = error.to_string();
                assert!(!text.contains("SECRET"), "{text}");
                assert!(!text.contains("the decoder failed"), "{bytes:?}");
            }
        }
    }
}
