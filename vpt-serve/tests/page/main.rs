//! The page at `/` in a real browser: what a person does, and what is then seen.
//!
//! `VPT_PAGE_SHOTS` names a folder in which pictures of the page are left.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test fails by panicking, and says what it skips

mod devtools;
/// The server of the tests of the addresses.
#[path = "../serving/served.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the server")]
mod served;

use std::fs;
use std::path::{Path, PathBuf};

use devtools::Page;
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

/// All cards of one kind, and that part of the server's answer that each shows.
fn cards_of<'a>(cards: &'a Value, answer: &'a Value, kinds: &[&str]) -> Vec<(&'a Value, &'a Value)> {
    let results = answer["results"].as_array().unwrap();
    let found: Vec<_> = results
        .iter()
        .filter(|result| kinds.contains(&result["kind"].as_str().unwrap()))
        .map(|result| (&cards[result["task"].as_str().unwrap()], result))
        .collect();
    assert!(!found.is_empty(), "the server has no task of {kinds:?}");
    found
}

/// Texts like `12.3 %` as shares.
fn share(text: &Value) -> f64 {
    let number = text.as_str().unwrap().trim_end_matches(" %");
    number.parse::<f64>().unwrap() / 100.0
}

fn close(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

/// What is seen of each task, by its name.
const SEEN: &str = "Object.fromEntries([...document.querySelectorAll('.card')].map(card => {
  const all = selector => [...card.querySelectorAll(selector)];
  const stage = card.querySelector('.stage')?.getBoundingClientRect();
  const masks = card.querySelector('canvas.masks');
  return [card.dataset.task, {
    answer: card.querySelector('.answer')?.textContent,
    bars: all('.bars li').map(bar => ({ name: bar.children[0].textContent, share: bar.children[1].textContent,
      chosen: bar.matches('.chosen'), first: !bar.closest('details'),
      fill: bar.querySelector('.track span').getBoundingClientRect().width / bar.querySelector('.track').getBoundingClientRect().width })),
    boxes: all('.box').map(box => {
      const { left, top, right, bottom } = box.getBoundingClientRect();
      return { words: box.textContent, bbox: [(left - stage.left) / stage.width, (top - stage.top) / stage.height,
        (right - stage.left) / stage.width, (bottom - stage.top) / stage.height] };
    }),
    rows: all('tbody tr').length,
    legend: all('.legend li').map(item => ({ name: item.querySelector('span').textContent, share: item.querySelector('label').lastChild.textContent,
      ticked: item.querySelector('input').checked })),
    pixels: masks && [...masks.getContext('2d').getImageData(0, 0, masks.width, masks.height).data].filter((_, i) => i % 4 === 3).map(alpha => alpha > 0 ? 1 : 0),
  }];
}))";

