//! The checks that hold the spec, its registry and the code together.

use std::collections::{BTreeMap, BTreeSet};

use super::statements::{self, PREFIXES, Statement};
use super::trace::Trace;
use super::{citations, states, tables};
use crate::repo;

fn all_statements() -> (Vec<Statement>, Vec<String>) {
    let mut all = Vec::new();
    let mut strays = Vec::new();
    for file in repo::tracked().unwrap().iter().filter(|file| statements::is_chapter(file)) {
        let (found, without) = statements::read(&file.path, &file.text);
        all.extend(found);
        strays.extend(without);
    }
    (all, strays)
}

fn none(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

#[test]
fn every_statement_has_an_id_of_its_own() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for statement in all_statements().0 {
        let place = format!("{}:{}", statement.path, statement.line);
        places.entry(statement.id).or_default().push(place);
    }
    assert!(!places.is_empty(), "the spec holds no statement");
    let twice: Vec<String> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(id, places)| format!("{id}: {}", places.join(", ")))
        .collect();
    none(&twice, "ids that stand for more than one statement");
}

#[test]
fn every_id_is_well_formed_and_has_a_known_prefix() {
    let prefixes: Vec<&str> = PREFIXES.iter().map(|(prefix, _)| *prefix).collect();
    let bad: Vec<String> = all_statements()
        .0
        .into_iter()
        .filter(|statement| citations::ids(&statement.id, &prefixes) != [statement.id.as_str()])
        .map(|statement| format!("{}:{}: {}", statement.path, statement.line, statement.id))
        .collect();
    none(&bad, "ids that are not a known prefix and groups of capitals");
}

#[test]
fn every_must_belongs_to_an_id() {
    none(&all_statements().1, "sentences that say MUST without an id before them");
}

#[test]
fn every_id_that_code_cites_exists() {
    let ids: BTreeSet<String> =
        all_statements().0.into_iter().map(|statement| statement.id).collect();
    // A prefix that the spec does not use (yet) cannot be told from other words.
    let prefixes: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('-').next()).collect();
    let prefixes: Vec<&str> = prefixes.into_iter().collect();
    let mut unknown = Vec::new();
    for file in repo::tracked().unwrap().iter().filter(|file| citations::is_code(file)) {
        for found in citations::read(file, &prefixes) {
            if !ids.contains(&found.id) {
                unknown.push(format!("{}:{}: {}", found.path, found.line, found.id));
            }
        }
    }
    none(&unknown, "ids that code cites and the spec does not have");
}

#[test]
fn every_must_has_code_and_a_test_or_a_reason() {
    none(&Trace::of_project().unwrap().complaints(), "statements that nobody shows to be kept");
}

#[test]
fn the_tables_of_the_spec_are_those_of_the_registry() {
    tables::check().unwrap();
}

#[test]
fn the_graphs_of_states_are_those_of_the_tables() {
    states::check().unwrap();
}

#[test]
fn no_number_or_name_of_the_registry_is_assigned_twice() {
    let registry: toml::Table = repo::read("spec/registry.toml").unwrap().parse().unwrap();
    let mut twice = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, value) in &registry {
        for entry in value.as_array().into_iter().flatten() {
            for column in ["id", "name"] {
                let assigned = format!("{key}: {column} = {}", entry[column]);
                if !seen.insert(assigned.clone()) {
                    twice.push(assigned);
                }
            }
        }
    }
    assert!(!seen.is_empty(), "the registry holds no entry");
    none(&twice, "numbers or names that stand twice in one table");
}
