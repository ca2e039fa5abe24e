//! Draws the charts of the README and of `benches/RESULTS.md` from `benches/results/*.tsv`.
//!
//! ```text
//! cargo run -p charts      writes benches/charts/*.svg, and the README's text in place of its chart
//! ```
//!
//! The shapes are set by hand, on top of the crate `svg`: libraries of charts have neither bars in two columns with a text at
//! each, nor titles and descriptions for screen readers, and they measure text by fonts that a reader may not have.

mod bars;
mod canvas;
mod clients;
mod growth;
mod operators;
mod results;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::growth::Growth;
use crate::results::Results;

fn main() -> ExitCode {
    match files(root()).and_then(|files| write(&files)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(files: &BTreeMap<PathBuf, String>) -> Result<(), String> {
    for (path, text) in files {
        let there = std::fs::read_to_string(path).ok();
        if there.as_ref() != Some(text) {
            let folder = path.parent().ok_or("a file has a folder")?;
            let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
            written.map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// What this program makes, by path: the charts, and the README with what they say.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut files = BTreeMap::new();
    let mut add = |name: &str, charts: Vec<(&str, svg::Document)>| {
        for (theme, chart) in charts {
            files.insert(root.join(format!("benches/charts/{name}-{theme}.svg")), format!("{chart}\n"));
        }
    };
    let clients = Results::of(root, "clients.tsv")?.ok_or("there is no benches/results/clients.tsv")?;
    let clients = clients::chart(&clients).map_err(|error| format!("clients.tsv: {error}"))?;
    add("clients", clients.draw());
    let growth = Results::of(root, "growth.tsv")?.ok_or("there is no benches/results/growth.tsv")?;
    add("growth", Growth::of(&growth).map_err(|error| format!("growth.tsv: {error}"))?.draw());

    if let Some(operators) = Results::of(root, "operators.tsv")? {
        add(
            "operators",
            operators::chart(&operators).map_err(|error| format!("operators.tsv: {error}"))?.draw(),
        );
    }

    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    files.insert(path, with_alt(&readme, &clients.description)?);
    Ok(files)
}

/// The README with this text in place of its chart.
fn with_alt(readme: &str, text: &str) -> Result<String, String> {
    let start = "<img alt=\"";
    let (before, rest) = readme.split_once(start).ok_or("README.md shows no chart")?;
    let (_, after) = rest.split_once('"').ok_or("README.md: the text in place of the chart has no end")?;
    if text.contains(['"', '<', '&']) {
        return Err(format!("the text would have to be escaped: {text}"));
    }
    Ok(format!("{before}{start}{text}\"{after}"))
}

fn root() -> &'static Path {
    // `tests/support/charts` of the repository.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(3).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// So a chart shows what was measured last, and the README says what its chart shows.
    #[test]
    fn the_committed_charts_are_those_of_the_committed_results() {
        let files = files(root()).unwrap();
        for (path, text) in &files {
            let there = fs::read_to_string(path).unwrap_or_default();
            assert!(there == *text, "{} is another: cargo run -p charts", path.display());
        }
        let charts: Vec<PathBuf> =
            fs::read_dir(root().join("benches/charts")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let unknown: Vec<_> = charts.iter().filter(|chart| !files.contains_key(*chart)).collect();
        assert!(charts.len() >= 4 && unknown.is_empty(), "not drawn by this program: {unknown:?}");
    }

    #[test]
    fn the_text_in_place_of_the_chart_is_replaced() {
        let readme = "a\n<img alt=\"old\" src=\"x.svg\">\nb \"c\"";
        assert_eq!(with_alt(readme, "new").unwrap(), "a\n<img alt=\"new\" src=\"x.svg\">\nb \"c\"");
        assert!(with_alt("no chart", "new").is_err() && with_alt(readme, "a \"b\"").is_err());
    }
}
