//! Gray JPEG with 12 bits a sample (ITU-T T.81, the extended sequential process), which decoders for photographs lack.

use std::f32::consts::PI;

/// Bits a sample has.
const PRECISION: u32 = 12;

/// Where each coefficient of a block lies, in the order of the file.
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The samples, row by row. The caller knows the size from the header, and that the JPEG ends.
pub(super) fn decode(bytes: &[u8], rows: usize, columns: usize) -> Result<Vec<u16>, String> {
    parse(bytes, rows, columns).ok_or_else(|| "its JPEG of 12 bits is damaged".into())
}

/// The tables read so far.
#[derive(Default)]
struct Tables {
    quantization: [Option<[f32; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Blocks between restarts; 0 for none.
    restart: usize,
    /// Which quantization table the component uses.
    component_table: usize,
}

fn parse(bytes: &[u8], rows: usize, columns: usize) -> Option<Vec<u16>> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    let mut tables = Tables::default();
    loop {
        let (&[first, marker], after) = rest.split_first_chunk()?;
        if first != 0xff {
            return None;
        }
        if marker == 0xff {
            rest = &rest[1..];
            continue;
        }
        let (&length, after) = after.split_first_chunk()?;
        let (segment, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(length)).checked_sub(2)?)?;
        match marker {
            0xc1 => tables.component_table = usize::from(*segment.get(8)?),
            0xc4 => tables.read_huffman(segment)?,
            0xdb => tables.read_quantization(segment)?,
            0xdd => tables.restart = usize::from(u16::from_be_bytes(*segment.first_chunk()?)),
            0xda => {
                let &[1, _, selectors, 0, 63, 0] = segment.first_chunk()? else {
                    return None;
                };
                return tables.scan(after, selectors, rows, columns);
            }
            _ => {}
        }
        rest = after;
    }
}

