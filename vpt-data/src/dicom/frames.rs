//! Which fragments of compressed pixels belong to which frame (PS3.5, A.4).

use super::data_set::{DataSet, Value, fragments};
use super::tag;
use std::borrow::Cow;

/// The bytes of a compressed frame.
pub(super) fn frame<'a>(
    set: &DataSet<'_>,
    pixels: Value<'a>,
    frame: usize,
    frames: usize,
) -> Result<Cow<'a, [u8]>, String> {
    if !pixels.undefined_length {
        return Err(format!(
            "{} is not in fragments, as its transfer syntax asks",
            tag::PIXEL_DATA
        ));
    }
    let items = fragments(pixels.bytes)?;
    let Some((table, fragments)) = items.split_first() else {
        return Err(format!("{} holds no fragments", tag::PIXEL_DATA));
    };
    let of_frame = if frames == 1 {
        fragments
    } else if fragments.len() == frames {
        &fragments[frame..=frame]
    } else {
        let starts = starts(set, table, fragments, frames).ok_or_else(|| {
            let (tag, found) = (tag::PIXEL_DATA, fragments.len());
            format!("{tag} has {found} fragments, of which those of {frames} frames cannot be told apart")
        })?;
        let end = starts.get(frame + 1).copied().unwrap_or(fragments.len());
        &fragments[starts[frame]..end]
    };
    match of_frame {
        [] => Err(format!("{} holds no fragments", tag::PIXEL_DATA)),
        [only] => Ok(Cow::Borrowed(only)),
        several => Ok(Cow::Owned(several.concat())),
    }
}

/// The first fragment of each frame, rising from 0: from a table of offsets, or by how compressed frames begin.
fn starts(set: &DataSet<'_>, table: &[u8], fragments: &[&[u8]], frames: usize) -> Option<Vec<usize>> {
    let offsets: Vec<u64> = match set.get(tag::EXTENDED_OFFSET_TABLE) {
        Some(value) => value
            .bytes
            .as_chunks()
            .0
            .iter()
            .map(|&offset| u64::from_le_bytes(offset))
            .collect(),
        None => table
            .as_chunks()
            .0
            .iter()
            .map(|&offset| u64::from(u32::from_le_bytes(offset)))
            .collect(),
    };
    let starts: Vec<usize> = if offsets.is_empty() {
        let begins = |fragment: &[u8]| {
            fragment.starts_with(b"\xff\xd8\xff") || fragment.starts_with(b"\xff\x4f\xff\x51")
        };
        (0..fragments.len())
            .filter(|&index| begins(fragments[index]))
            .collect()
    } else {
        // Offsets point to the headers, of eight bytes each.
        let mut at = 0;
        let mut found = vec![];
        for (index, fragment) in fragments.iter().enumerate() {
            if offsets.get(found.len()) == Some(&at) {
                found.push(index);
            }
            at += 8 + fragment.len() as u64;
        }
        found
    };
    (starts.len() == frames && starts.first() == Some(&0)).then_some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::transfer_syntax::Encoding;

    fn of(items: &[&[u8]], index: usize, frames: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![];
        for item in items {
            bytes.extend(*b"\xfe\xff\x00\xe0");
            bytes.extend((item.len() as u32).to_le_bytes());
            bytes.extend(*item);
        }
        let set = DataSet::parse(&[], Encoding::EXPLICIT).unwrap();
        let pixels = Value {
            bytes: &bytes,
            vr: None,
            undefined_length: true,
        };
        frame(&set, pixels, index, frames).map(Cow::into_owned)
    }

    #[test]
    fn fragments_make_frames() {
        assert_eq!(of(&[b"", b"ab", b"cd"], 0, 1).unwrap(), b"abcd");
        assert_eq!(of(&[b"", b"ab", b"cd"], 1, 2).unwrap(), b"cd");
        let table = [0, 0, 0, 0, 20, 0, 0, 0];
        assert_eq!(of(&[&table, b"ab", b"cd", b"ef"], 0, 2).unwrap(), b"abcd");
        assert_eq!(of(&[&table, b"ab", b"cd", b"ef"], 1, 2).unwrap(), b"ef");
        let (start, rest) = (&b"\xff\xd8\xff1"[..], &b"2"[..]);
        assert_eq!(of(&[b"", start, start, rest], 1, 2).unwrap(), b"\xff\xd8\xff12");
        assert!(
            of(&[b"", b"ab", b"cd", b"ef"], 1, 2)
                .unwrap_err()
                .contains("3 fragments")
        );
        assert!(of(&[b""], 0, 1).is_err() && of(&[], 0, 1).is_err());
    }
}
