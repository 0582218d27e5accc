//! The spec's tables of states as graphs for Graphviz, `spec/states/*.dot`: written
//! by `cargo xtask spec`, compared by `--check`. What is not said here is how a
//! program may follow the tables; the tables are the source.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use crate::repo;

const FOLDER: &str = "spec/states";

/// A table of states in a chapter.
struct Machine {
    /// Name of its file.
    name: &'static str,
    chapter: &'static str,
    /// First cell of the table's header.
    first: &'static str,
    /// Where a cell that says `fail` leads.
    fail: &'static str,
}

const MACHINES: [Machine; 5] = [
    Machine { name: "handshake", chapter: "spec/04-handshake.md", first: "state", fail: "failed" },
    Machine {
        name: "key-update",
        chapter: "spec/05-records.md",
        first: "state of an update",
        fail: "failed",
    },
    Machine { name: "transfer", chapter: "spec/07-transfer.md", first: "state", fail: "failed" },
    Machine { name: "signaling", chapter: "spec/08-signaling.md", first: "state", fail: "burnt" },
    Machine {
        name: "rendezvous",
        chapter: "spec/09-rendezvous.md",
        first: "state",
        fail: "failed",
    },
];

/// An arrow of a graph; the label is what happens.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    from: String,
    to: String,
    label: String,
}

/// Writes the graphs, and pictures of them into the target folder if Graphviz is
/// there.
pub(crate) fn write() -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{FOLDER}: {error}");
    let folder = repo::root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(fail)?;
    for machine in &MACHINES {
        let path = folder.join(format!("{}.dot", machine.name));
        fs::write(&path, graph(machine)?).map_err(fail)?;
        let pictures = repo::target().join("spec").join("states");
        fs::create_dir_all(&pictures).map_err(fail)?;
        let picture = pictures.join(format!("{}.svg", machine.name));
        let mut dot = Command::new("dot");
        dot.arg("-Tsvg").arg("-o").arg(&picture).arg(&path).stdin(Stdio::null());
        if dot.status().is_ok_and(|status| status.success()) {
            println!("{} written", picture.display());
        }
    }
    println!("{FOLDER} written");
    Ok(())
}

/// Fails if a graph is not what [`write()`] would make of its table.
pub(crate) fn check() -> Result<(), String> {
    for machine in &MACHINES {
        let path = format!("{FOLDER}/{}.dot", machine.name);
        if repo::read(&path).unwrap_or_default() != graph(machine)? {
            return Err(format!("{path} is not what the table says; run `cargo xtask spec`"));
        }
    }
    Ok(())
}

fn graph(machine: &Machine) -> Result<String, String> {
    let rows = table(&repo::read(machine.chapter)?, machine.first);
    let (states, edges) =
        edges(&rows, machine.fail).map_err(|error| format!("{}: {error}", machine.chapter))?;
    Ok(render(machine, &states, edges))
}

