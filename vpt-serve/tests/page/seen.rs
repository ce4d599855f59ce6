//! What is seen of an answer, held against it.

use super::*;

/// All cards of one kind, and that part of the server's answer that each shows.
pub fn cards_of<'a>(cards: &'a Value, answer: &'a Value, kinds: &[&str]) -> Vec<(&'a Value, &'a Value)> {
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
pub fn share(text: &Value) -> f64 {
    let number = text.as_str().unwrap().trim_end_matches(" %");
    number.parse::<f64>().unwrap() / 100.0
}

pub fn close(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

/// What is seen of each task, by its name.
pub const SEEN: &str = "Object.fromEntries([...document.querySelectorAll('.card')].map(card => {
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

pub fn check_decision(seen: &Value, result: &Value) {
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

pub fn check_boxes(seen: &Value, result: &Value) {
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
pub fn pixels_of_runs(text: &str) -> Vec<bool> {
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

pub fn check_masks(seen: &Value, result: &Value) {
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
