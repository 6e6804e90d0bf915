//! From samples to figures.

use std::fmt;

/// The middle of some measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; between the two middle ones when their number is even.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

/// `10,234 (9,900–10,400)`; of one measurement only itself.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number(self.median))?;
        if self.min < self.max {
            write!(f, " ({}–{})", number(self.min), number(self.max))?;
        }
        Ok(())
    }
}

/// The spread of `values`; all zero when there are none.
pub fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
        return Spread {
            min: 0.0,
            median: 0.0,
            max: 0.0,
        };
    };
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Spread {
        min: *min,
        median,
        max: *max,
    }
}

/// Samples of one kind, in order of size.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<u32>);

impl Samples {
    /// Takes them in any order.
    pub fn new(mut samples: Vec<u32>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least `percent` of all do not exceed (nearest rank); zero when
    /// there is none.
    pub fn percentile(&self, percent: f64) -> u32 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0
            .get(rank.clamp(1, self.0.len().max(1)) - 1)
            .copied()
            .unwrap_or(0)
    }

    /// The same in thousandths of the samples' unit: milliseconds of microseconds.
    pub fn thousandths(&self, percent: f64) -> f64 {
        f64::from(self.percentile(percent)) / 1000.0
    }
}

/// Memory in MiB.
pub fn mib(kib: u64) -> String {
    number(kib as f64 / 1024.0)
}

/// `1234567.8` as `1,234,568`; small numbers keep three significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size < 100.0 {
        let decimals = if size < 1.0 {
            3
        } else if size < 10.0 {
            2
        } else {
            1
        };
        return format!("{value:.decimals$}");
    }
    let digits = format!("{size:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_taken() {
        let samples = Samples::new((1..=100).rev().collect());
        for (percent, expected) in [
            (0.0, 1),
            (1.0, 1),
            (50.0, 50),
            (99.0, 99),
            (99.5, 100),
            (100.0, 100),
        ] {
            assert_eq!(samples.percentile(percent), expected, "p{percent}");
        }
        assert_eq!(Samples::new(vec![7]).percentile(99.0), 7);
        assert_eq!(Samples::default().percentile(50.0), 0);
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]),
            Spread {
                min: 1.0,
                median: 2.0,
                max: 3.0
            }
        );
        assert!((spread(&[4.0, 1.0, 2.0, 3.0]).median - 2.5).abs() < f64::EPSILON);
        assert!(spread(&[]).median.abs() < f64::EPSILON);
        assert_eq!(
            spread(&[10_234.0, 9_900.0, 10_400.0]).to_string(),
            "10,234 (9,900–10,400)"
        );
        assert_eq!(spread(&[7.0]).to_string(), "7.00");
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        for (value, text) in [
            (0.2213, "0.221"),
            (4.567, "4.57"),
            (45.67, "45.7"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-46_000.0, "-46,000"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
