//! Bars and lines on logarithmic scales, as SVG.

use std::fmt::Write;

use super::format::short;

const WIDTH: f64 = 760.0;
const FONT: &str = "font-family='system-ui,sans-serif' font-size='12'";
/// Distinct for those who do not see colours as well: blue, orange, green, pink, and greys.
const LINES: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#555555"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Peer,
    Floor,
}

pub struct Bar {
    pub label: String,
    pub value: f64,
    pub text: String,
    pub kind: Kind,
}

/// One bar below the other; `unit` writes a value of the scale.
pub fn bars(title: &str, bars: &[Bar], unit: fn(f64) -> String) -> String {
    const LEFT: f64 = 290.0;
    const TOP: f64 = 44.0;
    const STEP: f64 = 22.0;
    let scale = Scale::over(bars.iter().map(|bar| bar.value), LEFT, WIDTH - 90.0);
    let bottom = TOP + STEP * bars.len() as f64;
    let mut svg = begin(title, bottom + 30.0);
    for tick in scale.ticks() {
        let x = scale.at(tick);
        _ = writeln!(svg, "<line x1='{x:.1}' x2='{x:.1}' y1='{TOP}' y2='{bottom}' stroke='#ddd'/>");
        text(&mut svg, x, bottom + 16.0, "middle", &unit(tick));
    }
    for (position, bar) in bars.iter().enumerate() {
        let y = TOP + STEP * position as f64;
        let colour = match bar.kind {
            Kind::Ours => LINES[0],
            Kind::Peer => "#b8b8b8",
            Kind::Floor => "#e0d8b0",
        };
        let end = scale.at(bar.value);
        text(&mut svg, LEFT - 8.0, y + 15.0, "end", &bar.label);
        _ = writeln!(
            svg,
            "<rect x='{LEFT}' y='{:.1}' width='{:.1}' height='{}' fill='{colour}'/>",
            y + 3.0,
            (end - LEFT).max(1.0),
            STEP - 6.0
        );
        text(&mut svg, end + 6.0, y + 15.0, "start", &bar.text);
    }
    svg + "</svg>\n"
}

/// A line for each name through its points.
pub fn lines(
    title: &str,
    x_title: &str,
    y_title: &str,
    series: &[(String, Vec<(f64, f64)>)],
) -> String {
    const LEFT: f64 = 80.0;
    const TOP: f64 = 56.0;
    const RIGHT: f64 = 540.0;
    const BOTTOM: f64 = 330.0;
    let points = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let x = Scale::over(points().map(|point| point.0), LEFT, RIGHT);
    let y = Scale::over(points().map(|point| point.1), BOTTOM, TOP);
    let mut svg = begin(title, BOTTOM + 50.0);
    for tick in x.ticks() {
        let at = x.at(tick);
        _ = writeln!(
            svg,
            "<line x1='{at:.1}' x2='{at:.1}' y1='{TOP}' y2='{BOTTOM}' stroke='#ddd'/>"
        );
        text(&mut svg, at, BOTTOM + 16.0, "middle", &short_tick(tick));
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        _ = writeln!(
            svg,
            "<line x1='{LEFT}' x2='{RIGHT}' y1='{at:.1}' y2='{at:.1}' stroke='#ddd'/>"
        );
        text(&mut svg, LEFT - 8.0, at + 4.0, "end", &short_tick(tick));
    }
    text(&mut svg, f64::midpoint(LEFT, RIGHT), BOTTOM + 36.0, "middle", x_title);
    text(&mut svg, 12.0, TOP - 12.0, "start", y_title);
    for (position, (name, points)) in series.iter().enumerate() {
        let colour = LINES[position % LINES.len()];
        let path: Vec<_> = points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x.at(point.0), y.at(point.1)))
            .collect();
        _ = writeln!(
            svg,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
            path.join(" ")
        );
        for point in points {
            _ = writeln!(
                svg,
                "<circle cx='{:.1}' cy='{:.1}' r='3' fill='{colour}'/>",
                x.at(point.0),
                y.at(point.1)
            );
        }
        let at = TOP + 8.0 + 20.0 * position as f64;
        _ = writeln!(
            svg,
            "<rect x='{}' y='{:.1}' width='12' height='12' fill='{colour}'/>",
            RIGHT + 14.0,
            at - 10.0
        );
        text(&mut svg, RIGHT + 32.0, at, "start", name);
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64) -> String {
    // White of its own, for pages that are dark.
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {FONT}>\n\
         <rect width='{WIDTH}' height='{height}' fill='#fff'/>\n"
    );
    _ = writeln!(
        svg,
        "<text x='12' y='24' font-size='14' font-weight='bold'>{}</text>",
        escaped(title)
    );
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    _ = writeln!(
        svg,
        "<text x='{x:.1}' y='{y:.1}' text-anchor='{anchor}' fill='#222'>{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn short_tick(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", short(value / 1e6).trim_end_matches(".0")),
        1e3.. => format!("{}k", short(value / 1e3).trim_end_matches(".0")),
        _ => format!("{value}"),
    }
}

/// Whole powers of ten around the values.
struct Scale {
    first: i32,
    last: i32,
    from: f64,
    to: f64,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min).max(1e-3);
        let most = values.fold(1e-3, f64::max);
        #[expect(clippy::cast_possible_truncation, reason = "a power of ten")]
        let power = |value: f64| value as i32;
        let first = power(least.log10().floor());
        Self { first, last: power(most.log10().ceil()).max(first + 1), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let part =
            (value.max(1e-3).log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_its_values_between_powers_of_ten() {
        let scale = Scale::over([2.0, 30.0].into_iter(), 0.0, 100.0);
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0]);
        assert!((scale.at(10.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn text_is_escaped() {
        let bar = Bar { label: "a<b".into(), value: 1.0, text: "1 & 2".into(), kind: Kind::Ours };
        let svg = bars("t", &[bar], |value| value.to_string());
        assert!(svg.contains("a&lt;b") && svg.contains("1 &amp; 2"));
    }
}