fn check_decision(seen: &Value, result: &Value) {
    let prediction = &result["predictions"][0];
    let classes: Vec<&str> = result["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let many = result["kind"] == "multi-label";
    let labels = match many {
        true => prediction["labels"].as_array().unwrap().clone(),
        false => vec![prediction["label"].clone()],
    };
    let words: Vec<&str> = labels.iter().map(|label| label.as_str().unwrap()).collect();
    let expected = match (prediction["abstained"] == true, words.is_empty()) {
        (true, _) => "undecided".to_owned(),
        (_, true) => "none of the classes".to_owned(),
        _ => words.join(", "),
    };
    assert_eq!(seen["answer"], expected);
    let bars = seen["bars"].as_array().unwrap();
    assert_eq!(bars.len(), classes.len());
    let mut sum = 0.0;
    for bar in bars {
        let name = bar["name"].as_str().unwrap().trim_start_matches("✓ ");
        let class = classes.iter().position(|&class| class == name).unwrap();
        let prob = prediction["probs"][class].as_f64().unwrap();
        assert!(close(share(&bar["share"]), prob, 0.00051), "{bar} {prob}");
        assert!(close(bar["fill"].as_f64().unwrap(), prob, 0.02), "{bar} {prob}");
        assert_eq!(
            bar["chosen"],
            expected != "undecided" && words.contains(&name),
            "{bar}"
        );
        sum += share(&bar["share"]);
    }
    let first = bars.iter().filter(|bar| bar["first"] == true).count();
    if many {
        assert_eq!(first, classes.len());
    } else {
        assert_eq!(first, classes.len().min(5));
        assert!(close(sum, 1.0, 0.0005 * classes.len() as f64 + 1e-9), "{sum}");
    }
}

fn check_boxes(seen: &Value, result: &Value) {
    let prediction = &result["predictions"][0];
    let objects = prediction["objects"].as_array().unwrap();
    let boxes = seen["boxes"].as_array().unwrap();
    assert_eq!(boxes.len(), objects.len());
    assert_eq!(seen["rows"], objects.len());
    for object in objects {
        let label = object["label"].as_str().unwrap();
        let edges: Vec<f64> = (0..4)
            .map(|edge| {
                object["bbox"][edge].as_f64().unwrap() / prediction["size"][edge % 2].as_f64().unwrap()
            })
            .collect();
        let drawn = boxes.iter().any(|shown| {
            let at = |edge: usize| shown["bbox"][edge].as_f64().unwrap();
            shown["words"].as_str().unwrap().starts_with(label)
                && (0..4).all(|edge| close(at(edge), edges[edge], 0.01))
        });
        assert!(drawn, "{object} is not among {boxes:?}");
    }
}

/// Pixels of COCO's run lengths as text, column by column.
fn pixels_of_runs(text: &str) -> Vec<bool> {
    let (mut runs, mut pixels): (Vec<i64>, Vec<bool>) = (vec![], vec![]);
    let (mut run, mut shift) = (0, 0);
    for digit in text.bytes().map(|byte| i64::from(byte) - 48) {
        run |= (digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            if digit & 16 != 0 {
                run |= -1 << shift;
            }
            let before = if runs.len() > 2 { runs[runs.len() - 2] } else { 0 };
            pixels.extend(std::iter::repeat_n(runs.len() % 2 == 1, (run + before) as usize));
            runs.push(run + before);
            (run, shift) = (0, 0);
        }
    }
    pixels
}

fn check_masks(seen: &Value, result: &Value) {
    let masks = result["predictions"][0]["masks"].as_array().unwrap();
    let legend = seen["legend"].as_array().unwrap();
    assert_eq!(legend.len(), masks.len());
    let size = &masks[0]["segmentation"]["size"];
    let (height, width) = (
        size[0].as_u64().unwrap() as usize,
        size[1].as_u64().unwrap() as usize,
    );
    let mut expected = vec![0; height * width];
    for (mask, entry) in masks.iter().zip(legend) {
        assert_eq!(entry["name"], mask["label"]);
        assert!(
            close(share(&entry["share"]), mask["share"].as_f64().unwrap(), 0.00051),
            "{entry}"
        );
        assert_eq!(entry["ticked"], mask["label"] != "background");
        if mask["label"] == "background" {
            continue;
        }
        let pixels = pixels_of_runs(mask["segmentation"]["counts"].as_str().unwrap());
        for (i, _) in pixels.iter().enumerate().filter(|(_, inside)| **inside) {
            expected[i % height * width + i / height] = 1;
        }
    }
    assert_eq!(seen["pixels"], json!(expected));
}

#[test]
fn a_chosen_file_is_answered_for_every_kind_of_task() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    page.set_files("#files", &[&write_picture(folder.path())]);
    page.wait_until(ANSWERED, 60);
    let answer = page.evaluate("askAgain()");
    page.evaluate("document.querySelectorAll('.card details').forEach(rest => rest.open = true)");
    page.wait_until("document.getAnimations().length === 0", 10);
    let cards = page.evaluate(SEEN);
    assert_eq!(
        cards.as_object().unwrap().len(),
        answer["results"].as_array().unwrap().len()
    );
    for (seen, result) in cards_of(&cards, &answer, &["classification", "ordinal", "multi-label"]) {
        check_decision(seen, result);
    }
    for (seen, result) in cards_of(&cards, &answer, &["detection"]) {
        check_boxes(seen, result);
    }
    for (seen, result) in cards_of(&cards, &answer, &["segmentation"]) {
        check_masks(seen, result);
    }
    assert!(page.holds("document.querySelector('.image h2').textContent === 'picture.bmp'"));
    assert!(page.holds("[...document.images].every(picture => picture.naturalWidth === 320)"));
    assert!(page.holds("/answered in \\d/.test(document.querySelector('.image').textContent)"));
    shoot(&mut page, "desk");
    check_quiet(&mut page, &served);
}

