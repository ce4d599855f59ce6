//! Images that are named one by one: files, folders, and paths on stdin.

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use vpt_data::formats::{is_image, is_in_archive};

use crate::failure::Failure;

/// All images that `given` names, in order: a folder stands for the images in and below it, sorted by path, and `-` for
/// the paths on stdin, which are read as they come.
pub fn images(given: &[PathBuf]) -> impl Iterator<Item = Result<PathBuf>> {
    given
        .iter()
        .flat_map(|input| -> Box<dyn Iterator<Item = Result<PathBuf>>> {
            match input.as_os_str() == "-" {
                true => Box::new(listed()),
                false => match named(input) {
                    Ok(images) => Box::new(images.into_iter().map(Ok)),
                    Err(error) => Box::new([Err(error)].into_iter()),
                },
            }
        })
}

/// Paths on stdin, one a line.
fn listed() -> impl Iterator<Item = Result<PathBuf>> {
    let lines = io::stdin()
        .lock()
        .lines()
        .filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
    lines.map(|line| Ok(PathBuf::from(line.context("cannot read paths from stdin")?)))
}

/// A file as it is, whatever its name; of a folder what looks like an image.
fn named(path: &Path) -> Result<Vec<PathBuf>> {
    if is_in_archive(path) {
        return Ok(vec![path.to_owned()]);
    }
    let found = fs::metadata(path).map_err(|error| {
        Failure::new(format!("cannot read `{}`: {error}", path.display()))
            .hint("give images, folders of images, or `-` for paths on stdin")
    })?;
    if !found.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut images = Vec::new();
    walk(path, &mut images)?;
    match images.is_empty() {
        true => Err(Failure::new(format!("no images below `{}`", path.display()))
            .hint("images end in .jpg, .png, .gif, .bmp, .tif, .webp or .dcm")
            .into()),
        false => Ok(images),
    }
}

fn walk(dir: &Path, images: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot read `{}`", dir.display());
    let entries = fs::read_dir(dir).with_context(failed)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()
        .with_context(failed)?;
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            _ if hidden => {}
            // A link to a folder may lead back here.
            true if path.is_symlink() => {}
            true => walk(&path, images)?,
            false if is_image(&path) => images.push(path),
            false => {}
        }
    }
    Ok(())
}
