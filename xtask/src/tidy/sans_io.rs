//! Rules for the rooms below the shells: no clock, no entropy, no order that
//! differs from run to run, no runtime. `clippy.toml` says most of it too; this
//! holds where a lint was allowed away.

use toml::{Table, Value};

use super::rust_text::code_only;
use super::{bad_lines, has_word, hold, sample};
use crate::repo::SourceFile;

const ROOMS: &[&str] = &["proto-core", "sans-io", "rendezvous"];

/// The shells within them.
const SHELLS: &[&str] = &["rendezvous/src/shell/", "rendezvous/src/shell.rs"];

/// Names that must not occur in these rooms' sources.
const NAMES: &[&str] =
    &["Instant::now", "SystemTime::now", "HashMap", "HashSet", "thread_rng", "OsRng", "SysRng"];

/// Crates that the core must not depend on, and features that bring the same.
const CRATES: &[&str] = &[
    "tokio",
    "str0m",
    "getrandom",
    "rand",
    "mio",
    "socket2",
    "quinn-udp",
    "async-std",
    "smol",
    "axum",
    "hyper",
    "cap-std",
    "chrono",
    "time",
    "fastrand",
    "if-addrs",
];
const FEATURES: &[&str] = &["getrandom", "os_rng", "sys_rng", "std_rng", "thread_rng"];

/// What stands before the tests: they have to take a first instant somewhere.
fn without_tests(file: &SourceFile, files: &[SourceFile]) -> String {
    let stem = file.name().trim_end_matches(".rs");
    let declared = [
        format!("#[cfg(test)]\nmod {stem};"),
        format!("#[cfg(test)]\npub(crate) mod {stem};"),
        format!("#[cfg(test)]\npub(super) mod {stem};"),
    ];
    let same_room = files.iter().filter(|other| other.room() == file.room());
    let is_test = same_room.into_iter().any(|other| {
        let lines: Vec<&str> = other.text.lines().map(str::trim).collect();
        let text = lines.join("\n");
        declared.iter().any(|declaration| text.contains(declaration))
    });
    let code = code_only(&file.text);
    match code.find("#[cfg(test)]\nmod tests {") {
        _ if is_test => String::new(),
        Some(end) => code[..end].to_owned(),
        None => code,
    }
}

/// Whether a file is a source of a room below the shells, and no test.
fn is_below(file: &SourceFile) -> bool {
    let room = file.room();
    file.is_rust()
        && ROOMS.contains(&room)
        && file.path[room.len()..].starts_with("/src/")
        && !file.path.contains("/tests/")
        && !SHELLS.iter().any(|shell| file.path.starts_with(shell))
}

fn names(files: &[SourceFile]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_below(file)) {
        let code = without_tests(file, files);
        let bad = |line: &str| NAMES.iter().any(|name| has_word(line, name));
        found.extend(bad_lines(&file.path, &code, bad));
    }
    found
}

fn crates(files: &[SourceFile]) -> Vec<String> {
    let table = |path: &str| {
        let file = files.iter().find(|file| file.path == path)?;
        file.text.parse::<Table>().ok()
    };
    let (Some(root), Some(core)) = (table("Cargo.toml"), table("proto-core/Cargo.toml")) else {
        return vec!["a manifest is missing or is not TOML".to_owned()];
    };
    let shared = root.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let mut found = Vec::new();
    for (name, value) in core.get("dependencies").and_then(Value::as_table).into_iter().flatten() {
        let inherited = shared.and_then(|shared| shared.get(name));
        let package = [Some(value), inherited]
            .into_iter()
            .flatten()
            .find_map(|value| value.get("package")?.as_str())
            .unwrap_or(name);
        if CRATES.contains(&package) {
            found.push(format!("proto-core depends on {package}"));
        }
        let features = [Some(value), inherited]
            .into_iter()
            .flatten()
            .filter_map(|value| value.get("features")?.as_array())
            .flatten()
            .filter_map(Value::as_str);
        for feature in features.filter(|feature| FEATURES.contains(feature)) {
            found.push(format!("proto-core uses the feature {feature} of {package}"));
        }
    }
    found
}

#[test]
fn below_the_shells_nobody_reads_a_clock_or_draws_entropy_or_hashes_by_chance() {
    hold("names that belong in a shell or nowhere", names);
}

#[test]
fn the_core_depends_on_no_runtime_transport_or_entropy() {
    hold("dependencies that the core must not have", crates);
}

#[test]
fn the_rules_below_the_shells_find_what_they_look_for() {
    let file = |path: &str, text: &str| sample(path, text);
    let clock = "//! A.\nlet a = std::time::Instant::now();\n";
    assert_eq!(names(&[file("proto-core/src/a.rs", clock)]).len(), 1);
    for outside in ["cli/src/a.rs", "rendezvous/src/shell/a.rs", "sans-io/src/lane/tests/a.rs"] {
        assert!(names(&[file(outside, clock)]).is_empty(), "{outside}");
    }
    let in_tests = format!("//! A.\n// Instant::now\n#[cfg(test)]\nmod tests {{\n{clock}}}\n");
    assert!(names(&[file("sans-io/src/a.rs", &in_tests)]).is_empty());
    let helper = [
        file("proto-core/src/lib.rs", "#[cfg(test)]\nmod helper;\n"),
        file("proto-core/src/helper.rs", clock),
    ];
    assert!(names(&helper).is_empty());

    let root = "[workspace.dependencies]\nr = { package = \"rand\", version = \"1\" }\nq = { version = \"1\", features = [\"os_rng\"] }";
    let core = "[dependencies]\nr = { workspace = true }\nq = { workspace = true }\nserde = \"1\"";
    let found = crates(&[file("Cargo.toml", root), file("proto-core/Cargo.toml", core)]);
    let expected = ["proto-core depends on rand", "proto-core uses the feature os_rng of q"];
    assert_eq!(found, expected);
}