#[test]
fn the_score_slider_leaves_surer_objects() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate("drawn('a.png').then(dropFiles)");
    page.wait_until(ANSWERED, 60);
    let score = "document.querySelector('[data-kind=detection] input[type=range]')";
    if page.holds(&format!("!{score}")) {
        println!("skipped: the server found no objects");
        return;
    }
    page.evaluate(&format!("{score}.focus()"));
    let lowest = page.evaluate(&format!("{score}.valueAsNumber")).as_f64().unwrap();
    for _ in 0..20 {
        page.press("ArrowRight");
    }
    let threshold = page.evaluate(&format!("{score}.valueAsNumber")).as_f64().unwrap();
    assert!(threshold > lowest || lowest >= 0.99);
    let answer = page.evaluate("askAgain()");
    let results = answer["results"].as_array().unwrap();
    let detection = results
        .iter()
        .find(|result| result["kind"] == "detection")
        .unwrap();
    let objects = detection["predictions"][0]["objects"].as_array().unwrap();
    let surer = objects
        .iter()
        .filter(|object| object["score"].as_f64().unwrap() >= threshold)
        .count();
    for what in [".box", "tbody tr"] {
        let shown = page.evaluate(&format!(
            "{score}.closest('.card').querySelectorAll('{what}:not([hidden])').length"
        ));
        assert_eq!(shown, surer, "{what}");
    }
    check_quiet(&mut page, &served);
}

#[test]
fn pasted_and_dropped_pictures_are_answered() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate("drawn('pasted.png').then(pasteFiles)");
    page.wait_until(
        "document.querySelector('.image h2')?.textContent === 'pasted.png'",
        10,
    );
    page.wait_until(&format!("{ANSWERED} && document.querySelector('.answer')"), 60);
    page.evaluate(
        "Promise.all([drawn('one.png'), drawn('two.png', 90, 200)]).then(files => dropFiles(...files))",
    );
    page.wait_until("document.querySelectorAll('.image').length === 2", 10);
    page.wait_until(ANSWERED, 60);
    let names = page.evaluate("[...document.querySelectorAll('.image h2')].map(name => name.textContent)");
    assert_eq!(names, json!(["one.png", "two.png"]));
    assert!(
        page.holds("[...document.querySelectorAll('.image')].every(image => image.querySelector('.answer'))")
    );
    assert!(page.holds("!document.body.matches('.over')"));
    shoot(&mut page, "two");
    check_quiet(&mut page, &served);
}

/// In the page: a JPEG of 300 × 200 pixels that is to be shown turned by a quarter.
const TURNED: &str = "(async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
  canvas.getContext('2d').fillRect(20, 20, 90, 60);
  const jpeg = await new Promise(done => canvas.toBlob(done, 'image/jpeg'));
  const start = await jpeg.slice(0, 2).arrayBuffer(), rest = await jpeg.slice(2).arrayBuffer();
  const orientation = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0];
  const tiff = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, ...orientation, 0, 0, 0, 0];
  const exif = [0xff, 0xe1, 0, tiff.length + 8, 0x45, 0x78, 0x69, 0x66, 0, 0, ...tiff];
  return new File([start, new Uint8Array(exif), rest], 'turned.jpg', { type: 'image/jpeg' });
})()";

#[test]
fn a_turned_picture_has_one_size_for_the_server_and_the_browser() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate(&format!("{TURNED}.then(dropFiles)"));
    page.wait_until(&format!("{ANSWERED} && document.querySelector('.answer')"), 60);
    let answer = page.evaluate("askAgain()");
    assert_eq!(answer["results"][0]["predictions"][0]["size"], json!([200, 300]));
    let sizes =
        page.evaluate("[...document.images].map(picture => [picture.naturalWidth, picture.naturalHeight])");
    for size in sizes.as_array().unwrap() {
        assert_eq!(size, &json!([200, 300]));
    }
    check_quiet(&mut page, &served);
}

