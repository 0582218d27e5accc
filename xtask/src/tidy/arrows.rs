//! Who may know whom: the arrows between the rooms, as the manifests have them.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{hold, sample};
use crate::repo::SourceFile;

/// For each room the rooms that it may depend on. A new room is added here, and
/// with it the reason for its arrows to ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto-core", &[]),
    ("rendezvous", &[]),
    ("sans-io", &["proto-core"]),
    // It stands in the place of a crate of the transport's stack.
    ("sans-io/crc", &[]),
    ("cli", &["sans-io", "rendezvous", "proto-core"]),
    // Its tier T2 runs the commands themselves over a simulated machine.
    ("sim", &["cli", "sans-io", "rendezvous", "proto-core", "sim/entropy"]),
    // It replaces the system's random numbers, and nobody else may link it.
    ("sim/entropy", &[]),
    // It starts `passel` as a process and does not link it.
    ("interop", &["proto-core"]),
    ("benches", &["proto-core", "sim"]),
    // Other stacks to themselves, for the comparison: a workspace of its own.
    ("benches/peers/webrtc-rs", &[]),
    ("fuzz", &["proto-core"]),
    ("xtask", &[]),
];

const KINDS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

struct Room {
    path: String,
    manifest: Table,
}

fn wrong_arrows(files: &[SourceFile]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut rooms = Vec::new();
    for file in files {
        let Some(path) = file.path.strip_suffix("/Cargo.toml") else { continue };
        match file.text.parse::<Table>() {
            Ok(manifest) => rooms.push(Room { path: path.to_owned(), manifest }),
            Err(error) => complaints.push(format!("{}: {error}", file.path)),
        }
    }
    let by_package: BTreeMap<&str, &str> =
        rooms.iter().filter_map(|room| Some((package(room)?, room.path.as_str()))).collect();
    for room in &rooms {
        let Some((_, allowed)) = ARROWS.iter().find(|(path, _)| *path == room.path) else {
            complaints.push(format!("{}: a room without an entry among the arrows", room.path));
            continue;
        };
        for name in dependencies(&room.manifest) {
            let Some(target) = by_package.get(name.as_str()) else { continue };
            if !allowed.contains(target) && *target != room.path {
                complaints.push(format!("{} knows {target}", room.path));
            }
        }
    }
    complaints
}

fn package(room: &Room) -> Option<&str> {
    room.manifest.get("package")?.get("name")?.as_str()
}

/// Names of all packages that a manifest depends on, for any target.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    let mut names = Vec::new();
    for table in tables {
        for kind in KINDS {
            for (name, value) in table.get(*kind).and_then(Value::as_table).into_iter().flatten() {
                let renamed = value.get("package").and_then(Value::as_str);
                names.push(renamed.unwrap_or(name).to_owned());
            }
        }
    }
    names
}

#[test]
fn rooms_know_only_the_rooms_they_may_know() {
    hold("arrows that the architecture does not have", wrong_arrows);
}

#[test]
fn the_rule_about_arrows_finds_what_it_looks_for() {
    let room = |path: &str, name: &str, rest: &str| {
        sample(&format!("{path}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\n{rest}"))
    };
    let core = room("proto-core", "passel-proto", "");
    let good = room("sans-io", "passel-sans-io", "[dependencies]\npassel-proto = \"1\"\n");
    assert!(wrong_arrows(&[core, good]).is_empty());

    let up = "[target.'cfg(unix)'.dev-dependencies]\nx = { package = \"passel-sans-io\", version = \"1\" }\n";
    let files = [
        room("proto-core", "passel-proto", up),
        room("sans-io", "passel-sans-io", ""),
        room("attic", "attic", ""),
    ];
    let found = wrong_arrows(&files);
    assert_eq!(
        found,
        ["proto-core knows sans-io", "attic: a room without an entry among the arrows"]
    );
}
