//! Whether a series of measurements stays where it is.

/// The slope of the line that fits the points best (least squares), in units of `y` for one of `x`;
/// zero when there is no such line.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    if count < 2.0 {
        return 0.0;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let across: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if along > 0.0 { across / along } else { 0.0 }
}

/// By what share of its mean a series grows over its second half: 0.05 is five per cent, and a
/// negative one shrinks. The first half is left out: caches fill in it.
pub fn growth(points: &[(f64, f64)]) -> f64 {
    let half = &points[points.len() / 2..];
    let (Some(first), Some(last)) = (half.first(), half.last()) else {
        return 0.0;
    };
    let mean = half.iter().map(|point| point.1).sum::<f64>() / half.len() as f64;
    if mean == 0.0 {
        0.0
    } else {
        slope(half) * (last.0 - first.0) / mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_slope_is_that_of_the_line_that_fits_best() {
        assert!(close(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0));
        assert!(close(slope(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]), 0.0));
        assert!(close(slope(&[(3.0, 7.0)]), 0.0));
        assert!(close(slope(&[(3.0, 7.0), (3.0, 9.0)]), 0.0));
    }

    #[test]
    fn growth_is_told_of_the_second_half_alone() {
        let warming: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), f64::from(x.min(10)))).collect();
        assert!(close(growth(&warming), 0.0));
        let leaking: Vec<(f64, f64)> = (0..21)
            .map(|x| (f64::from(x), 90.0 + f64::from(x) - 5.0))
            .collect();
        assert!(close(growth(&leaking), 0.1), "10 more at a mean of 100");
        assert!(close(growth(&[]), 0.0));
    }
}
