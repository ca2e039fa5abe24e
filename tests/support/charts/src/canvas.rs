//! What all charts are drawn with: two themes, a scale, and the few shapes.

use svg::Document;
use svg::node::element::{Element, Line, Rectangle, Text};

/// The width of every chart, in pixels: at a phone's 400 pixels its text is still 10 high.
pub(crate) const WIDTH: f64 = 640.0;

const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif";

/// Colours for a light or a dark page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    pub(crate) name: &'static str,
    pub(crate) page: &'static str,
    pub(crate) text: &'static str,
    pub(crate) faint: &'static str,
    pub(crate) grid: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) others: &'static str,
}

pub(crate) const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        page: "#ffffff",
        text: "#1f2328",
        faint: "#59636e",
        grid: "#d8dee4",
        ours: "#0969da",
        others: "#b4bcc5",
    },
    Theme {
        name: "dark",
        page: "#0d1117",
        text: "#f0f6fc",
        faint: "#9198a1",
        grid: "#2b3138",
        ours: "#388bfd",
        others: "#59626c",
    },
];

/// An empty picture with what a screen reader says of it.
pub(crate) fn picture(theme: Theme, height: f64, title: &str, description: &str) -> Document {
    let named = |element: &str, id: &str, text: &str| {
        let mut element = Element::new(element);
        element.get_attributes_mut().insert("id".to_owned(), id.into());
        element.get_children_mut().push(Box::new(svg::node::Text::new(text)));
        element
    };
    Document::new()
        .set("viewBox", format!("0 0 {WIDTH} {height}"))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .set("aria-labelledby", "title description")
        .set("font-family", FONTS)
        .add(named("title", "title", title))
        .add(named("desc", "description", description))
        .add(rectangle(0.0, 0.0, WIDTH, height, theme.page).set("rx", 6))
}

pub(crate) fn rectangle(x: f64, y: f64, width: f64, height: f64, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", tenths(x))
        .set("y", tenths(y))
        .set("width", tenths(width))
        .set("height", tenths(height))
        .set("fill", fill)
}

/// Where a text begins, ends, or has its middle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

pub(crate) fn text(x: f64, y: f64, anchor: Anchor, size: u8, fill: &str, content: &str) -> Text {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let text = Text::new(content).set("x", tenths(x)).set("y", tenths(y)).set("font-size", size);
    text.set("text-anchor", anchor).set("fill", fill)
}

pub(crate) fn line(from: (f64, f64), to: (f64, f64), stroke: &str) -> Line {
    Line::new()
        .set("x1", tenths(from.0))
        .set("y1", tenths(from.1))
        .set("x2", tenths(to.0))
        .set("y2", tenths(to.1))
        .set("stroke", stroke)
}

/// Rounded, so that a picture is the same on every machine.
pub(crate) fn tenths(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

/// How values become lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale {
    /// Whole powers of ten, from one to the other.
    Log { from: i32, to: i32 },
    /// From 0.
    Linear { to: f64 },
}

impl Scale {
    /// The smallest scale of whole powers of ten that holds all values.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut from, mut to) = (i32::MAX, i32::MIN);
        for value in values {
            let exponent = (-20..20).rev().find(|exponent| 10f64.powi(*exponent) <= value * 1.000_001);
            let exponent = exponent.unwrap_or(-20);
            from = from.min(exponent);
            to = to.max(if 10f64.powi(exponent) >= value * 0.999_999 { exponent } else { exponent + 1 });
        }
        Self::Log { from, to: to.max(from.saturating_add(1)) }
    }

    /// Which part of the axis a value takes.
    pub(crate) fn part(self, value: f64) -> f64 {
        let part = match self {
            Self::Log { from, to } => (value.log10() - f64::from(from)) / f64::from(to - from),
            Self::Linear { to } => value / to,
        };
        part.clamp(0.0, 1.0)
    }

    /// The powers of ten of a logarithmic axis.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Log { from, to } => (from..=to).map(|exponent| 10f64.powi(exponent)).collect(),
            Self::Linear { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_scale_holds_its_values() {
        assert!(matches!(Scale::log([0.005, 60.0]), Scale::Log { from: -3, to: 2 }));
        assert!(matches!(Scale::log([0.1, 10.0]), Scale::Log { from: -1, to: 1 }));
        assert!(matches!(Scale::log([1000.0]), Scale::Log { from: 3, to: 4 }));
        let scale = Scale::Log { from: -3, to: 2 };
        let parts = [0.0001, 0.001, 1.0, 100.0, 1e9].map(|value| format!("{:.2}", scale.part(value)));
        assert_eq!(parts, ["0.00", "0.00", "0.60", "1.00", "1.00"]);
        assert_eq!(scale.ticks().len(), 6);
    }
}
