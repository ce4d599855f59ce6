//! Products of a layer whose weight is stored in bfloat16, by the tile unit (AMX) of Intel's server processors since Sapphire Rapids.
//!
//! The unit multiplies tiles of 16 × 32 and 32 × 16 numbers of 16 bits and adds the products in float32. So the other factor
//! is rounded to bfloat16 too, as it is on GPUs. Rust has no stable names for the unit's instructions; they are written out in
//! [`block`].
//!
//! Both factors are laid out as the unit reads them: of `x`, tiles of 16 rows; of the weight, tiles of 16 columns in which
//! neighbours along the summed axis lie side by side. Where a matrix ends within a tile, zeros follow.

/// `x` [rows, inputs] times `weight` [inputs, outputs] plus `bias` [outputs], if any: [rows, outputs]. None where the machine has no such
/// unit, or the product is too small to be worth its while.
pub fn forward(x: &[f32], weight: &[half::bf16], bias: Option<&[f32]>, outputs: usize) -> Option<Vec<f32>> {
    let inputs = weight.len() / outputs;
    unit::product(x, [inputs, outputs], (weight, [outputs, 1]), bias)
}

/// Gradient of the input, [rows, inputs], from `dy` [rows, outputs], where [`forward`] would compute.
pub fn input_gradient(dy: &[f32], weight: &[half::bf16], outputs: usize) -> Option<Vec<f32>> {
    let inputs = weight.len() / outputs;
    unit::product(dy, [outputs, inputs], (weight, [1, outputs]), None)
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod unit {
    pub fn product(
        _: &[f32],
        _: [usize; 2],
        _: (&[half::bf16], [usize; 2]),
        _: Option<&[f32]>,
    ) -> Option<Vec<f32>> {
        None
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod unit {
    #![allow(unsafe_code)]

    use std::arch::asm;
    use std::sync::LazyLock;

    use half::bf16;
    use rayon::prelude::*;

    use crate::ops::vectorised::vectorised;

    /// Rows or columns of a tile.
    const SIDE: usize = 16;

    /// Numbers of 16 bits in a row of a tile, which are summed over.
    const DEPTH: usize = 32;

    /// Numbers of a tile of 16 bits each.
    const TILE: usize = SIDE * DEPTH;

    /// Rows and columns of what [`block`] makes at once: two tiles each.
    const BLOCK: usize = 2 * SIDE;

    /// Rows that a task takes at most: what it lays out of them stays in the second cache.
    const ROWS: usize = 128;

    /// Products of fewer multiply-adds are done before the weight is laid out.
    const WORTHWHILE: usize = 1 << 23;

    /// Whether the processor has the unit, and the system lets this process use it.
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        const TILES_AND_BF16: u32 = 1 << 24 | 1 << 22;
        /// `ARCH_REQ_XCOMP_PERM` of the tiles' state, in `arch_prctl(2)`.
        const PERMISSION: [libc::c_long; 2] = [0x1023, 18];
        #[allow(unused_unsafe, reason = "safe from some version of Rust on")]
        // SAFETY: every processor of 64 bits has the instruction; leaf 7 is asked for only where there is one.
        let features = unsafe {
            match std::arch::x86_64::__cpuid(0).eax >= 7 {
                true => std::arch::x86_64::__cpuid_count(7, 0).edx,
                false => 0,
            }
        };
        // SAFETY: the call takes two integers and changes nothing but what this process may do.
        features & TILES_AND_BF16 == TILES_AND_BF16
            && unsafe { libc::syscall(libc::SYS_arch_prctl, PERMISSION[0], PERMISSION[1]) } == 0
    });

    /// What the eight tile registers hold, as `ldtilecfg` reads it.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIGURATION: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// `a` [rows, k] times `b` [k, n], which lies with these strides, plus `bias` [n] in each row.
    pub fn product(
        a: &[f32],
        [k, n]: [usize; 2],
        (b, strides): (&[bf16], [usize; 2]),
        bias: Option<&[f32]>,
    ) -> Option<Vec<f32>> {
        let rows = a.len() / k.max(1);
        if rows * k * n < WORTHWHILE || !*AVAILABLE {
            return None;
        }
        Some(tiled(a, [rows, k, n], (b, strides), bias))
    }

    /// See [`product`]; the unit is there.
    pub(super) fn tiled(
        a: &[f32],
        [rows, k, n]: [usize; 3],
        (b, strides): (&[bf16], [usize; 2]),
        bias: Option<&[f32]>,
    ) -> Vec<f32> {
        let (steps, panels) = (k.div_ceil(DEPTH), n.div_ceil(BLOCK));
        let b = columns(b, [k, n], strides);
        let zeros = vec![0.0; if bias.is_some() { 0 } else { n }];
        let bias = bias.unwrap_or(&zeros);
        assert!(a.len() == rows * k && bias.len() == n);

        // Enough tasks for all threads: blocks of rows, and where these are few, parts of the panels.
        let threads = 2 * rayon::current_num_threads();
        let height = rows.div_ceil(threads).next_multiple_of(BLOCK).min(ROWS);
        let parts = threads.div_ceil(rows.div_ceil(height)).min(panels);
        let width = panels.div_ceil(parts);
        let parts = panels.div_ceil(width);

        let mut c = Vec::with_capacity(rows * n);
        let target = Target(c.as_mut_ptr());
        let tasks = rows.div_ceil(height) * parts;
        (0..tasks).into_par_iter().for_each_init(
            || vec![bf16::ZERO; height * steps * DEPTH],
            |tiles, task| {
                let (first_row, first) = (task / parts * height, task % parts * width);
                let height = height.min(rows - first_row);
                lay_rows(tiles, &a[first_row * k..][..height * k], k);
                let mut sums = [0.0; BLOCK * BLOCK];
                configure();
                for panel in first..panels.min(first + width) {
                    let column = panel * BLOCK;
                    let bias = &bias[column..n.min(column + BLOCK)];
                    for row in (0..height).step_by(BLOCK) {
                        let a = &tiles[row * steps * DEPTH..][..2 * steps * TILE];
                        block(&mut sums, a, &b[panel * 2 * steps * TILE..][..2 * steps * TILE]);
                        for (i, sums) in sums.chunks_exact(BLOCK).take(height - row).enumerate() {
                            let start = (first_row + row + i) * n + column;
                            // SAFETY: the row's columns of this panel lie within `c`, and only this task writes them.
                            let places = unsafe { target.places(start, bias.len()) };
                            add(places, sums, bias);
                        }
                    }
                }
                release();
            },
        );
        // SAFETY: the tasks are all rows and panels, and each wrote its own.
        unsafe { c.set_len(rows * n) };
        c
    }

    /// Where tasks write, each in places of its own.
    #[derive(Clone, Copy)]
    struct Target(*mut f32);

    // SAFETY: no two tasks write the same place, and none reads.
    unsafe impl Send for Target {}
    // SAFETY: as above.
    unsafe impl Sync for Target {}

    impl Target {
        /// # Safety
        /// The places lie within the memory, and nobody else uses them meanwhile.
        unsafe fn places<'a>(self, start: usize, len: usize) -> &'a mut [std::mem::MaybeUninit<f32>] {
            // SAFETY: as the caller says; memory that nobody wrote is what the type allows.
            unsafe { std::slice::from_raw_parts_mut(self.0.add(start).cast(), len) }
        }
    }

    vectorised! {
        /// `sums` plus `bias`.
        fn add(places: &mut [std::mem::MaybeUninit<f32>], sums: &[f32], bias: &[f32]) {
            for ((place, sum), bias) in places.iter_mut().zip(sums).zip(bias) {
                place.write(sum + bias);
            }
        }

        /// Rounds `rows` [any, k] and lays them out in tiles: 16 rows by 16 rows, each as many tiles as `k` takes.
        fn lay_rows(tiles: &mut [bf16], rows: &[f32], k: usize) {
            let steps = k.div_ceil(DEPTH);
            for (i, row) in rows.chunks_exact(k).enumerate() {
                let of_rows = &mut tiles[i / SIDE * steps * TILE..][..steps * TILE];
                for (tile, row) in of_rows.chunks_exact_mut(TILE).zip(row.chunks(DEPTH)) {
                    let places = &mut tile[i % SIDE * DEPTH..][..DEPTH];
                    match <&[f32; DEPTH]>::try_from(row) {
                        Ok(row) => round(places, row),
                        Err(_) => round(places, row),
                    }
                }
            }
        }
    }

    vectorised! {
        /// Lays out the part of `b` from `starts` to `ends` in a tile: neighbours along the rows lie side by side.
        fn lay_columns(tile: &mut [bf16], b: &[bf16], strides: [usize; 2], starts: [usize; 2], ends: [usize; 2]) {
            let [rows, columns] = [starts[0]..ends[0], starts[1]..ends[1]];
            if strides[1] == 1 && rows.len() == DEPTH && !columns.is_empty() {
                for (pair, row) in tile.chunks_exact_mut(2 * SIDE).zip(rows.step_by(2)) {
                    let [even, odd] = [row, row + 1].map(|row| &b[row * strides[0]..][columns.clone()]);
                    for ((places, even), odd) in pair.chunks_exact_mut(2).zip(even).zip(odd) {
                        places.copy_from_slice(&[*even, *odd]);
                    }
                }
            } else {
                for (column, place) in columns.zip(0..) {
                    for (row, i) in rows.clone().zip(0..) {
                        tile[(i / 2 * SIDE + place) * 2 + i % 2] = b[row * strides[0] + column * strides[1]];
                    }
                }
            }
        }
    }

    /// To the nearest number, of two the even one. What is no number stays none.
    #[inline(always)]
    fn round(places: &mut [bf16], row: &[f32]) {
        for (place, x) in places.iter_mut().zip(row) {
            let bits = x.to_bits();
            let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
            let kept = bits >> 16 | 0x40;
            *place = bf16::from_bits(if x.is_nan() { kept } else { rounded } as u16);
        }
    }

    /// The columns of `b` [k, n] in tiles: panels of 32 columns, in each the steps along `k`, in each two tiles.
    fn columns(b: &[bf16], [k, n]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> Vec<bf16> {
        let steps = k.div_ceil(DEPTH);
        let mut tiles = vec![bf16::ZERO; n.div_ceil(BLOCK) * steps * 2 * TILE];
        tiles
            .par_chunks_exact_mut(TILE)
            .enumerate()
            .for_each(|(index, tile)| {
                let (panel, step, side) = (index / (2 * steps), index / 2 % steps, index % 2);
                let (row, column) = (step * DEPTH, panel * BLOCK + side * SIDE);
                let ends = [k.min(row + DEPTH), n.min(column + SIDE)];
                lay_columns(tile, b, [row_stride, column_stride], [row, column], ends);
            });
        tiles
    }

    /// Tells the unit of this thread what its registers hold; [`release`] lets go of them.
    fn configure() {
        // SAFETY: the unit is there and may be used, and the configuration is a valid one.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack)) };
    }

    fn release() {
        // SAFETY: the unit is there and may be used.
        unsafe { asm!("tilerelease", options(nostack)) };
    }

    /// `sums` [32, 32] of two rows of tiles, `a`, and the tiles of a panel, `b`.
    fn block(sums: &mut [f32; BLOCK * BLOCK], a: &[bf16], b: &[bf16]) {
        let steps = a.len() / (2 * TILE);
        assert!(steps > 0 && a.len() == b.len() && a.len() == steps * 2 * TILE);
        let (upper, lower) = a.split_at(steps * TILE);
        // SAFETY: the registers are configured as tiles of 16 rows of 64 bytes. In each of `steps` steps the loop reads one tile of
        // `upper` and `lower` and two of `b`, and at the end writes 32 rows of 128 bytes.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{upper} + {row}*1]",
                "tileloadd tmm6, [{b} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {row}*1 + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{lower} + {row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, 1024",
                "add {lower}, 1024",
                "add {b}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{sums} + {sum_row}*1], tmm0",
                "tilestored [{sums} + {sum_row}*1 + 64], tmm1",
                "tilestored [{sums} + {sum_row}*1 + 2048], tmm2",
                "tilestored [{sums} + {sum_row}*1 + 2112], tmm3",
                upper = inout(reg) upper.as_ptr() => _,
                lower = inout(reg) lower.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                steps = inout(reg) steps => _,
                sums = in(reg) sums.as_mut_ptr(),
                row = in(reg) 64_usize,
                sum_row = in(reg) 128_usize,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    #[cfg(test)]
    #[allow(clippy::print_stdout, reason = "a test says that it was skipped")]
    mod tests {
        use super::*;

        fn numbers(count: usize, factor: f32) -> Vec<f32> {
            (0..count).map(|i| (i as f32 * factor).sin()).collect()
        }

        #[test]
        fn tiles_make_the_products_of_rounded_numbers() {
            if !*AVAILABLE {
                println!("skipped: this processor has no tile unit");
                return;
            }
            for [rows, k, n] in [
                [37, 45, 33],
                [1, 1, 1],
                [197, 192, 576],
                [300, 33, 70],
                [64, 64, 64],
            ] {
                let a = numbers(rows * k, 0.37);
                let b: Vec<bf16> = numbers(k * n, 0.73).into_iter().map(bf16::from_f32).collect();
                let bias = numbers(n, 1.3);
                for (strides, bias) in [([n, 1], Some(&*bias)), ([1, k], None)] {
                    let found = tiled(&a, [rows, k, n], (&b, strides), bias);
                    for (index, found) in found.into_iter().enumerate() {
                        let (row, column) = (index / n, index % n);
                        let products = (0..k).map(|i| {
                            let a = f64::from(bf16::from_f32(a[row * k + i]));
                            a * f64::from(b[i * strides[0] + column * strides[1]])
                        });
                        let expected = products.sum::<f64>() + bias.map_or(0.0, |bias| bias[column].into());
                        assert!((f64::from(found) - expected).abs() < 1e-4, "{found} {expected}");
                    }
                }
            }
        }

        #[test]
        fn rounding_is_that_of_half() {
            let edges = [
                0.0,
                -0.0,
                1.0,
                1.003_906_2,
                1.011_718_8,
                f32::MAX,
                f32::INFINITY,
                -3e-40,
            ];
            let mut found = [bf16::ZERO; 9];
            round(&mut found, &edges);
            round(&mut found[8..], &[f32::NAN]);
            assert_eq!(found[..8], edges.map(bf16::from_f32));
            assert!(found[8].is_nan());
        }
    }
}