#[test]
fn attention_is_drawn_over_the_picture() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate("drawn('wide.png', 400, 200).then(dropFiles)");
    page.wait_until(ANSWERED, 60);
    assert!(page.holds("!document.querySelector('canvas.attention')"));
    page.evaluate("document.querySelector('#attention').click()");
    page.wait_until("document.querySelector('canvas.attention')", 60);
    page.wait_until(ANSWERED, 60);
    let answer = page.evaluate("askAgain()");
    let results = answer["results"].as_array().unwrap();
    for result in results {
        let prediction = &result["predictions"][0];
        let card = format!("document.querySelector('[data-task={}]')", result["task"]);
        let Some(attention) = prediction.get("attention") else {
            assert!(page.holds(&format!("!{card}.querySelector('canvas.attention')")));
            continue;
        };
        let map = format!("{card}.querySelector('canvas.attention')");
        let grid = page.evaluate(&format!("[{map}.height, {map}.width]"));
        assert_eq!(grid, attention["grid"]);
        let edges = page.evaluate(&format!(
            "(() => {{ const map = {map}.getBoundingClientRect(), stage = {card}.querySelector('.stage').getBoundingClientRect();
            return [map.left - stage.left, map.top - stage.top, map.right - stage.left, map.bottom - stage.top]
              .map((edge, i) => edge / (i % 2 ? stage.height : stage.width)) }})()"
        ));
        for edge in 0..4 {
            let size = prediction["size"][edge % 2].as_f64().unwrap();
            let expected = attention["bbox"][edge].as_f64().unwrap() / size;
            assert!(
                close(edges[edge].as_f64().unwrap(), expected, 0.01),
                "{edges} {attention}"
            );
        }
        let shades = format!(
            "new Set({map}.getContext('2d').getImageData(0, 0, {map}.width, {map}.height).data).size > 2"
        );
        assert!(
            page.holds(&shades),
            "the map of {} has one colour",
            result["task"]
        );
    }
    shoot(&mut page, "attention");
    check_quiet(&mut page, &served);
}

/// Where the keyboard is: an id, a task, or a kind of element; and whether that can be seen.
const FOCUS: &str = "(() => {
  const focus = document.activeElement;
  const outlined = element => element && getComputedStyle(element).outlineStyle !== 'none' && parseFloat(getComputedStyle(element).outlineWidth) >= 2;
  const box = (focus.closest('.drop') ?? focus).getBoundingClientRect();
  return { name: focus.closest('#tasks') ? 'task ' + focus.value : focus.id || (focus.closest('.card') ? 'card ' : '') + focus.tagName + (focus.type ?? ''),
    seen: (outlined(focus) || outlined(focus.closest('label'))) && box.width > 8 && box.height > 8
      && box.bottom > 0 && box.top < innerHeight };
})()";

/// Presses Tab until the keyboard leaves the page, and returns where it was.
fn tab_through(page: &mut Page) -> Vec<String> {
    page.evaluate("document.activeElement.blur()");
    let mut names = vec![];
    loop {
        page.press("Tab");
        let focus = page.evaluate(FOCUS);
        let name = focus["name"].as_str().unwrap().to_owned();
        if name == "BODY" || names.first() == Some(&name) {
            return names;
        }
        assert_eq!(focus["seen"], true, "{name} does not show that it has the focus");
        assert!(names.len() < 500, "{names:?}");
        names.push(name);
    }
}

#[test]
fn everything_is_reached_by_keyboard_and_choices_are_kept() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    let tasks = page.evaluate(
        "fetch('v1/tasks').then(answer => answer.json()).then(({ tasks }) => tasks.map(task => task.name))",
    );
    let tasks: Vec<String> = serde_json::from_value(tasks).unwrap();
    let stops = tab_through(&mut page);
    assert_eq!(stops[0], "files");
    let mut wanted: Vec<String> = ["camera-open", "all", "none", "attention"]
        .map(str::to_owned)
        .into();
    wanted.extend(tasks.iter().map(|task| format!("task {task}")));
    for name in wanted {
        assert!(stops.contains(&name), "{name} is not reached: {stops:?}");
    }

    page.evaluate("drawn('a.png').then(dropFiles)");
    page.wait_until(ANSWERED, 60);
    let stops = tab_through(&mut page);
    let answered = stops.iter().filter(|name| name.starts_with("card ")).count();
    let controls = "[...document.querySelectorAll('.card')].flatMap(card => [...card.querySelectorAll('input, summary, [tabindex]')]).length";
    assert_eq!(page.evaluate(controls), answered, "{stops:?}");

    page.evaluate("document.querySelector('#tasks input').focus()");
    page.press(" ");
    let without = format!(
        "document.querySelectorAll('.card').length === {}",
        tasks.len() - 1
    );
    page.wait_until(&without, 60);
    shoot(&mut page, "keyboard");
    page.go(&format!("http://{}/", served.address()));
    page.wait_until("document.querySelector('#tasks input')", 30);
    let ticked =
        page.evaluate("[...document.querySelectorAll('#tasks input:checked')].map(box => box.value)");
    assert_eq!(ticked, json!(tasks[1..]));
    page.evaluate("document.querySelector('#choice').open = true; document.querySelector('#all').focus()");
    page.press("Enter");
    assert!(page.holds("!document.querySelector('#tasks input:not(:checked)')"));
    check_quiet(&mut page, &served);
}

