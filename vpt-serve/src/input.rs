//! [`Input`]: a decoded image as a task's backbone reads it.

use image::RgbImage;
use vpt_data::{Framing, Preprocess};

/// A decoded image, prepared for tasks that prepare images alike.
#[derive(Debug)]
pub struct Input {
    /// Width and height of the image.
    pub size: [u32; 2],
    /// Normalised pixels `[3, height, width]` of the image, or of windows on it.
    pub views: Vec<Vec<f32>>,
    /// How the image lies in each view.
    pub framings: Vec<Framing>,
    /// The picture that the backbone sees of the whole image, for maps of attention.
    pub crop: Option<RgbImage>,
}

impl Input {
    /// Of a picture for tasks that find something in it (`dense`), or judge the whole of it.
    pub fn new(picture: &RgbImage, preprocess: &Preprocess, dense: bool, attention: bool) -> Self {
        let size = [picture.width(), picture.height()];
        if dense {
            let (views, framings) = preprocess.views(picture).into_iter().unzip();
            return Self {
                size,
                views,
                framings,
                crop: None,
            };
        }
        let crop = preprocess.crop(picture);
        Self {
            size,
            views: vec![preprocess.normalise(&crop)],
            framings: vec![Framing::letterbox(size, preprocess.input_size)],
            crop: attention.then_some(crop),
        }
    }

    /// How many views an image of that width and height will have.
    pub fn num_views(size: [u32; 2], preprocess: &Preprocess, dense: bool) -> usize {
        match dense {
            true => Framing::windows(size, preprocess.input_size, preprocess.windows).len(),
            false => 1,
        }
    }
}
