//! What `vpt inspect data` shows.

use crate::folder::Folder;
use std::fs;
use vpt_data::DataSummary;

#[test]
fn a_summary_counts_and_finds_copies() {
    let folder = Folder::with([
        "train/a/1.png",
        "train/a/2.png",
        "train/b/1.png",
        "val/a/1.png",
        "val/b/1.png",
    ]);
    folder.add("test/a/1.png");
    let copy = |from: &str, to: &str| {
        fs::create_dir_all(folder.path().join(to).parent().unwrap()).unwrap();
        fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    };
    copy("train/a/1.png", "test/b/9.png");
    copy("train/a/2.png", "train/a/3.png");
    copy("train/b/1.png", "val/b/7.png");
    image::GrayImage::new(10, 20)
        .save(folder.path().join("val/a/gray.png"))
        .unwrap();
    fs::write(folder.path().join("test/a/broken.png"), "text").unwrap();
    let dataset = folder.open_with(|options| options.check_images = false).unwrap();
    let summary = DataSummary::of(&dataset).unwrap();
    let counts: Vec<_> = summary
        .splits
        .iter()
        .map(|split| (split.images, split.per_class.clone()))
        .collect();
    assert_eq!(counts, [(4, vec![3, 1]), (4, vec![2, 2]), (3, vec![2, 1])]);
    assert_eq!(summary.imbalance, 3.0);
    assert_eq!(
        (summary.width.min, summary.width.median, summary.width.max),
        (4, 4.0, 10)
    );
    assert_eq!((summary.height.min, summary.height.max), (3, 20));
    assert_eq!(
        summary.modes.into_iter().collect::<Vec<_>>(),
        [("gray8".into(), 1), ("rgb8".into(), 9)]
    );
    assert!(summary.total_bytes > 500);
    let pairs: Vec<_> = summary
        .duplicates_across_splits
        .iter()
        .map(|d| (&*d.first.path, &*d.second.path))
        .collect();
    assert_eq!(
        pairs,
        [
            ("train/a/1.png", "test/b/9.png"),
            ("train/b/1.png", "val/b/7.png")
        ]
    );
    assert_eq!(summary.duplicates_within_splits, 1);
    let contradiction = &summary.contradictions[..];
    assert_eq!(contradiction.len(), 1);
    assert_eq!(
        (&*contradiction[0].first.class, &*contradiction[0].second.class),
        ("a", "b")
    );
    assert_eq!(
        summary.unreadable[0].reason,
        "it holds text, expected JPEG, PNG, GIF, BMP, TIFF, WebP or DICOM"
    );
    let json = serde_json::to_string(&DataSummary::of(&dataset).unwrap()).unwrap();
    assert_eq!(
        serde_json::from_str::<DataSummary>(&json).unwrap(),
        DataSummary::of(&dataset).unwrap()
    );
}
