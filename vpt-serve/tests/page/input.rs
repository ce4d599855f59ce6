//! The ways in: files, paste, drop, camera.

use super::*;

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
