//! Files of results: lines `# key: value`, a line of column names, and rows, with tabs between the fields.

use std::collections::BTreeMap;
use std::path::Path;

/// What a measuring command wrote.
#[derive(Debug)]
pub(crate) struct Results {
    keys: BTreeMap<String, String>,
    rows: Vec<BTreeMap<String, String>>,
}

impl Results {
    /// Reads `benches/results/NAME.tsv`; `None` where it was never measured.
    pub(crate) fn of(root: &Path, name: &str) -> Result<Option<Self>, String> {
        let path = root.join("benches/results").join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map(Some).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().peekable();
        let mut keys = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('#')) {
            let (key, value) = line[1..].split_once(':').ok_or_else(|| format!("no key: {line:?}"))?;
            keys.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let columns: Vec<&str> = lines.next().ok_or("no line of column names")?.split('\t').collect();
        let row = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            if fields.len() != columns.len() {
                return Err(format!("{} fields in place of {}: {line:?}", fields.len(), columns.len()));
            }
            Ok(columns
                .iter()
                .zip(fields)
                .map(|(name, field)| ((*name).to_owned(), field.to_owned()))
                .collect())
        };
        Ok(Self { keys, rows: lines.filter(|line| !line.is_empty()).map(row).collect::<Result<_, _>>()? })
    }

    /// A line `# key: value`.
    pub(crate) fn key(&self, name: &str) -> Result<&str, String> {
        self.keys.get(name).map(String::as_str).ok_or_else(|| format!("no line '# {name}: …'"))
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(Row)
    }
}

/// A row, by the names of its columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a>(&'a BTreeMap<String, String>);

impl<'a> Row<'a> {
    pub(crate) fn text(self, column: &str) -> Result<&'a str, String> {
        self.0.get(column).map(String::as_str).ok_or_else(|| format!("no column {column}"))
    }

    /// A number, or `None` where the field is empty.
    pub(crate) fn number(self, column: &str) -> Result<Option<f64>, String> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        let number: f64 = text.parse().map_err(|_| format!("{column}: {text:?} is no number"))?;
        Some(number).filter(|number| number.is_finite()).map(Some).ok_or_else(|| format!("{column}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_rows_and_empty_fields_are_read() {
        let results = Results::parse("# cap: 75\n# command: a: b\nclient\tseconds\nx\t0.5\ny\t\n").unwrap();
        assert_eq!([results.key("cap"), results.key("command")], [Ok("75"), Ok("a: b")]);
        let read = |row: Row<'_>| (row.text("client").unwrap().to_owned(), row.number("seconds").unwrap());
        let rows: Vec<_> = results.rows().map(read).collect();
        assert_eq!(rows, [("x".to_owned(), Some(0.5)), ("y".to_owned(), None)]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in ["", "# no key\na\n", "a\tb\n1\n", "# only: a key"] {
            assert!(Results::parse(text).is_err(), "{text:?}");
        }
        let results = Results::parse("a\nmany\n").unwrap();
        let row = results.rows().next().unwrap();
        assert!(row.number("a").is_err() && row.number("b").is_err() && results.key("cap").is_err());
    }
}
