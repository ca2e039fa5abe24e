//! Groups of bars, one for each client, with one or more figures of each client side by side.

use svg::Document;

use crate::canvas::{Anchor, Scale, THEMES, Theme, WIDTH, line, picture, rectangle, text};

const NAMES: f64 = 158.0;
const MARGIN: f64 = 14.0;
const HEADING: f64 = 58.0;
const GROUP: f64 = 30.0;
const ROW: f64 = 22.0;
const BAR: f64 = 15.0;
const SIZE: u8 = 16;

/// A chart of bars.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) groups: Vec<Group>,
}

/// A figure that each client has.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) scale: Scale,
    /// Where its bars begin, and the length of the longest.
    pub(crate) left: f64,
    pub(crate) width: f64,
    /// How a tick of its axis is written.
    pub(crate) tick: fn(f64) -> String,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) client: String,
    /// One for each column.
    pub(crate) cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// `None` is a bar to the edge.
    pub(crate) value: Option<f64>,
    pub(crate) label: String,
}

/// The bars of this crate stand out.
pub(crate) const OURS: &str = "tracker-failover";

impl Bars {
    /// The chart for each theme, with its name.
    pub(crate) fn draw(&self) -> Vec<(&'static str, Document)> {
        THEMES.map(|theme| (theme.name, self.in_theme(theme))).into()
    }

    fn in_theme(&self, theme: Theme) -> Document {
        let height = HEADING + self.groups.iter().map(Group::height).sum::<f64>() + MARGIN;
        let mut chart = picture(theme, height, &self.title, &self.description);
        for column in &self.columns {
            let heading = text(column.left, 22.0, Anchor::Start, SIZE, theme.text, column.heading);
            chart = chart.add(heading.set("font-weight", 600));
            for tick in column.scale.ticks() {
                let x = column.left + column.width * column.scale.part(tick);
                chart = chart
                    .add(text(x, 46.0, Anchor::Middle, 13, theme.faint, &(column.tick)(tick)))
                    .add(line((x, HEADING - 6.0), (x, height - MARGIN), theme.grid));
            }
        }
        let mut top = HEADING;
        for group in &self.groups {
            let name = text(MARGIN, top + 20.0, Anchor::Start, SIZE, theme.text, &group.name);
            // The grid must not cross the name of a group.
            chart = chart.add(rectangle(MARGIN, top + 4.0, WIDTH - 2.0 * MARGIN, 22.0, theme.page));
            chart = chart.add(name.set("font-weight", 600));
            let mut y = top + GROUP;
            for row in &group.rows {
                chart = self.row(chart, theme, row, y);
                y += ROW;
            }
            top += group.height();
        }
        chart
    }

    fn row(&self, mut chart: Document, theme: Theme, row: &Row, y: f64) -> Document {
        let is_ours = row.client == OURS;
        let (fill, weight) = if is_ours { (theme.ours, 600) } else { (theme.others, 400) };
        let baseline = y + BAR - 2.0;
        let colour = if is_ours { theme.text } else { theme.faint };
        let name = text(NAMES - 8.0, baseline, Anchor::End, SIZE, colour, &row.client);
        chart = chart.add(name.set("font-weight", weight));
        for (column, cell) in self.columns.iter().zip(&row.cells) {
            let length = cell.value.map_or(1.0, |value| column.scale.part(value)) * column.width;
            if length > 0.0 {
                chart = chart.add(rectangle(column.left, y, length, BAR, fill).set("rx", 2));
            }
            let end = column.left + length;
            let label = match cell.value {
                Some(_) => text(end + 6.0, baseline, Anchor::Start, SIZE, theme.text, &cell.label),
                None => text(end - 6.0, baseline, Anchor::End, SIZE, theme.text, &cell.label),
            };
            chart = chart.add(label.set("font-weight", weight));
        }
        chart
    }
}

impl Group {
    fn height(&self) -> f64 {
        GROUP + self.rows.iter().map(|_| ROW).sum::<f64>() + 6.0
    }
}
