//! [`Cache`]: decoded pictures that are kept between epochs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use image::RgbImage;

use crate::{DataError, ScratchFile};

/// Decoded pictures that are kept, first come first served, up to a number of bytes; in memory, or in a file.
pub(super) struct Cache {
    pictures: Vec<OnceLock<Kept>>,
    free_bytes: AtomicUsize,
    file: Option<ScratchFile>,
}

/// Where a picture is.
enum Kept {
    Memory(Arc<RgbImage>),
    File { start: u64, size: [u32; 2] },
}

impl Cache {
    pub fn new(samples: usize, bytes: usize, file: Option<ScratchFile>) -> Self {
        let pictures = if bytes == 0 { 0 } else { samples };
        Self {
            pictures: (0..pictures).map(|_| OnceLock::new()).collect(),
            free_bytes: AtomicUsize::new(bytes),
            file,
        }
    }

    /// The kept picture, or a new one, which is kept if there is room.
    pub fn get(
        &self,
        index: usize,
        make: impl FnOnce() -> Result<RgbImage, DataError>,
    ) -> Result<Arc<RgbImage>, DataError> {
        let slot = self.pictures.get(index);
        if let Some(kept) = slot.and_then(OnceLock::get).and_then(|kept| self.read(kept)) {
            return Ok(kept);
        }
        let picture = Arc::new(make()?);
        if let Some(slot) = slot.filter(|slot| slot.get().is_none()) {
            self.keep(slot, &picture);
        }
        Ok(picture)
    }

    /// None where the file cannot be read any more: then the picture is made again.
    fn read(&self, kept: &Kept) -> Option<Arc<RgbImage>> {
        match kept {
            Kept::Memory(picture) => Some(Arc::clone(picture)),
            Kept::File {
                start,
                size: [width, height],
            } => {
                let mut picture = RgbImage::new(*width, *height);
                self.file.as_ref()?.read(&mut picture, *start).ok()?;
                Some(Arc::new(picture))
            }
        }
    }

    fn keep(&self, slot: &OnceLock<Kept>, picture: &Arc<RgbImage>) {
        let bytes = picture.as_raw().len();
        let take = |free: usize| free.checked_sub(bytes);
        let fits = self
            .free_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if !fits {
            return;
        }
        let kept = match &self.file {
            None => Kept::Memory(Arc::clone(picture)),
            Some(file) => match file.append(picture) {
                Ok(start) => Kept::File {
                    start,
                    size: picture.dimensions().into(),
                },
                // The disk is full: others will not fit either.
                Err(_) => return self.free_bytes.store(0, Ordering::Relaxed),
            },
        };
        if slot.set(kept).is_err() {
            // Another epoch running beside this one was faster.
            self.free_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}
