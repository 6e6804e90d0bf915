//! Curves as a small SVG: a panel for each, one below the other.

use std::fmt::Write as _;

use crate::figures::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 110.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 24.0;

/// A curve: its title with the unit, and its points in order of `x`.
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// The curves, all of them from zero up, over what `x` is. `by_magnitude` draws each power of ten
/// of `x` as wide as the next.
pub fn svg(curves: &[Curve], x: &str, by_magnitude: bool) -> String {
    let tall = (HEIGHT + TOP) * curves.len() as f64 + TOP;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {tall}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + LEFT + 20.0
    );
    for (index, curve) in curves.iter().enumerate() {
        panel(
            &mut text,
            curve,
            TOP + index as f64 * (HEIGHT + TOP),
            by_magnitude,
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{}\">{}</text>\n</svg>",
        tall - 6.0,
        escaped(x)
    );
    text
}

fn panel(text: &mut String, curve: &Curve, top: f64, by_magnitude: bool) {
    let along = |x: f64| if by_magnitude { x.max(1.0).log10() } else { x };
    let points: Vec<(f64, f64)> = curve
        .points
        .iter()
        .map(|point| (along(point.0), point.1))
        .collect();
    let least = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points
        .iter()
        .map(|point| point.0)
        .fold(f64::NEG_INFINITY, f64::max);
    let highest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let place = |point: &(f64, f64)| {
        let x = if most > least {
            (point.0 - least) / (most - least)
        } else {
            0.0
        };
        let y = if highest > 0.0 { point.1 / highest } else { 0.0 };
        format!("{:.1},{:.1}", LEFT + x * WIDTH, top + HEIGHT * (1.0 - y))
    };
    let line: Vec<String> = points.iter().map(place).collect();
    let bottom = top + HEIGHT;
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{}\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n<text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\n\
         <path d=\"M{LEFT},{top}V{bottom}H{}\" fill=\"none\" stroke=\"#999\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#1f5fbf\" stroke-width=\"1.5\"/>",
        top - 6.0,
        escaped(&curve.title),
        LEFT - 6.0,
        top + 8.0,
        number(highest),
        LEFT - 6.0,
        LEFT + WIDTH,
        line.join(" ")
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_point_is_at_the_top_and_powers_of_ten_are_equally_wide() {
        let curve = |points| Curve {
            title: "p99 < 5".into(),
            points,
        };
        let drawn = svg(
            &[curve(vec![(1.0, 5.0), (10.0, 10.0), (100.0, 0.0)])],
            "stored",
            true,
        );
        assert!(drawn.contains("90.0,79.0 450.0,24.0 810.0,134.0"), "{drawn}");
        assert!(drawn.contains("p99 &lt; 5"), "{drawn}");
        // Neither nothing nor a single point divides by zero.
        assert!(!svg(&[curve(vec![]), curve(vec![(7.0, 0.0)])], "x", false).contains("NaN"));
    }
}
