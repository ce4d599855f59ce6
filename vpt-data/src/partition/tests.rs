use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn samples(per_class: &[usize]) -> Vec<Sample> {
    let of_class = |(label, &count): (usize, &usize)| {
        (0..count).map(move |i| Sample {
            path: format!("root/{label}/{i}.png").into(),
            label: label.into(),
            ..Sample::default()
        })
    };
    per_class.iter().enumerate().flat_map(of_class).collect()
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

fn split(samples: Vec<Sample>, classes: usize, fractions: (f64, f64), seed: u64) -> Partition {
    stratified(
        samples,
        &names(classes),
        Path::new("root"),
        fractions.0,
        fractions.1,
        seed,
    )
    .unwrap()
}

proptest! {
    #[test]
    fn a_stratified_partition(
        per_class in proptest::collection::vec(3..40_usize, 2..5),
        val in 0.0..0.5_f64,
        test in 0.0..0.49_f64,
        seed: u64,
    ) {
        let all = samples(&per_class);
        let Partition { train, val: validation, test: held_out } = split(all.clone(), per_class.len(), (val, test), seed);
        let union: BTreeSet<_> = train.iter().chain(&validation).chain(&held_out).map(|s| &s.path).collect();
        prop_assert_eq!(union.len(), all.len(), "each image in exactly one part");
        prop_assert_eq!(train.len() + validation.len() + held_out.len(), all.len());
        for (label, &count) in per_class.iter().enumerate() {
            let of = |part: &[Sample]| part.iter().filter(|s| s.label.has(label)).count();
            prop_assert!(of(&train) >= 1);
            for (part, fraction) in [(&validation, val), (&held_out, test)] {
                prop_assert_eq!(of(part) > 0, fraction > 0.0);
                prop_assert!((of(part) as f64 - count as f64 * fraction).abs() <= 1.0);
            }
        }
        prop_assert!(train.is_sorted_by_key(|sample| all.iter().position(|s| s == sample)));
    }

    #[test]
    fn the_seed_and_the_names_decide(seed: u64, turn in 0..20_usize) {
        let all = samples(&[20, 20]);
        let mut turned = all.clone();
        turned.rotate_left(turn);
        let paths = |part: Vec<Sample>| part.into_iter().map(|s| s.path).collect::<BTreeSet<_>>();
        let (one, other) = (split(all, 2, (0.2, 0.2), seed), split(turned, 2, (0.2, 0.2), seed));
        prop_assert_eq!(paths(one.val), paths(other.val));
        prop_assert_eq!(paths(one.test), paths(other.test));
    }

    #[test]
    fn shots_are_nested(seed: u64, shots in 1..10_usize) {
        let take = |shots| few(samples(&[12, 5]), 2, Path::new("root"), shots, seed);
        let (fewer, more) = (take(shots), take(shots + 1));
        prop_assert_eq!(fewer.len(), shots + shots.min(5));
        prop_assert!(fewer.iter().all(|sample| more.contains(sample)));
    }
}

#[test]
fn another_seed_is_another_split() {
    let val = |seed| split(samples(&[50, 50]), 2, (0.3, 0.0), seed).val;
    assert_ne!(val(1), val(2));
    assert_eq!(val(1), val(1));
}

#[test]
fn more_images_never_turn_test_images_into_training_images() {
    let test = |count| split(samples(&[count, 20]), 2, (0.2, 0.2), 7).test;
    let larger = test(40);
    let stay = test(36).iter().filter(|sample| larger.contains(sample)).count();
    assert!(stay + 2 >= test(36).len(), "{stay} of {} stay", test(36).len());
}

#[test]
fn small_classes() {
    assert_eq!(held_out(3, 0.15, 0.15), Some((1, 1)));
    assert_eq!(held_out(4, 0.49, 0.49), Some((1, 2)));
    assert_eq!(held_out(2, 0.15, 0.15), None);
    assert_eq!(held_out(2, 0.15, 0.0), Some((1, 0)));
    assert_eq!(held_out(1, 0.0, 0.0), Some((0, 0)));
    let root = Path::new("root");
    let error = stratified(samples(&[5, 2]), &names(2), root, 0.15, 0.15, 42).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class `1` has 2 images, too few to be split into train, val, test"
    );
    assert!(error.hint().unwrap().contains("at least 3"));
}

#[test]
fn relative_names_do_not_depend_on_the_root() {
    assert_eq!(relative(Path::new("/a/b/c/1.png"), Path::new("/a/b")), "c/1.png");
    assert_eq!(relative(Path::new("c/1.png"), Path::new("/a/b")), "c/1.png");
}
