//! What goes wrong is said, and what can be tried again is.

use super::*;

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
