//! What every page must be.

pub mod browser;

/// The page without its styles, pictures and tags.
pub fn words(html: &str) -> String {
    let body = &html[html.find("<body>").unwrap()..];
    let mut text = String::new();
    for part in body.split('<').skip(1) {
        let (_, after) = part.split_once('>').unwrap();
        text.push_str(after);
        text.push(' ');
    }
    text.replace('\u{a0}', " ")
}

/// Base64 holds any word sooner or later.
fn without_pictures(html: &str) -> String {
    let mut parts = html.split("base64,");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text += "base64,";
        text += &part[part.find('"').unwrap()..];
    }
    text
}

/// Elements are closed, in order; nothing but the page's own elements; headings are never skipped.
pub fn check_structure(html: &str) {
    let html = &without_pictures(html);
    let body = html.split_once("</style>").unwrap().1;
    let mut open: Vec<&str> = vec!["html", "head"];
    let mut heading = 0;
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.split([' ', '/', '\n']).find(|name| !name.is_empty()).unwrap();
        assert_ne!(name, "script");
        if let Some(level) = name
            .strip_prefix('h')
            .and_then(|level| level.parse::<usize>().ok())
            && !tag.starts_with('/')
        {
            assert!(level <= heading + 1, "h{level} after h{heading}");
            heading = level;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !["img", "meta", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
    for landmark in ["<header>", "<nav aria-label", "<main>", "<footer"] {
        assert_eq!(html.matches(landmark).count(), 1, "{landmark}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
    assert_eq!(html.matches("<svg").count(), html.matches("<title>").count() - 1);
    assert_eq!(
        html.matches("<figure>").count(),
        html.matches("<figcaption>").count()
    );
    assert!(!html.contains("http") && !html.contains("url(") && !html.contains("@import"));
    assert_eq!(
        html.matches("src=").count(),
        html.matches("src=\"data:image/jpeg;base64,").count()
    );
    for bad in ["NaN", "inf\"", "None", "Some("] {
        assert!(!html.contains(bad), "{bad}");
    }
}
