//! `cargo xtask registry`: writes the tables of the chapter on registries from
//! `spec/registry.toml`, between markers, and leaves the words around them alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use toml::{Table, Value};

use crate::repo;

const REGISTRY: &str = "spec/registry.toml";
const CHAPTER: &str = "spec/11-registries.md";
const MARK: &str = "<!-- registry:";
const MARK_END: &str = "<!-- /registry -->";

/// Columns of a table of entries, in their order, as far as an entry has them.
/// Others follow in the order in which they first occur.
const COLUMNS: &[&str] = &["id", "name", "channel", "also", "ordered", "reliable", "text"];

/// Tables whose ids are shown in hexadecimal.
const HEXADECIMAL: &[&str] = &["frame", "error", "extension"];

/// Writes the tables into the chapter.
pub(crate) fn write() -> Result<(), String> {
    let (old, new) = old_and_new()?;
    if old == new {
        println!("{CHAPTER} is up to date");
        return Ok(());
    }
    fs::write(repo::root().join(CHAPTER), new).map_err(|error| format!("{CHAPTER}: {error}"))?;
    println!("{CHAPTER} written");
    Ok(())
}

/// Fails if the chapter is not what [`write()`] would make of it.
pub(crate) fn check() -> Result<(), String> {
    let (old, new) = old_and_new()?;
    let differs = old.lines().zip(new.lines()).position(|(old, new)| old != new);
    match differs {
        _ if old == new => Ok(()),
        Some(line) => {
            Err(format!("{CHAPTER}:{} is not up to date; run `cargo xtask registry`", line + 1))
        }
        None => Err(format!("{CHAPTER} is not up to date; run `cargo xtask registry`")),
    }
}

fn old_and_new() -> Result<(String, String), String> {
    let registry: Table =
        repo::read(REGISTRY)?.parse().map_err(|error| format!("{REGISTRY}: {error}"))?;
    let old = repo::read(CHAPTER)?;
    let new = render(&old, &registry)?;
    Ok((old, new))
}

/// The chapter with fresh tables. Tables of the registry that it has no marker
/// for are added at its end, so that none is left out.
fn render(chapter: &str, registry: &Table) -> Result<String, String> {
    let mut shown = BTreeSet::new();
    let mut out = String::new();
    let mut lines = chapter.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(marker) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        if !lines.by_ref().any(|line| line == MARK_END) {
            return Err(format!("the marker of {marker} is never closed by {MARK_END}"));
        }
        let (key, value) = find(registry, marker)?;
        if !shown.insert(key) {
            return Err(format!("{marker} has two markers"));
        }
        out.push_str(&table(key, value)?);
        out.push_str(MARK_END);
        out.push('\n');
    }
    for (key, value) in registry {
        if shown.contains(key.as_str()) || !is_table(value) {
            continue;
        }
        let _ = write!(out, "\n## {key}\n\n{MARK}{key} -->\n{}{MARK_END}\n", table(key, value)?);
    }
    Ok(out)
}

fn is_table(value: &Value) -> bool {
    value.is_array() || value.is_table()
}

/// A marker names a key of the registry, or its plural.
fn find<'a>(registry: &'a Table, marker: &str) -> Result<(&'a str, &'a Value), String> {
    let singular = marker.strip_suffix("es").filter(|_| marker.ends_with("hes"));
    let names = [Some(marker), marker.strip_suffix('s'), singular];
    names
        .into_iter()
        .flatten()
        .find_map(|name| registry.get_key_value(name))
        .map(|(key, value)| (key.as_str(), value))
        .ok_or_else(|| format!("the registry has no table {marker}"))
}

fn table(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Array(entries) => entries_table(key, entries),
        Value::Table(pairs) => Ok(pairs_table(key, pairs)),
        _ => Err(format!("{key} is not a table")),
    }
}

fn entries_table(key: &str, entries: &[Value]) -> Result<String, String> {
    let entries: Vec<&Table> = entries
        .iter()
        .map(|entry| entry.as_table().ok_or_else(|| format!("an entry of {key} is not a table")))
        .collect::<Result<_, _>>()?;
    let has = |column: &str| entries.iter().any(|entry| entry.contains_key(column));
    let mut columns: Vec<&str> = COLUMNS.iter().copied().filter(|column| has(column)).collect();
    for column in entries.iter().flat_map(|entry| entry.keys()) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let mut rows = Vec::new();
    for entry in entries {
        let cells = columns.iter().map(|column| match entry.get(*column) {
            Some(Value::Integer(id)) if *column == "id" && HEXADECIMAL.contains(&key) => {
                format!("0x{id:02x}")
            }
            Some(value) if *column == "name" => format!("`{}`", plain(value)),
            Some(value) => plain(value),
            None => String::new(),
        });
        rows.push(cells.collect());
    }
    Ok(markdown(&columns, &rows))
}

fn pairs_table(key: &str, pairs: &Table) -> String {
    let row = |(name, value): (&String, &Value)| {
        let unit = match key {
            "timers" => "ms",
            "limits" if name.ends_with("_COUNT") => "count",
            "limits" if name.ends_with("_RECORDS") => "records",
            "limits" => "bytes",
            _ => return vec![format!("`{name}`"), format!("`\"{}\"`", plain(value))],
        };
        vec![format!("`{name}`"), plain(value), unit.to_owned()]
    };
    let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
    let with_unit = matches!(key, "timers" | "limits");
    let columns: &[&str] = if with_unit { &["name", "value", "unit"] } else { &["name", "value"] };
    markdown(columns, &rows)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('|', "\\|"),
        Value::Boolean(true) => "yes".to_owned(),
        Value::Boolean(false) => "no".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn markdown(columns: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "version = 1\n[[frame]]\nid = 10\nname = \"END\"\n[limits]\nMAX = 7\n";
    const WITH_MARKER: &str = "# R\n\n<!-- registry:frames -->\nold\n<!-- /registry -->\n\n<!-- registry:limits -->\n<!-- /registry -->\nend\n";

    fn rendered(chapter: &str) -> Result<String, String> {
        render(chapter, &SMALL.parse().unwrap())
    }

    #[test]
    fn tables_replace_what_stood_between_their_markers() {
        let text = rendered(WITH_MARKER).unwrap();
        assert!(text.contains("| 0x0a | `END` |"), "{text}");
        assert!(text.contains("| `MAX` | 7 | bytes |"), "{text}");
        assert!(!text.contains("old") && text.ends_with("end\n"), "{text}");
        assert_eq!(rendered(&text).unwrap(), text);
    }

    #[test]
    fn a_table_without_a_marker_is_added() {
        let text = rendered("# R\n").unwrap();
        assert!(text.contains("## frame") && text.contains("## limits"), "{text}");
        assert!(!text.contains("version"), "{text}");
        assert_eq!(rendered(&text).unwrap(), text);
    }

    #[test]
    fn wrong_markers_are_refused() {
        assert!(rendered("<!-- registry:frames -->\n").is_err());
        assert!(rendered("<!-- registry:birds -->\n<!-- /registry -->\n").is_err());
        let twice = "<!-- registry:frames -->\n<!-- /registry -->\n".repeat(2);
        assert!(rendered(&twice).is_err());
    }
}
