//! How pixels in between are found.

use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// How pixels in between are found, by Pillow's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Linear between neighbours.
    Bilinear,
    /// Cubic convolution with a = -0.5, the choice of most backbones.
    #[default]
    Bicubic,
    /// Windowed sinc over three neighbours.
    #[serde(alias = "lanczos3")]
    Lanczos,
    /// The closest pixel, for masks.
    Nearest,
}

impl Interpolation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bilinear, Self::Bicubic, Self::Lanczos, Self::Nearest];

    /// `bilinear`, `bicubic`, `lanczos` or `nearest`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
            Self::Nearest => "nearest",
        }
    }

    /// How neighbours are weighed; none where a pixel is just picked.
    pub(crate) fn filter(self) -> Option<Filter> {
        match self {
            Self::Bilinear => Some(Filter {
                reach: 1.0,
                weight: triangle,
            }),
            Self::Bicubic => Some(Filter {
                reach: 2.0,
                weight: cubic,
            }),
            Self::Lanczos => Some(Filter {
                reach: 3.0,
                weight: lanczos,
            }),
            Self::Nearest => None,
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Interpolation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| {
                format!(
                    "unknown interpolation `{text}`, expected `bilinear`, `bicubic`, `lanczos` or `nearest`"
                )
            })
    }
}

/// A resampling filter.
#[derive(Clone, Copy)]
pub(crate) struct Filter {
    /// How far it reaches to both sides, in source pixels at scale 1.
    pub reach: f64,
    /// The weight of a source pixel at a distance.
    pub weight: fn(f64) -> f64,
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    match x.abs() {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

fn lanczos(x: f64) -> f64 {
    fn sinc(x: f64) -> f64 {
        if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
    }
    if (-3.0..3.0).contains(&x) {
        sinc(x) * sinc(x / 3.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for one in Interpolation::ALL {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        assert!("cubic".parse::<Interpolation>().unwrap_err().contains("`cubic`"));
    }

    #[test]
    fn filters_are_one_at_the_centre_and_nothing_at_their_reach() {
        for Filter { reach, weight } in Interpolation::ALL.into_iter().filter_map(Interpolation::filter) {
            assert_eq!((weight(0.0), weight(reach)), (1.0, 0.0));
            assert!((weight(0.3) - weight(-0.3)).abs() < 1e-15);
        }
    }
}