#[test]
fn nothing_scrolls_sideways_on_a_phone() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.viewport(390, 844);
    page.go(&format!("http://{}/", served.address()));
    page.wait_until("document.querySelector('#tasks input')", 30);
    page.evaluate(TOOLS);
    page.evaluate("document.querySelector('#attention').click()");
    let long = "a-rather-long-name-without-a-single-space-".repeat(3);
    page.evaluate(&format!("drawn('{long}.png', 700, 240).then(dropFiles)"));
    page.wait_until(ANSWERED, 60);
    page.evaluate("document.querySelectorAll('details').forEach(rest => rest.open = true)");
    for width in [390, 320] {
        page.viewport(width, 844);
        let wide = "[...document.querySelectorAll('body *:not(.unseen):not(.box, .box *):not(.covered, .covered *)')]
          .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
          .map(element => element.outerHTML.slice(0, 120))";
        assert_eq!(page.evaluate(wide), json!([]), "at {width}");
        assert!(
            page.holds("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
            "{width}"
        );
        if width == 390 {
            shoot(&mut page, "phone");
            page.prefer("prefers-color-scheme", "dark");
            shoot(&mut page, "phone-dark");
        }
    }
    check_quiet(&mut page, &served);
}

#[test]
fn a_text_file_shows_the_servers_reason() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate("dropFiles(new File(['This is not a picture.'], 'notes.txt', { type: 'text/plain' }))");
    page.wait_until("document.querySelector('.image [role=alert]')", 60);
    let reason = page.evaluate("askAgain().then(problem => problem.detail)");
    let reason = reason.as_str().expect("the server gives a reason");
    let shown = page.evaluate("document.querySelector('[role=alert]').textContent");
    assert!(
        shown.as_str().unwrap().contains(reason),
        "{shown} does not say {reason}"
    );
    assert!(page.holds("document.querySelector('#progress').hidden"));
    shoot(&mut page, "reason");
    check_quiet(&mut page, &served);
}

/// In the page: the next answers to predictions are these, each `[status, headers]`; then the server's own.
const FAULTS: &str = "(faults => {
  const plain = window.fetch;
  window.fetch = (path, options) => {
    if (!path.includes('predict') || !faults.length) return plain(path, options);
    const [status, headers] = faults.shift();
    if (!status) return Promise.reject(new TypeError('Failed to fetch'));
    return Promise.resolve(new Response('{\"title\":\"Busy\",\"detail\":\"Too many requests.\"}', { status, headers }));
  };
})";

#[test]
fn a_busy_server_is_asked_again_and_one_that_is_gone_is_said() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate(&format!(
        "{FAULTS}([[429, {{ 'Retry-After': '1' }}], [503, {{ 'Retry-After': '1' }}]])"
    ));
    page.evaluate("drawn('a.png').then(dropFiles)");
    page.wait_until(
        "/busy.*1 s/.test(document.querySelector('#status').textContent)",
        10,
    );
    assert!(page.holds(
        "document.querySelector('.image').ariaBusy === 'true' && !document.querySelector('#progress').hidden"
    ));
    page.wait_until("document.querySelector('.answer')", 60);
    page.evaluate(&format!("{FAULTS}([[0]])"));
    page.evaluate("drawn('b.png').then(dropFiles)");
    page.wait_until(
        "/cannot be reached/.test(document.querySelector('[role=alert]')?.textContent)",
        10,
    );
    page.evaluate(&format!(
        "{FAULTS}(Array(5).fill([429, {{ 'Retry-After': '0.1' }}]))"
    ));
    page.evaluate("drawn('c.png').then(dropFiles)");
    page.wait_until(
        "/Too many requests/.test(document.querySelector('[role=alert]')?.textContent)",
        10,
    );
    check_quiet(&mut page, &served);
}

#[test]
fn a_newer_picture_ends_the_older_request() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate(
        "window.fetch = (path, { signal }) => new Promise((_, fail) => {
           window.signal = signal;
           signal.onabort = () => fail(signal.reason);
         }); drawn('old.png').then(dropFiles)",
    );
    page.wait_until("window.signal", 10);
    page.evaluate("window.older = window.signal; drawn('new.png').then(dropFiles)");
    page.wait_until("window.older.aborted && window.signal !== window.older", 10);
    assert!(page.holds("!window.signal.aborted && !document.querySelector('[role=alert]')"));
    assert!(page.holds("document.querySelector('.image h2').textContent === 'new.png'"));
    check_quiet(&mut page, &served);
}

