//! Mosaics: the one augmentation that needs other samples than its own.

use super::{Source, View};
use crate::augment::Mosaic;
use crate::{AugmentConfig, DataError, Framed, Sample, decode};
use rand_pcg::Pcg64;

impl Source {
    /// Four pictures in one input.
    pub(super) fn mosaic(
        &self,
        augment: &AugmentConfig,
        mosaic: &Mosaic,
        rng: &mut Pcg64,
    ) -> Result<View, DataError> {
        let sizes = mosaic.sizes();
        let mut part = |number: usize| {
            let (index, size) = (mosaic.samples[number], sizes[number]);
            let Sample { path, label, .. } = &self.samples[index];
            let image = self.cache.get(index, || decode(path))?;
            let (pixels, framing) = Mosaic::frame(augment, &image, &self.preprocess, size, rng);
            Ok::<_, DataError>((pixels, Framed::new(label, framing, size)?))
        };
        let parts = [part(0)?, part(1)?, part(2)?, part(3)?];
        let (pixels, framed) = mosaic.join(&parts);
        Ok(View {
            pixels,
            framed: Some(framed),
        })
    }
}
