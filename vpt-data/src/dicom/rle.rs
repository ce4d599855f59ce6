//! Run-length encoded pixels (PS3.5, annex G): one segment for each byte of each sample.

use super::image_pixel::ImagePixel;

/// The header: the number of segments and where each starts.
const HEADER: usize = 64;

/// The most bytes that two bytes become.
const MAX_RUN: usize = 128;

/// The samples of a frame, pixel by pixel.
pub(super) fn decode(bytes: &[u8], pixel: &ImagePixel) -> Result<Vec<i32>, String> {
    let (header, _) = bytes
        .split_at_checked(HEADER)
        .ok_or("truncated: the frame ends within the header of its run-length encoding")?;
    let header: Vec<usize> = header
        .as_chunks()
        .0
        .iter()
        .map(|&word| u32::from_le_bytes(word) as usize)
        .collect();
    let (count, samples) = (pixel.pixels(), usize::from(pixel.photometric.samples()));
    let segments = samples * pixel.sample_bytes();
    if header[0] != segments {
        let found = header[0];
        return Err(format!(
            "run-length encoded in {found} segments, expected {segments}"
        ));
    }
    if bytes.len().saturating_mul(MAX_RUN / 2) < count * segments {
        return Err("truncated: too few bytes for a run-length encoded frame of its size".into());
    }
    let mut raw = vec![0; count * samples];
    for segment in 0..segments {
        let (start, end) = (
            header[1 + segment],
            match segment + 1 {
                last if last == segments => bytes.len(),
                next => header[1 + next],
            },
        );
        let packed = bytes
            .get(start..end)
            .ok_or("a segment of its run-length encoding lies outside the frame")?;
        let (sample, byte) = (segment / pixel.sample_bytes(), segment % pixel.sample_bytes());
        // The most significant byte comes first.
        let shift = 8 * (pixel.sample_bytes() - 1 - byte);
        unpack(packed, raw[sample..].iter_mut().step_by(samples), shift)?;
    }
    Ok(raw.into_iter().map(|raw| pixel.value(raw)).collect())
}

/// Adds the bytes of a segment to the samples.
fn unpack<'a>(
    packed: &[u8],
    mut samples: impl Iterator<Item = &'a mut u16>,
    shift: usize,
) -> Result<(), String> {
    let mut left = packed.iter();
    let mut next = samples.next();
    while let Some(target) = next {
        let cut = "truncated: a segment of its run-length encoding ends too early";
        let control = i32::from(*left.next().ok_or(cut)? as i8);
        let mut target = Some(target);
        if control == -128 {
            next = target;
            continue;
        }
        let run = if control < 0 {
            Some(*left.next().ok_or(cut)?)
        } else {
            None
        };
        for _ in 0..=control.abs() {
            let byte = match run {
                Some(byte) => byte,
                None => *left.next().ok_or(cut)?,
            };
            // A run may go beyond the last pixel.
            if let Some(sample) = target.take() {
                *sample |= u16::from(byte) << shift;
                target = samples.next();
            } else {
                break;
            }
        }
        next = target;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::image_pixel::tests::gray;
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![segments.len() as u32];
        let mut at = HEADER as u32;
        for segment in segments {
            header.push(at);
            at += segment.len() as u32;
        }
        header.resize(HEADER / 4, 0);
        let header = header.into_iter().flat_map(u32::to_le_bytes);
        header.chain(segments.concat()).collect()
    }

    #[test]
    fn runs_and_literals() {
        // High bytes: three times 1, then 2 and 3; low bytes: five different ones.
        let bytes = frame(&[&[0xfe, 1, 0x80, 1, 2, 3], &[4, 10, 11, 12, 13, 14]]);
        assert_eq!(
            decode(&bytes, &gray(1, 5)).unwrap(),
            [0x10a, 0x10b, 0x10c, 0x20d, 0x30e]
        );
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let bytes = frame(&[&[0xfe, 1, 1, 2, 3], &[4, 10, 11, 12, 13, 14]]);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], &gray(1, 5)).is_err(), "{end}");
        }
        let error = decode(&bytes, &gray(65_535, 3_000)).unwrap_err();
        assert!(error.starts_with("truncated: too few bytes"), "{error}");
    }
}
