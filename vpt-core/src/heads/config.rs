//! [`HeadConfig`]: which head a task has.

use serde::{Deserialize, Serialize};

use crate::methods::{AddedTensor, Start};

/// Which head a task has, as task files say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum HeadConfig {
    /// One linear layer on what is pooled.
    #[default]
    Linear,
    /// Boxes, from a pyramid of maps of `width` channels.
    Detection {
        /// Channels of the maps.
        width: usize,
    },
    /// A class for every pixel.
    Segmentation {
        /// From tokens to pixels.
        #[serde(flatten)]
        decoder: SegmentationDecoder,
    },
}

/// How a segmentation head comes from tokens to pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decoder", rename_all = "kebab-case")]
pub enum SegmentationDecoder {
    /// One linear layer on each token, then bilinear interpolation (Segmenter's linear decoder, Strudel et al. 2021).
    Linear,
    /// Maps that double in size step by step, then bilinear interpolation (SETR-PUP, Zheng et al. 2021, made small).
    Progressive {
        /// Channels of the first map.
        width: usize,
        /// How many times height and width double.
        steps: usize,
    },
}

impl HeadConfig {
    /// Channels of the maps of a detection head, if nothing else is said.
    pub const DETECTION_WIDTH: usize = 64;
    /// Channels of the first map of a segmentation head, if nothing else is said.
    pub const SEGMENTATION_WIDTH: usize = 64;

    /// More channels than any head needs.
    const MOST_CHANNELS: usize = 4096;
    /// Doublings from the largest patch to its pixels.
    const MOST_STEPS: usize = 6;

    /// A head for boxes.
    pub fn detection(width: Option<usize>) -> Self {
        Self::Detection {
            width: width.unwrap_or(Self::DETECTION_WIDTH),
        }
    }

    /// A head for masks on a backbone with patches of `patch` pixels; at a width of 0 one linear layer.
    pub fn segmentation(width: Option<usize>, patch: usize) -> Self {
        let decoder = match width {
            Some(0) => SegmentationDecoder::Linear,
            width => SegmentationDecoder::Progressive {
                width: width.unwrap_or(Self::SEGMENTATION_WIDTH),
                // To every second pixel; interpolation does the rest.
                steps: ((patch / 2).max(1).ilog2() as usize).min(Self::MOST_STEPS),
            },
        };
        Self::Segmentation { decoder }
    }

    /// What is wrong with the sizes, if anything: the key, what it has to be, and what it is.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str, usize)> {
        let (width, steps) = match *self {
            Self::Linear
            | Self::Segmentation {
                decoder: SegmentationDecoder::Linear,
            } => return Ok(()),
            Self::Detection { width } => (width, 0),
            Self::Segmentation {
                decoder: SegmentationDecoder::Progressive { width, steps },
            } => (width, steps),
        };
        if !(1..=Self::MOST_CHANNELS).contains(&width) {
            return Err(("head.width", "1 to 4096 channels", width));
        }
        match steps <= Self::MOST_STEPS {
            true => Ok(()),
            false => Err(("head.steps", "at most 6 doublings", steps)),
        }
    }

    /// Whether it is one linear layer on what is pooled.
    pub fn is_linear(&self) -> bool {
        *self == Self::Linear
    }

    /// Whether the head reads every token, and not what is pooled.
    pub fn is_dense(&self) -> bool {
        !self.is_linear()
    }

    /// What files call the weights `[classes, …]` of its last layer.
    pub fn last_weight(&self) -> &'static str {
        match self {
            Self::Linear => "head.weight",
            Self::Detection { .. } | Self::Segmentation { .. } => "head.cls.weight",
        }
    }
}

/// How the weights of a last layer start, as in timm.
pub(super) const HEAD_START: Start = Start::Normal { mean: 0.0, std: 0.02 };

/// A linear layer's two parameters; its bias starts at zero.
pub(super) fn linear_tensors(name: &str, inputs: usize, outputs: usize, start: Start) -> Vec<AddedTensor> {
    vec![
        AddedTensor::new(format!("{name}.weight"), [outputs, inputs], start),
        AddedTensor::new(format!("{name}.bias"), [outputs], Start::Zero),
    ]
}

/// A layer norm's two parameters, which start as the identity.
pub(super) fn norm_tensors(name: &str, width: usize) -> Vec<AddedTensor> {
    vec![
        AddedTensor::new(
            format!("{name}.weight"),
            [width],
            Start::Normal { mean: 1.0, std: 0.0 },
        ),
        AddedTensor::new(format!("{name}.bias"), [width], Start::Zero),
    ]
}

/// Normal with the variance that keeps that of the signal behind an activation (He et al. 2015).
pub(super) fn he(inputs: usize) -> Start {
    Start::Normal {
        mean: 0.0,
        std: (2.0 / inputs as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_are_written() {
        for (head, text) in [
            (HeadConfig::Linear, r#"{"name":"linear"}"#),
            (HeadConfig::detection(None), r#"{"name":"detection","width":64}"#),
            (
                HeadConfig::segmentation(Some(0), 16),
                r#"{"name":"segmentation","decoder":"linear"}"#,
            ),
            (
                HeadConfig::segmentation(Some(32), 8),
                r#"{"name":"segmentation","decoder":"progressive","width":32,"steps":2}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&head).unwrap(), text);
            assert_eq!(serde_json::from_str::<HeadConfig>(text).unwrap(), head);
        }
    }
}
