//! Smooth random fields (value noise), for textures, clouds and uneven light.

use rand::RngExt;
use rand_pcg::Pcg64;

/// A smooth random function of the plane with values in -1..1 and period 1 in both directions.
pub(crate) struct Field {
    octaves: Vec<Lattice>,
    total: f32,
}

struct Lattice {
    cells: usize,
    weight: f32,
    values: Vec<f32>,
}

impl Field {
    /// A field with `cells` bumps across the unit square and `octaves - 1` finer layers, each twice as fine and half as strong.
    pub(crate) fn new(rng: &mut Pcg64, cells: usize, octaves: u32) -> Self {
        let octaves: Vec<Lattice> = (0..octaves)
            .map(|octave| {
                let cells = cells << octave;
                let values = (0..cells * cells).map(|_| rng.random_range(-1.0..1.0)).collect();
                Lattice {
                    cells,
                    weight: 0.5_f32.powi(octave as i32),
                    values,
                }
            })
            .collect();
        let total = octaves.iter().map(|lattice| lattice.weight).sum();
        Self { octaves, total }
    }

    /// The value at (u, v).
    pub(crate) fn at(&self, u: f32, v: f32) -> f32 {
        self.octaves
            .iter()
            .map(|lattice| lattice.weight * lattice.at(u, v))
            .sum::<f32>()
            / self.total
    }
}

impl Lattice {
    fn at(&self, u: f32, v: f32) -> f32 {
        let cells = self.cells as f32;
        let (x, y) = (u.rem_euclid(1.0) * cells, v.rem_euclid(1.0) * cells);
        let (i, j) = (x as usize % self.cells, y as usize % self.cells);
        let (s, t) = (smooth(x.fract()), smooth(y.fract()));
        let corner =
            |di: usize, dj: usize| self.values[(j + dj) % self.cells * self.cells + (i + di) % self.cells];
        let row = |dj: usize| corner(0, dj) + (corner(1, dj) - corner(0, dj)) * s;
        row(0) + (row(1) - row(0)) * t
    }
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn is_bounded_periodic_and_not_flat() {
        let field = Field::new(&mut Pcg64::seed_from_u64(1), 4, 3);
        let values: Vec<f32> = (0..400)
            .map(|i| field.at(i as f32 * 0.013, i as f32 * 0.029))
            .collect();
        assert!(values.iter().all(|v| v.abs() <= 1.0));
        assert!(values.iter().any(|v| v.abs() > 0.2));
        assert!((field.at(0.3, 0.7) - field.at(1.3, -0.3)).abs() < 1e-4);
    }
}
