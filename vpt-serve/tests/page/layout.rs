//! Keyboard, focus and narrow screens.

use super::*;

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
