//! What a real browser makes of a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a browser says about a page at a width.
#[derive(Debug)]
struct Seen {
    broken_images: usize,
    images: usize,
    empty_drawings: usize,
    drawings: usize,
    headings: usize,
    overflow: i64,
    errors: usize,
}

/// Appended to a copy of a page: writes what it finds into an attribute. A headless window is never narrower than 500 pixels, so a
/// phone is a frame of its own in an otherwise empty page.
const LOOK: &str = "<script>
const frame = document.createElement('iframe');
let errors = 0;
window.onerror = () => { errors++ };
frame.style = 'border:0;height:800px;width:WIDTHpx';
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  const all = name => [...page.querySelectorAll(name)];
  const box = element => element.getBoundingClientRect();
  document.body.dataset.seen = [
    all('img').filter(img => !(img.complete && img.naturalWidth > 0)).length, all('img').length,
    all('svg').filter(svg => !(box(svg).width > 20 && box(svg).height > 20)).length, all('svg').length,
    all('h1,h2,h3').filter(heading => box(heading).height > 0).length,
    root.scrollWidth - root.clientWidth, errors].join(' ');
};
frame.srcdoc = document.getElementById('page').textContent;
document.body.append(frame);
</script>";

fn look(browser: &Path, html: &str, width: u32) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("look.html");
    let text = html.replace('&', "&amp;").replace('<', "&lt;");
    let outer = format!(
        "<!doctype html><meta charset=utf-8><body><textarea id=page hidden>{text}</textarea>{}",
        LOOK.replace("WIDTH", &width.to_string())
    );
    fs::write(&file, outer).unwrap();
    let dom = dump(browser, &file).expect("the browser shows the page");
    let (_, seen) = dom
        .split_once("data-seen=\"")
        .expect("the browser ran the script");
    let numbers: Vec<i64> = seen
        .split('"')
        .next()
        .unwrap()
        .split(' ')
        .map(|n| n.parse().unwrap())
        .collect();
    let at = |i: usize| numbers[i] as usize;
    Seen {
        broken_images: at(0),
        images: at(1),
        empty_drawings: at(2),
        drawings: at(3),
        headings: at(4),
        overflow: numbers[5],
        errors: at(6),
    }
}

/// What a browser makes of a page, or `None` if it cannot.
fn dump(browser: &Path, page: &Path) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("dom.html");
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg("--window-size=1280,900")
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("profile").display()
        ))
        .arg(page)
        .stdout(fs::File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_mins(2) {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let dom = fs::read_to_string(&output).unwrap();
    dom.contains("<html").then_some(dom)
}

/// A browser that works here.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file() && dump(file, Path::new("about:blank")).is_some())
    })
}

/// Every picture is shown, every drawing and heading has a size, and nothing scrolls sideways, on a desk and on a phone. Leaves
/// the pages in the folder that `VPT_EXAMPLE_PAGES` names.
pub fn check(pages: &[(&str, &str)]) {
    if let Some(folder) = std::env::var_os("VPT_EXAMPLE_PAGES") {
        for (name, html) in pages {
            fs::write(Path::new(&folder).join(format!("{name}.html")), html).unwrap();
        }
    }
    let Some(browser) = browser() else {
        assert!(
            std::env::var_os("VPT_REQUIRE_BROWSER").is_none(),
            "no browser on PATH"
        );
        println!("skipped: neither chromium, chromium-browser nor google-chrome on PATH");
        return;
    };
    for &(name, html) in pages {
        for width in [1200, 360] {
            let seen = look(&browser, html, width);
            println!("{name} at {width}: {seen:?}");
            assert_eq!(
                (seen.broken_images, seen.empty_drawings, seen.errors),
                (0, 0, 0),
                "{name} at {width}"
            );
            assert_eq!(seen.images, html.matches("<img").count(), "{name}");
            assert_eq!(seen.drawings, html.matches("<svg").count(), "{name}");
            let headings: usize = ["<h1", "<h2", "<h3"]
                .iter()
                .map(|tag| html.matches(tag).count())
                .sum();
            assert_eq!(seen.headings, headings, "{name}");
            assert!(
                seen.overflow <= 0,
                "{name} is {} pixels wider than {width}",
                seen.overflow
            );
        }
    }
}
