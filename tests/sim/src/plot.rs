//! Plots as SVG.

use std::fmt::Write as _;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines over two linear axes that begin at zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Its heading.
    pub title: String,
    /// What goes from left to right.
    pub x: String,
    /// What goes upwards.
    pub y: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// The plane, and the room around it for axes and legend.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;

/// Eight colours that differ also for the colour-blind (Okabe and Ito), then the same dashed.
const COLOURS: [&str; 8] =
    ["#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

/// The smallest of 1, 2, 5 times a power of ten that divides `span` into at most six steps.
fn step(span: f64) -> f64 {
    let rough = (span / 6.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|step| *step >= rough).unwrap_or(power)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Chart {
    /// The cumulative share of `values` (sorted), as a line.
    pub fn cumulative(name: &str, values: &[f64]) -> Line {
        let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        let points = (1..).zip(values).map(|(rank, value)| (*value, f64::from(rank) / count)).collect();
        Line { name: name.to_owned(), points }
    }

    /// The chart as an SVG document.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max).max(1e-9);
        let (right, high) = (most(|point| point.0), most(|point| point.1));
        let px = |x: f64| LEFT + x / right * WIDTH;
        let py = |y: f64| TOP + HEIGHT - y / high * HEIGHT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
            LEFT + WIDTH + 180.0,
            TOP + HEIGHT + 60.0,
            escape(&self.title)
        );
        self.axes(&mut svg, right, high, &px, &py);
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let dash = if index < COLOURS.len() { "" } else { " stroke-dasharray=\"6 3\"" };
            let path: Vec<String> =
                line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", px(*x), py(*y))).collect();
            let (x, y) =
                (LEFT + WIDTH + 12.0, TOP + 10.0 + 18.0 * f64::from(u32::try_from(index).unwrap_or(0)));
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"{dash} points=\"{}\"/>\n\
                 <line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\n\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                path.join(" "),
                x + 22.0,
                x + 28.0,
                y + 4.0,
                escape(&line.name)
            );
        }
        svg + "</svg>\n"
    }

    fn axes(
        &self,
        svg: &mut String,
        right: f64,
        high: f64,
        px: &dyn Fn(f64) -> f64,
        py: &dyn Fn(f64) -> f64,
    ) {
        let ticks = |span: f64| {
            let step = step(span);
            (0..).map(move |tick| f64::from(tick) * step).take_while(move |at| *at <= span * 1.0001)
        };
        let (bottom, end) = (TOP + HEIGHT, LEFT + WIDTH);
        for x in ticks(right) {
            let at = px(x);
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{x}</text>",
                bottom + 18.0
            );
        }
        for y in ticks(high) {
            let at = py(y);
            let shown = (y * 1e6).round() / 1e6;
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{shown}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            LEFT + WIDTH / 2.0,
            bottom + 40.0,
            escape(&self.x),
            TOP + HEIGHT / 2.0,
            escape(&self.y)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_one_document_with_a_line_for_each() {
        let lines = vec![Chart::cumulative("a < b", &[1.0, 2.0]), Chart::cumulative("c", &[3.0])];
        let svg = Chart { title: "t".into(), x: "s".into(), y: "share".into(), lines }.svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.trim_end().ends_with("</svg>"));
        assert!([0.2, 0.5, 1.0].contains(&step(1.0)));
    }
}