#[test]
fn what_the_server_says_is_text_and_unknown_kinds_are_shown_raw() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate(
        "(() => {
          const name = '<img src=x onerror=\"window.bad = 1\"><b>bold</b>', size = [300, 200], bbox = [30, 20, 120, 90];
          const results = [
            { kind: 'classification', predictions: [{ size, label: name, probs: [0.6, 0.4] }] },
            { kind: 'detection', predictions: [{ size, objects: [{ label: name, score: 0.5, bbox }] }] },
            { kind: 'segmentation', predictions: [{ size, masks: [{ label: name, share: 1, segmentation: { size: [200, 300], counts: '0PaU1' } }] }] },
            { kind: 'tomorrow', predictions: [{ size, something: name }] },
          ].map((result, i) => ({ task: name + i, classes: [name, 'other'], ...result }));
          window.fetch = () => Promise.resolve(new Response(JSON.stringify({ results })));
        })(); drawn('<b>name</b>.png').then(dropFiles)",
    );
    page.wait_until(ANSWERED, 30);
    assert_eq!(page.evaluate("document.querySelectorAll('.card').length"), 4);
    assert!(page.holds("!window.bad && !document.querySelector('#images b, #images img[src=x]')"));
    assert!(
        page.holds(
            "document.querySelector('[data-kind=tomorrow] pre').textContent.includes('\"something\"')"
        )
    );
    check_quiet(&mut page, &served);
}

#[test]
fn a_file_the_browser_cannot_show_is_answered_without_picture() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    page.evaluate(
        "(() => {
          const size = [300, 200], objects = [{ label: 'a', score: 0.5, bbox: [30, 20, 120, 90] }];
          const results = [{ task: 'found', kind: 'detection', classes: ['a'], predictions: [{ size, objects }] }];
          window.fetch = () => Promise.resolve(new Response(JSON.stringify({ results })));
        })(); dropFiles(new File(['DICM'], 'scan.dcm'))",
    );
    page.wait_until(ANSWERED, 30);
    assert_eq!(
        page.evaluate("document.querySelectorAll('#images img').length"),
        0
    );
    assert_eq!(
        page.evaluate("document.querySelectorAll('tbody tr, .box').length"),
        2
    );
    assert!(page.holds("document.querySelector('.image').textContent.includes('cannot show')"));
    shoot(&mut page, "without-picture");
    check_quiet(&mut page, &served);
}

#[test]
fn the_camera_takes_a_picture_and_escape_stops_it() {
    let Some((mut page, served)) = opened() else {
        return;
    };
    let open = "document.querySelector('#camera-open')";
    page.evaluate(&format!("{open}.focus()"));
    page.press("Enter");
    page.wait_until("document.activeElement.id === 'camera-take'", 30);
    page.press("Escape");
    page.wait_until(&format!("document.activeElement === {open}"), 10);
    assert!(
        page.holds("document.querySelector('#camera').hidden && !document.querySelector('#video').srcObject")
    );
    page.press("Enter");
    page.wait_until("document.querySelector('#video').videoWidth > 0", 30);
    shoot(&mut page, "camera");
    page.press("Enter");
    page.wait_until(ANSWERED, 60);
    assert!(page.holds("document.querySelector('.image h2').textContent === 'camera.png' && document.querySelector('.answer')"));
    assert!(page.holds("!document.querySelector('#video').srcObject"));
    check_quiet(&mut page, &served);
}

#[test]
fn a_token_is_asked_for_and_then_sent() {
    let served = served(true);
    let Some(mut page) = open(&served) else { return };
    let submit = |page: &mut Page, token: &str| {
        page.wait_until("document.activeElement.id === 'token'", 10);
        page.evaluate(&format!("document.querySelector('#token').value = {token:?}"));
        page.press("Enter");
    };
    submit(&mut page, "not it");
    page.wait_until(
        "/refused/.test(document.querySelector('#status').textContent)",
        10,
    );
    shoot(&mut page, "token");
    submit(&mut page, TOKEN);
    page.wait_until("document.querySelector('#tasks input')", 30);
    assert!(page.holds("document.querySelector('#access').hidden && !location.href.includes('token')"));
    page.evaluate("drawn('a.png').then(dropFiles)");
    page.wait_until(&format!("{ANSWERED} && document.querySelector('.answer')"), 60);
    page.go(&format!("http://{}/", served.address()));
    page.wait_until("document.querySelector('#tasks input')", 30);
    check_quiet(&mut page, &served);
}
