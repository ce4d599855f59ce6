//! What is seen is what the server answered.

use super::*;

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
