//! DICOM files made here, whole and broken, and files of real scanners where they are at hand.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod broken;
mod compressed;
mod pipeline;
mod samples;
mod written;
