//! [`Cache`]: decoded pictures that are kept between epochs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use image::RgbImage;

use crate::{DataError, ScratchFile};

/// Decoded pictures that are kept, first come first served, up to a number of bytes; in memory, or in a file.
pub(super) struct Cache {
    pictures: Vec<OnceLock<Kept>>,
    free_bytes: AtomicUsize,
    place: Place,
}

/// Where pictures are kept.
enum Place {
    Memory,
    /// None once the disk was full: what was in it is given back, and pictures are decoded each time.
    File(RwLock<Option<ScratchFile>>),
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
            place: file.map_or(Place::Memory, |file| Place::File(RwLock::new(Some(file)))),
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
                let Place::File(file) = &self.place else {
                    return None;
                };
                let file = file.read().unwrap_or_else(PoisonError::into_inner);
                let mut picture = RgbImage::new(*width, *height);
                file.as_ref()?.read(&mut picture, *start).ok()?;
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
        let kept = match &self.place {
            Place::Memory => Kept::Memory(Arc::clone(picture)),
            Place::File(file) => {
                let size = picture.dimensions().into();
                match append(file, picture) {
                    Some(start) => Kept::File { start, size },
                    // Others will not fit either.
                    None => return self.free_bytes.store(0, Ordering::Relaxed),
                }
            }
        };
        if slot.set(kept).is_err() {
            // Another epoch running beside this one was faster.
            self.free_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Where the picture begins in the file; none for a disk that is full, which gets all its room back: checkpoints need it more.
fn append(file: &RwLock<Option<ScratchFile>>, picture: &RgbImage) -> Option<u64> {
    let kept = file.read().unwrap_or_else(PoisonError::into_inner);
    let start = kept.as_ref()?.append(picture).ok();
    drop(kept);
    if start.is_none() {
        *file.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
    start
}
