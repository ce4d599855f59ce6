//! Rotary position embedding: pairs of channels turned by an angle, and back again for the gradient.

use rayon::prelude::*;

/// Which channels of a head are a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotaryLayout {
    /// `2 i` and `2 i + 1`.
    Interleaved,
    /// `i` and `i + head_dim / 2`.
    Halves,
}

/// What of a sequence is turned, and how.
#[derive(Clone, Copy, Debug)]
pub struct RotaryPlace {
    /// The first token that is turned; as many follow as there are angles for.
    pub first: usize,
    /// Attention heads, each of which is turned alike.
    pub heads: usize,
    /// Which channels are a pair.
    pub layout: RotaryLayout,
}

/// Turns queries and keys of `qkv` `[B, N, 3 D]` in place, by the angles of `cos` and `sin` `[patches, head_dim / 2]`,
/// or by their opposites. A turn keeps lengths, so the gradient goes through the opposite turn.
pub fn turn(
    qkv: &mut [f32],
    [tokens, dim]: [usize; 2],
    place: RotaryPlace,
    [cos, sin]: [&[f32]; 2],
    back: bool,
) {
    let width = 3 * dim;
    let pairs = dim / place.heads / 2;
    let patches = cos.len() / pairs;
    let direction = if back { -1.0 } else { 1.0 };
    qkv.par_chunks_mut(tokens * width).for_each(|image| {
        let turned = image[place.first * width..].chunks_exact_mut(width).take(patches);
        for ((token, cos), sin) in turned.zip(cos.chunks_exact(pairs)).zip(sin.chunks_exact(pairs)) {
            // Queries and keys are the first two thirds.
            for head in token[..2 * dim].chunks_exact_mut(2 * pairs) {
                match place.layout {
                    RotaryLayout::Interleaved => {
                        for ((pair, cos), sin) in head.chunks_exact_mut(2).zip(cos).zip(sin) {
                            [pair[0], pair[1]] = turned_pair([pair[0], pair[1]], *cos, direction * sin);
                        }
                    }
                    RotaryLayout::Halves => {
                        let (left, right) = head.split_at_mut(pairs);
                        for (((a, b), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
                            [*a, *b] = turned_pair([*a, *b], *cos, direction * sin);
                        }
                    }
                }
            }
        }
    });
}

#[inline(always)]
fn turned_pair([a, b]: [f32; 2], cos: f32, sin: f32) -> [f32; 2] {
    [a * cos - b * sin, b * cos + a * sin]
}
