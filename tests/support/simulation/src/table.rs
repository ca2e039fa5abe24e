//! What comes out of a scenario: figures of every client side by side, and the goals they stand for.

use std::fmt::Write;

use crate::clients::Client;

/// One figure, of every client that was played.
#[derive(Debug, Clone)]
pub struct Row {
    /// Names the row, here and in the list of what isn't reached yet: `3 4-of-8 p95`.
    pub id: String,
    /// What it is, with its unit.
    pub what: &'static str,
    /// Each client's. Infinite where it never came to that.
    pub figures: Vec<(Client, f64)>,
    /// What ours has to be.
    pub goal: Option<Goal>,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The goal it stands for, by its number, or the scenario's own target.
    pub name: &'static str,
    /// The largest figure that reaches it.
    pub at_most: f64,
}

impl Row {
    /// A row without a goal.
    pub fn new(id: impl Into<String>, what: &'static str, figures: Vec<(Client, f64)>) -> Self {
        Self { id: id.into(), what, figures, goal: None }
    }

    /// The same row with a goal.
    #[must_use]
    pub fn goal(mut self, name: &'static str, at_most: f64) -> Self {
        self.goal = Some(Goal { name, at_most });
        self
    }

    /// The figure of a client.
    pub fn of(&self, client: Client) -> Option<f64> {
        self.figures.iter().find(|(other, _)| *other == client).map(|(_, figure)| *figure)
    }

    /// Whether ours reaches the goal, in both ways if both were played; `None` where there is none.
    pub fn is_reached(&self) -> Option<bool> {
        let at_most = self.goal?.at_most;
        let as_needed = self.of(Client::AsNeeded).is_none_or(|figure| figure <= at_most);
        Some(self.of(Client::Ours)? <= at_most && as_needed)
    }
}

/// All rows as a table in markdown, with a column for each client of any row. Each figure is followed by ours as a share
/// of it.
pub fn markdown(rows: &[Row], expected_to_fail: &[(&str, &str)]) -> String {
    // By name: a client may have one model that plays alone and another one in swarms.
    let mut others: Vec<String> = Vec::new();
    for (client, _) in rows.iter().flat_map(|row| &row.figures) {
        if *client != Client::Ours && !others.contains(&client.to_string()) {
            others.push(client.to_string());
        }
    }
    let mut text = String::from("| row | figure | ours | goal |");
    for client in &others {
        let _ = write!(text, " {client} |");
    }
    text.push_str("\n|---|---|--:|---|");
    text.push_str(&"--:|".repeat(others.len()));
    text.push('\n');
    for row in rows {
        let ours = row.of(Client::Ours).unwrap_or(f64::NAN);
        let _ = write!(
            text,
            "| {} | {} | {} | {} |",
            row.id,
            row.what,
            figure(ours),
            goal(row, expected_to_fail)
        );
        for client in &others {
            match row.figures.iter().find(|(other, _)| other.to_string() == *client) {
                Some((_, theirs)) => {
                    let _ = write!(text, " {}{} |", figure(*theirs), share(ours, *theirs));
                }
                None => text.push_str(" |"),
            }
        }
        text.push('\n');
    }
    text
}

fn goal(row: &Row, expected_to_fail: &[(&str, &str)]) -> String {
    let Some(Goal { name, at_most }) = row.goal else { return String::new() };
    let until = expected_to_fail.iter().find(|(id, _)| *id == row.id).map(|(_, until)| *until);
    let verdict = match (row.is_reached(), until) {
        (Some(true), None) => "reached".to_owned(),
        (Some(true), Some(_)) => "**reached, and listed as not**".to_owned(),
        (_, Some(until)) => format!("not until {until}"),
        (_, None) => "**MISSED**".to_owned(),
    };
    format!("{name} ≤ {}: {verdict}", figure(at_most))
}

fn figure(figure: f64) -> String {
    if figure.is_infinite() {
        "never".to_owned()
    } else if figure >= 100.0 {
        format!("{figure:.0}")
    } else if figure >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.3}")
    }
}

fn share(ours: f64, theirs: f64) -> String {
    if theirs > 0.0 && theirs.is_finite() && ours > 0.0 && ours.is_finite() {
        let share = ours / theirs;
        if share < 0.1 { format!(" (×{share:.4})") } else { format!(" (×{share:.2})") }
    } else {
        String::new()
    }
}
