//! The order in which an epoch has the samples. It has no other home: images and cached features come in the same order.

use super::LoaderConfig;
use crate::rng::rng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// Random stream of the order.
const ORDER: u64 = 0x6f72646572;

impl LoaderConfig {
    /// Positions of the samples, whose classes are `labels`, in the order of `epoch`: as many as there are samples, times
    /// [`LoaderConfig::repeats`]; a function of the labels, the seed and the epoch alone.
    ///
    /// With [`LoaderConfig::balanced`] samples of small classes come several times and some of large classes not at all.
    pub fn order(&self, labels: &[usize], epoch: usize) -> Vec<usize> {
        let mut random = rng(self.seed, &[ORDER, epoch as u64]);
        let mut order = match self.balanced {
            true => balanced(labels, self.draws(labels.len()), &mut random),
            false => (0..self.draws(labels.len()))
                .map(|draw| draw % labels.len())
                .collect(),
        };
        if self.shuffle || self.balanced {
            order.shuffle(&mut random);
        }
        order
    }

    /// How many samples an epoch draws from `samples`.
    pub fn draws(&self, samples: usize) -> usize {
        samples * self.repeats.max(1)
    }
}

/// `draws` positions, every class that occurs equally often, to within one; within a class every sample equally often, to
/// within one. Class by class: [`LoaderConfig::order`] shuffles them.
fn balanced(labels: &[usize], draws: usize, random: &mut Pcg64) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let mut members = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        members[label].push(index);
    }
    members.retain(|class| !class.is_empty());
    // What does not divide goes to other classes in each epoch.
    members.shuffle(random);
    let (whole, rest) = match members.len() {
        0 => (0, 0),
        classes => (draws / classes, draws % classes),
    };
    let mut order = Vec::with_capacity(draws);
    for (number, class) in members.iter_mut().enumerate() {
        let end = order.len() + whole + usize::from(number < rest);
        while order.len() < end {
            class.shuffle(random);
            order.extend(class.iter().take(end - order.len()));
        }
    }
    order
}

/// For each place of `order`, how many times its sample, one of `samples`, came before.
pub(super) fn occurrences(order: &[usize], samples: usize) -> Vec<u64> {
    let mut seen = vec![0; samples];
    let mut count = |&index: &usize| {
        seen[index] += 1;
        seen[index] - 1
    };
    order.iter().map(&mut count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30, 7, 0 and 2 samples of classes 0, 1, 2 and 3, mixed.
    fn labels() -> Vec<usize> {
        let mut labels = [vec![0; 30], vec![1; 7], vec![3; 2]].concat();
        labels.shuffle(&mut rng(1, &[]));
        labels
    }

    fn config(shuffle: bool, balanced: bool) -> LoaderConfig {
        LoaderConfig {
            shuffle,
            balanced,
            seed: 9,
            ..LoaderConfig::default()
        }
    }

    fn spread(counts: &[usize]) -> usize {
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
    }

    #[test]
    fn balanced_epochs_have_each_class_and_each_of_its_samples_equally_often() {
        let labels = labels();
        for epoch in 0..50 {
            let order = config(true, true).order(&labels, epoch);
            assert_eq!(order.len(), labels.len(), "as long as any epoch");
            for class in [0, 1, 3] {
                let samples = (0..labels.len()).filter(|&index| labels[index] == class);
                let times: Vec<usize> = samples
                    .map(|index| order.iter().filter(|&&drawn| drawn == index).count())
                    .collect();
                assert_eq!(times.iter().sum::<usize>(), 13, "a third of 39 draws");
                assert!(spread(&times) <= 1, "class {class}: {times:?}");
            }
        }
    }

    #[test]
    fn what_does_not_divide_goes_to_other_classes_in_other_epochs() {
        let labels = [0, 0, 0, 0, 0, 1, 2, 2];
        let mut seldom = [0; 3];
        for epoch in 0..300 {
            let mut counts = [0; 3];
            for index in config(true, true).order(&labels, epoch) {
                counts[labels[index]] += 1;
            }
            assert!(spread(&counts) <= 1, "{counts:?}");
            for (seldom, count) in seldom.iter_mut().zip(counts) {
                *seldom += usize::from(count == 2);
            }
        }
        assert!(
            seldom.iter().all(|&times| (60..140).contains(&times)),
            "{seldom:?}"
        );
    }

    #[test]
    fn repeated_epochs_have_each_sample_as_often() {
        let labels = labels();
        for balanced in [false, true] {
            let config = LoaderConfig {
                repeats: 3,
                ..config(true, balanced)
            };
            let order = config.order(&labels, 1);
            assert_eq!(order.len(), 3 * labels.len());
            let of = |class: usize| order.iter().filter(|&&index| labels[index] == class).count();
            let expected = if balanced { [39, 39, 39] } else { [90, 21, 6] };
            assert_eq!([of(0), of(1), of(3)], expected);
        }
    }

    #[test]
    fn orders_are_functions_of_seed_and_epoch() {
        let labels = labels();
        let kept: Vec<usize> = (0..labels.len()).collect();
        assert_eq!(config(false, false).order(&labels, 3), kept);
        for balanced in [false, true] {
            let config = config(true, balanced);
            let order = config.order(&labels, 3);
            assert_eq!(order, config.order(&labels, 3));
            assert_ne!(order, config.order(&labels, 4));
            let other = LoaderConfig { seed: 10, ..config };
            assert_ne!(order, other.order(&labels, 3));
        }
        // What training runs are made of must not change.
        let mut shuffled = kept;
        shuffled.shuffle(&mut rng(9, &[ORDER, 3]));
        assert_eq!(config(true, false).order(&labels, 3), shuffled);
        assert_eq!(config(true, true).order(&[], 0), Vec::<usize>::new());
    }

    #[test]
    fn occurrences_count_from_the_start_of_the_epoch() {
        assert_eq!(occurrences(&[2, 0, 2, 1, 2, 0], 4), [0, 0, 1, 0, 2, 1]);
    }
}
