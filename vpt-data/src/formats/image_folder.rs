//! A folder of images per class, perhaps below split folders.
