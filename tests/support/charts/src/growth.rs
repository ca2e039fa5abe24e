//! The chart of `benches/RESULTS.md`: what a decision and a torrent cost, from a thousand torrents to a million.

use svg::Document;
use svg::node::element::{Circle, Polyline};

use crate::canvas::{Anchor, Scale, THEMES, Theme, line, picture, tenths, text};
use crate::results::Results;

const HEIGHT: f64 = 300.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 250.0;
const WIDTH: f64 = 230.0;
const LEFTS: [f64; 2] = [62.0, 386.0];

/// A figure over the number of torrents, with both axes logarithmic.
#[derive(Debug)]
struct Panel {
    heading: &'static str,
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

/// Two panels side by side.
#[derive(Debug)]
pub(crate) struct Growth {
    panels: [Panel; 2],
}

impl Growth {
    /// Of `growth.tsv`.
    pub(crate) fn of(results: &Results) -> Result<Self, String> {
        let points = |column: &str| {
            let mut points = Vec::new();
            for row in results.rows() {
                let torrents = row.number("torrents")?.ok_or("a row without torrents")?;
                points.extend(row.number(column)?.map(|value| (torrents, value)));
            }
            if points.is_empty() || points.iter().any(|(torrents, value)| *torrents <= 0.0 || *value <= 0.0) {
                return Err(format!("{column} has no points for a logarithmic axis"));
            }
            Ok::<_, String>(points)
        };
        let call = Panel { heading: "A call of the engine", unit: "µs", points: points("us_per_call")? };
        let memory =
            Panel { heading: "Memory of a torrent", unit: "B", points: points("bytes_per_torrent")? };
        Ok(Self { panels: [call, memory] })
    }

    /// The chart for each theme, with its name.
    pub(crate) fn draw(&self) -> Vec<(&'static str, Document)> {
        THEMES.map(|theme| (theme.name, self.in_theme(theme))).into()
    }

    fn in_theme(&self, theme: Theme) -> Document {
        let words = self.panels.iter().map(Panel::in_words).collect::<Vec<_>>().join(" ");
        let title = "Cost of a call and memory of a torrent, by the number of torrents";
        let mut chart = picture(theme, HEIGHT, title, &words);
        for (panel, left) in self.panels.iter().zip(LEFTS) {
            chart = panel.draw(chart, theme, left);
        }
        chart
    }
}

impl Panel {
    fn in_words(&self) -> String {
        let point = |(torrents, value): &(f64, f64)| format!("{value} {} with {torrents}", self.unit);
        format!(
            "{}: {} torrents.",
            self.heading,
            self.points.iter().map(point).collect::<Vec<_>>().join(", ")
        )
    }

    fn draw(&self, mut chart: Document, theme: Theme, left: f64) -> Document {
        let across = Scale::log(self.points.iter().map(|point| point.0));
        let up = Scale::log(self.points.iter().map(|point| point.1));
        let x = |torrents| left + WIDTH * across.part(torrents);
        let y = |value| BOTTOM - (BOTTOM - TOP) * up.part(value);
        let heading = text(left - 48.0, 24.0, Anchor::Start, 16, theme.text, self.heading);
        chart = chart.add(heading.set("font-weight", 600));
        for tick in up.ticks() {
            let label = if tick >= 1e3 {
                format!("{} k{}", tick / 1e3, self.unit)
            } else {
                format!("{tick} {}", self.unit)
            };
            chart = chart.add(line((left, y(tick)), (left + WIDTH, y(tick)), theme.grid)).add(text(
                left - 6.0,
                y(tick) + 5.0,
                Anchor::End,
                13,
                theme.faint,
                &label,
            ));
        }
        for tick in across.ticks() {
            chart = chart.add(line((x(tick), TOP), (x(tick), BOTTOM), theme.grid)).add(text(
                x(tick),
                BOTTOM + 20.0,
                Anchor::Middle,
                13,
                theme.faint,
                &thousands(tick),
            ));
        }
        let middle = left + WIDTH / 2.0;
        chart = chart.add(text(middle, BOTTOM + 40.0, Anchor::Middle, 14, theme.faint, "torrents"));
        let path: Vec<String> = self
            .points
            .iter()
            .map(|(torrents, value)| format!("{},{}", tenths(x(*torrents)), tenths(y(*value))))
            .collect();
        let path = Polyline::new().set("points", path.join(" ")).set("fill", "none");
        chart = chart.add(path.set("stroke", theme.ours).set("stroke-width", 2.5));
        for (torrents, value) in &self.points {
            let (x, y) = (x(*torrents), y(*value));
            // The ends stay within the panel.
            let (anchor, shift) = match x - left {
                ..20.0 => (Anchor::Start, 4.0),
                210.0.. => (Anchor::End, 4.0),
                _ => (Anchor::Middle, 0.0),
            };
            let dot = Circle::new().set("cx", tenths(x)).set("cy", tenths(y)).set("r", 4);
            chart = chart.add(dot.set("fill", theme.ours)).add(text(
                x + shift,
                y - 10.0,
                anchor,
                15,
                theme.text,
                &format!("{value}"),
            ));
        }
        chart
    }
}

/// 1000 is `1k`.
fn thousands(number: f64) -> String {
    match number {
        ..1e3 => format!("{number}"),
        ..1e6 => format!("{}k", number / 1e3),
        _ => format!("{}M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_a_point_of_both_panels() {
        let table = "torrents\tus_per_call\tbytes_per_torrent\n1000\t0.5\t1000\n1000000\t1.2\t2000\n";
        let growth = Growth::of(&Results::parse(table).unwrap()).unwrap();
        let drawn = growth.draw()[1].1.to_string();
        assert_eq!(drawn.matches("<circle").count(), 4, "{drawn}");
        assert!(drawn.contains("0.5 µs with 1000, 1.2 µs with 1000000 torrents."), "{drawn}");
        assert_eq!([10.0, 1e3, 1e5, 1e6].map(thousands), ["10", "1k", "100k", "1M"]);
    }

    #[test]
    fn what_no_logarithm_has_is_refused() {
        for rows in ["", "1000\t\t2000\n", "1000\t0\t2000\n"] {
            let table = format!("torrents\tus_per_call\tbytes_per_torrent\n{rows}");
            assert!(Growth::of(&Results::parse(&table).unwrap()).is_err(), "{rows:?}");
        }
    }
}
