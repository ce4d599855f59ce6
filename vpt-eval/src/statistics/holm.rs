//! Several tests at once.

/// p-values adjusted by the step-down method of Holm (1979, Scand. J. Stat. 6:65), in the given order.
///
/// Calling those up to α significant keeps the chance of a single false one among all at α, whatever the tests have to do
/// with each other.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (place, &i) in order.iter().enumerate() {
        largest = largest.max(p_values[i] * (p_values.len() - place) as f64);
        adjusted[i] = largest.min(1.0);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_down() {
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5]);
        assert_eq!(holm(&[0.3]), [0.3]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