impl Tables {
    fn read_quantization(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = segment.split_first() {
            let mut table = [0.0; 64];
            let wide = head >> 4 != 0;
            let (values, rest) = rest.split_at_checked(if wide { 128 } else { 64 })?;
            for (index, target) in table.iter_mut().enumerate() {
                *target = if wide {
                    f32::from(u16::from_be_bytes([values[2 * index], values[2 * index + 1]]))
                } else {
                    f32::from(values[index])
                };
            }
            *self.quantization.get_mut(usize::from(head & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    fn read_huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = segment.split_first() {
            let (&counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = if head >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            *tables.get_mut(usize::from(head & 15))? = Some(Huffman {
                counts,
                symbols: symbols.to_vec(),
            });
            segment = rest;
        }
        Some(())
    }

    /// Decodes the only scan. Blocks that reach beyond the picture are cut off.
    fn scan(&self, bytes: &[u8], selectors: u8, rows: usize, columns: usize) -> Option<Vec<u16>> {
        let quantization = self.quantization.get(self.component_table)?.as_ref()?;
        let dc = self.dc.get(usize::from(selectors >> 4))?.as_ref()?;
        let ac = self.ac.get(usize::from(selectors & 15))?.as_ref()?;
        let (across, down) = (columns.div_ceil(8), rows.div_ceil(8));
        // A block takes at least one bit for each of its two codes.
        if bytes.len().saturating_mul(4) < across * down {
            return None;
        }
        let cosines = cosines();
        let mut samples = vec![0; rows * columns];
        let mut bits = Bits::new(bytes);
        let mut mean = 0_i32;
        for index in 0..across * down {
            if self.restart > 0 && index > 0 && index % self.restart == 0 {
                bits.restart()?;
                mean = 0;
            }
            let mut block = [0.0; 64];
            let size = dc.symbol(&mut bits)?;
            mean = mean.wrapping_add(bits.signed(size)?);
            block[0] = mean as f32 * quantization[0];
            let mut at = 1;
            while at < 64 {
                let symbol = ac.symbol(&mut bits)?;
                let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
                match (zeros, size) {
                    (15, 0) => at += 16,
                    (_, 0) => break,
                    _ => {
                        at += zeros;
                        let &place = ZIGZAG.get(at)?;
                        block[place] = bits.signed(size)? as f32 * quantization[at];
                        at += 1;
                    }
                }
            }
            let block = inverse_transform(&block, &cosines);
            let (left, top) = (index % across * 8, index / across * 8);
            let width = (columns - left).min(8);
            for (row, line) in block.chunks_exact(8).take(rows - top).enumerate() {
                let start = (top + row) * columns + left;
                for (target, &value) in samples[start..start + width].iter_mut().zip(line) {
                    let value = value + (1 << (PRECISION - 1)) as f32;
                    *target = value.round().clamp(0.0, ((1 << PRECISION) - 1) as f32) as u16;
                }
            }
        }
        Some(samples)
    }
}

/// Codes in the order of their lengths, from 1 to 16 bits.
struct Huffman {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

impl Huffman {
    fn symbol(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let (mut code, mut first, mut passed) = (0_usize, 0_usize, 0);
        for &count in &self.counts {
            code = 2 * code + usize::from(bits.next()?);
            first *= 2;
            let count = usize::from(count);
            if code.checked_sub(first)? < count {
                return self.symbols.get(passed + code - first).copied();
            }
            first += count;
            passed += count;
        }
        None
    }
}

/// The bits of a scan.
struct Bits<'a> {
    bytes: &'a [u8],
    byte: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            byte: 0,
            left: 0,
        }
    }

    fn next(&mut self) -> Option<u8> {
        if self.left == 0 {
            let (&byte, mut rest) = self.bytes.split_first()?;
            if byte == 0xff {
                // A zero marks it as data; all else is a marker, where data end.
                rest = rest.strip_prefix(&[0])?;
            }
            (self.byte, self.bytes, self.left) = (byte, rest, 8);
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1)
    }

    /// A number of `size` bits, the lower half of which stands for negative ones.
    fn signed(&mut self, size: u8) -> Option<i32> {
        if size > 15 {
            return None;
        }
        let mut number = 0;
        for _ in 0..size {
            number = 2 * number + i32::from(self.next()?);
        }
        let is_negative = size > 0 && number < 1 << (size - 1);
        Some(if is_negative {
            number - (1 << size) + 1
        } else {
            number
        })
    }

    /// Goes on behind a restart marker.
    fn restart(&mut self) -> Option<()> {
        let (&[first, marker], rest) = self.bytes.split_first_chunk()?;
        if first != 0xff || !(0xd0..=0xd7).contains(&marker) {
            return None;
        }
        *self = Self::new(rest);
        Some(())
    }
}

/// The weight of each frequency (second index) at each place (first index).
fn cosines() -> [[f32; 8]; 8] {
    let mut cosines = [[0.0; 8]; 8];
    for (place, weights) in cosines.iter_mut().enumerate() {
        for (frequency, weight) in weights.iter_mut().enumerate() {
            let scale = if frequency == 0 { 0.125_f32.sqrt() } else { 0.5 };
            *weight = scale * ((2 * place + 1) as f32 * frequency as f32 * PI / 16.0).cos();
        }
    }
    cosines
}

/// The inverse cosine transform (T.81, A.3.3), rows first.
fn inverse_transform(block: &[f32; 64], cosines: &[[f32; 8]; 8]) -> [f32; 64] {
    let mut half = [0.0; 64];
    for row in 0..8 {
        for x in 0..8 {
            half[8 * row + x] = (0..8).map(|u| cosines[x][u] * block[8 * row + u]).sum();
        }
    }
    let mut whole = [0.0; 64];
    for y in 0..8 {
        for x in 0..8 {
            whole[8 * y + x] = (0..8).map(|v| cosines[y][v] * half[8 * v + x]).sum();
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coefficient_is_a_flat_block() {
        let mut block = [0.0; 64];
        block[0] = 80.0;
        let flat = inverse_transform(&block, &cosines());
        assert!(flat.iter().all(|value| (value - 10.0).abs() < 1e-4));
    }

    #[test]
    fn every_place_is_visited_once() {
        let mut places = ZIGZAG;
        places.sort_unstable();
        assert!(places.into_iter().eq(0..64));
    }

    #[test]
    fn numbers_with_signs() {
        let of = |byte: u8, size| Bits::new(&[byte]).signed(size);
        assert_eq!(of(0b1000_0000, 1), Some(1));
        assert_eq!(of(0b0000_0000, 1), Some(-1));
        assert_eq!(of(0b0100_0000, 2), Some(-2));
        assert_eq!(of(0b1100_0000, 2), Some(3));
        assert_eq!((of(0, 0), of(0, 9), of(0, 16)), (Some(0), None, None));
    }

    #[test]
    fn flat_blocks() {
        // Two blocks of 12-bit pixels: 2048 + 8 * 4 / 8 and the same + 4, by a table of fours.
        let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
        jpeg.extend([4; 64]);
        jpeg.extend(*b"\xff\xc1\0\x0b\x0c\0\x08\0\x0a\x01\x01\x11\0");
        jpeg.extend(*b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04");
        jpeg.extend(*b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        jpeg.extend(*b"\xff\xda\0\x08\x01\x01\0\0\x3f\0");
        // 0 1000 0, 0 1000 0: plus eight, no other coefficient, twice.
        jpeg.extend([0b0100_0001, 0b0000_1111, 0xff, 0xd9]);
        let samples = decode(&jpeg, 8, 10).unwrap();
        assert_eq!(
            (samples[0], samples[7], samples[8], samples[79]),
            (2052, 2052, 2056, 2056)
        );
        for end in 0..jpeg.len() - 3 {
            assert!(decode(&jpeg[..end], 8, 10).is_err(), "{end}");
        }
        assert!(decode(&jpeg, 60_000, 4_000).is_err());
    }

    #[test]
    fn runs_beyond_a_block_are_damage() {
        let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
        jpeg.extend([4; 64]);
        jpeg.extend(*b"\xff\xc1\0\x0b\x0c\0\x08\0\x08\x01\x01\x11\0");
        jpeg.extend(*b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        // 15 zeros and a coefficient of one bit: the fourth lies behind the block.
        jpeg.extend(*b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf1");
        jpeg.extend(*b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\0\0\0\xff\xd9");
        let error = decode(&jpeg, 8, 8).unwrap_err();
        assert_eq!(error, "its JPEG of 12 bits is damaged");
    }
}
