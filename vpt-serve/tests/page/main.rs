//! The page at `/` in a real browser: what a person does, and what is then seen.
//!
//! `VPT_PAGE_SHOTS` names a folder in which pictures of the page are left.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking, and says what it skips

mod answers;
mod devtools;
mod input;
mod layout;
mod seen;
/// The server of the tests of the addresses.
#[path = "../serving/served.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the server")]
mod served;
mod trouble;

use std::fs;
use std::path::{Path, PathBuf};

use devtools::Page;
use seen::*;
use serde_json::{Value, json};
use served::{Served, TOKEN, task};
use vpt_data::TaskKind;
use vpt_serve::ServeOptions;

/// A server with tasks of every kind, with or without a token.
fn served(guarded: bool) -> Served {
    let mut careful = task("vpt-deep", TaskKind::Classification, 8, 1);
    careful.metadata.calibration.abstain_below = Some(0.9);
    let tasks = [
        ("careful", careful),
        ("graded", task("vpt-shallow", TaskKind::Ordinal, 5, 2)),
        ("labels", task("linear", TaskKind::MultiLabel, 4, 3)),
        ("boxes", task("vpt-deep", TaskKind::Detection, 2, 4)),
        ("masks", task("vpt-deep", TaskKind::Segmentation, 3, 5)),
    ];
    match guarded {
        true => Served::with_token(&tasks),
        false => Served::start(&tasks, ServeOptions::default()),
    }
}

/// In the page: makes pictures, hands files over as a person does, and keeps what was asked, so that it can be asked again.
const TOOLS: &str = "(() => {
  const plain = window.fetch;
  window.asked = [];
  window.fetch = (path, options) => {
    if (path.includes('predict')) window.asked.push([path, options]);
    return plain(path, options);
  };
  window.askAgain = async () => {
    const [path, { method, headers, body }] = window.asked.at(-1);
    return (await plain(path, { method, headers, body })).json();
  };
  window.drawn = (name, width = 300, height = 200) => new Promise(done => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height }), context = canvas.getContext('2d');
    for (let i = 0; i < 40; i++) {
      context.fillStyle = `hsl(${i * 47} 70% ${30 + i}%)`;
      context.fillRect((i * 71) % width, (i * 37) % height, 60, 45);
    }
    canvas.toBlob(blob => done(new File([blob], name, { type: 'image/png' })));
  });
  const carrying = files => {
    const data = new DataTransfer();
    for (const file of files) data.items.add(file);
    return data;
  };
  const event = { bubbles: true, cancelable: true };
  window.pasteFiles = (...files) =>
    document.body.dispatchEvent(new ClipboardEvent('paste', { ...event, clipboardData: carrying(files) }));
  window.dropFiles = (...files) => {
    for (const type of ['dragenter', 'dragover', 'drop'])
      document.querySelector('.drop').dispatchEvent(new DragEvent(type, { ...event, dataTransfer: carrying(files) }));
  };
})()";

/// No picture is being asked for, and there is one.
const ANSWERED: &str =
    "document.querySelector('.image') && !document.querySelector('.image:not([aria-busy=false])')";

/// The page with its tasks listed.
fn open(served: &Served) -> Option<Page> {
    let mut page = Page::open(&format!("http://{}/", served.address()))?;
    page.wait_until(
        "document.querySelector('#tasks input') || !document.querySelector('#access').hidden",
        30,
    );
    page.evaluate(TOOLS);
    Some(page)
}

/// The page of a server without a token; nothing where no browser works, which is said.
fn opened() -> Option<(Page, Served)> {
    let served = served(false);
    Some((open(&served)?, served))
}

/// Nothing in the console, and nobody else was asked for anything.
fn check_quiet(page: &mut Page, served: &Served) {
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let home = format!("http://{}/", served.address());
    assert!(page.requests().len() > 1);
    for address in page.requests() {
        assert!(address.starts_with(&home), "{address}");
    }
}

/// Leaves a picture of the page where somebody wants to look at it.
fn shoot(page: &mut Page, name: &str) {
    if let Some(folder) = std::env::var_os("VPT_PAGE_SHOTS") {
        page.screenshot(&Path::new(&folder).join(format!("{name}.png")));
    }
}

/// A picture as a BMP file: 24 bits per pixel, rows from the bottom.
fn write_picture(folder: &Path) -> PathBuf {
    let (width, height) = (320_u32, 240_u32);
    let mut bytes = b"BM".to_vec();
    for number in [
        54 + 3 * width * height,
        0,
        54,
        40,
        width,
        height,
        1 | 24 << 16,
        0,
        0,
        2835,
        2835,
        0,
        0,
    ] {
        bytes.extend(number.to_le_bytes());
    }
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let inside = x.abs_diff(200).pow(2) + y.abs_diff(130).pow(2) < 60_u32.pow(2);
        bytes.extend(if inside {
            [40, 90, 220]
        } else {
            [(x / 2) as u8, (y / 2) as u8 + 60, 120]
        });
    }
    let file = folder.join("picture.bmp");
    fs::write(&file, bytes).unwrap();
    file
}