/// Rows of the first table whose header begins with this cell, the header first.
fn table(chapter: &str, first: &str) -> Vec<Vec<String>> {
    let begin = format!("| {first} |");
    chapter
        .lines()
        .skip_while(|line| !line.starts_with(&begin))
        .take_while(|line| line.starts_with('|'))
        .filter(|line| !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The states of a table and the arrows between them.
fn edges(rows: &[Vec<String>], fail: &str) -> Result<(Vec<String>, Vec<Edge>), String> {
    let Some((header, rows)) = rows.split_first().filter(|(_, rows)| !rows.is_empty()) else {
        return Err("there is no table of states".to_owned());
    };
    let states: Vec<String> = rows.iter().filter_map(|row| row.first().cloned()).collect();
    let mut edges = Vec::new();
    for row in rows {
        if row.len() != header.len() {
            return Err(format!("a row has not as many cells as the header: {row:?}"));
        }
        for (event, cell) in header.iter().zip(row).skip(1) {
            edges.extend(of_cell(&states, &row[0], event, cell, fail)?);
        }
    }
    Ok((states, edges))
}

/// The arrows of one cell: a state, two by role, nothing, or words that end with
/// the next state.
fn of_cell(
    states: &[String],
    from: &str,
    event: &str,
    cell: &str,
    fail: &str,
) -> Result<Vec<Edge>, String> {
    let edge = |to: &str, label: String| Edge { from: from.to_owned(), to: to.to_owned(), label };
    let is_state = |text: &str| states.iter().any(|state| state == text);
    if matches!(cell, "-" | "–") || cell.starts_with('`') {
        return Ok(Vec::new());
    }
    if let Some((initiator, responder)) = cell.split_once(" / ") {
        if !is_state(initiator) || !is_state(responder) {
            return Err(format!("{from}, {event}: no states are called {cell:?}"));
        }
        return Ok(vec![
            edge(initiator, format!("{event} (initiator)")),
            edge(responder, format!("{event} (responder)")),
        ]);
    }
    if is_state(cell) {
        // A cell that names its own state changes nothing.
        return Ok((cell != from).then(|| edge(cell, event.to_owned())).into_iter().collect());
    }
    cell.split(". ")
        .map(|part| {
            let (to, action) = outcome(states, from, part, fail)?;
            let label =
                if action.is_empty() { event.to_owned() } else { format!("{event}: {action}") };
            Ok(edge(&to, label))
        })
        .collect()
}

/// Where words in a cell lead, and what is done on the way.
fn outcome(
    states: &[String],
    from: &str,
    words: &str,
    fail: &str,
) -> Result<(String, String), String> {
    let (action, last) = words.rsplit_once("; ").unwrap_or(("", words));
    let (condition, last) = match last.rsplit_once(": ") {
        Some((condition, last)) if action.is_empty() => (condition, last),
        _ => (action, last),
    };
    let next = last.trim_matches('*').trim_start_matches("then ");
    match next {
        "fail" => {
            let then = if last.starts_with("then ") { "; then" } else { "" };
            return Ok((fail.to_owned(), format!("{condition}{then}")));
        }
        "end" => return Ok(("ended".to_owned(), condition.to_owned())),
        _ => {}
    }
    let names_state = last.starts_with('*') || !action.is_empty();
    if !names_state {
        return Ok((from.to_owned(), last.to_owned()));
    }
    // A state is named by what stands behind the side in its row.
    let side = |state: &str| state.split([':', ',']).next().unwrap_or_default().to_owned();
    let of_side = |state: &&String| {
        let rest = state.split_once([':', ',']).map_or("", |(_, rest)| rest.trim());
        side(state) == side(from) && rest.starts_with(next)
    };
    match states.iter().find(of_side) {
        Some(state) => Ok((state.clone(), action.to_owned())),
        None if next == "done" => Ok((format!("{}: done", side(from)), action.to_owned())),
        None => Err(format!("{from}: no state is called {next:?}")),
    }
}

fn render(machine: &Machine, states: &[String], edges: Vec<Edge>) -> String {
    let mut nodes = states.to_vec();
    let mut merged: Vec<Edge> = Vec::new();
    for edge in edges {
        if !nodes.contains(&edge.to) {
            nodes.push(edge.to.clone());
        }
        match merged.iter_mut().find(|old| old.from == edge.from && old.to == edge.to) {
            Some(old) => {
                let _ = write!(old.label, "\\n{}", edge.label);
            }
            None => merged.push(edge),
        }
    }
    let name = machine.name;
    let mut out = format!(
        "// The table of states in {}; written by `cargo xtask spec`.\ndigraph \"{name}\" {{\n  \
         rankdir=LR;\n  node [shape=box, style=rounded];\n",
        machine.chapter
    );
    for node in &nodes {
        let is_final = !merged.iter().any(|edge| edge.from == *node && edge.to != *node);
        let border = if is_final { " [peripheries=2]" } else { "" };
        let _ = writeln!(out, "  \"{node}\"{border};");
    }
    for Edge { from, to, label } in &merged {
        let _ = writeln!(out, "  \"{from}\" -> \"{to}\" [label=\"{label}\"];");
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "x\n\n| state | Go | Stop |\n| --- | --- | --- |\n| Idle | Busy / Done | - |\n| Busy | Busy | Done |\n| Done | `done` | – |\n\nbehind\n";
    const WORDS: &str = "| state | A | B |\n| --- | --- | --- |\n| one, waiting | LINK: open; *keyed*. CODE: fail | end |\n| one, keyed by it | open | read; done |\n";

    fn told(text: &str) -> Vec<String> {
        let (_, edges) = edges(&table(text, "state"), "failed").unwrap();
        edges.iter().map(|edge| format!("{} > {}: {}", edge.from, edge.to, edge.label)).collect()
    }

    #[test]
    fn cells_become_arrows() {
        assert_eq!(
            told(PLAIN),
            ["Idle > Busy: Go (initiator)", "Idle > Done: Go (responder)", "Busy > Done: Stop"]
        );
    }

    #[test]
    fn words_lead_where_they_say() {
        assert_eq!(
            told(WORDS),
            [
                "one, waiting > one, keyed by it: A: LINK: open",
                "one, waiting > failed: A: CODE",
                "one, waiting > ended: B",
                "one, keyed by it > one, keyed by it: A: open",
                "one, keyed by it > one: done: B: read",
            ]
        );
    }

    #[test]
    fn a_state_that_no_row_has_is_refused() {
        let gone = PLAIN.replace("Busy / Done", "Busy / Gone");
        assert!(edges(&table(&gone, "state"), "failed").is_err());
        assert!(edges(&table(&WORDS.replace("*keyed*", "*lost*"), "state"), "failed").is_err());
        assert!(edges(&table("no table", "state"), "failed").is_err());
    }
}
