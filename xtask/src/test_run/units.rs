//! Which room and target a test program belongs to, from cargo's own messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::libtest::Source;

/// Something that cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The directory of its package.
    pub(crate) package: PathBuf,
    /// Name of the target, such as `registry` for `tests/registry.rs`.
    pub(crate) target: String,
    /// Whether it is a file in `tests/`.
    pub(crate) is_integration: bool,
    /// The program, if it is one.
    pub(crate) executable: Option<PathBuf>,
}

impl Artifact {
    /// Reads one line of `--message-format=json`; `None` for other messages.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        if value["reason"] != "compiler-artifact" {
            return None;
        }
        let executable = value["executable"].as_str().map(PathBuf::from);
        executable.as_ref()?;
        Some(Artifact {
            package: Path::new(value["manifest_path"].as_str()?).parent()?.to_path_buf(),
            target: value["target"]["name"].as_str()?.to_owned(),
            is_integration: value["target"]["kind"][0] == "test",
            executable,
        })
    }
}

/// Test programs by the file name of their executable.
#[cfg_attr(test, derive(Default))]
pub(crate) struct Units {
    by_file: BTreeMap<String, Artifact>,
}

impl Units {
    /// Sorts what cargo built.
    pub(crate) fn new(artifacts: Vec<Artifact>) -> Self {
        let keyed = artifacts.into_iter().filter_map(|artifact| {
            let file = artifact.executable.as_ref()?.file_name()?.to_str()?.to_owned();
            Some((file, artifact))
        });
        Units { by_file: keyed.collect() }
    }

    /// The directory, below the root, of the package that a suite belongs to.
    pub(crate) fn room(&self, source: &Source) -> String {
        let package = match source {
            Source::Program(file) => self.by_file.get(file).map(|artifact| &artifact.package),
            Source::Documentation(library) => self
                .by_file
                .values()
                .find(|artifact| artifact.target.replace('-', "_") == *library)
                .map(|artifact| &artifact.package),
        };
        let name = package.and_then(|path| path.file_name()).and_then(|name| name.to_str());
        match (name, source) {
            (Some(name), _) => name.to_owned(),
            (None, Source::Program(name) | Source::Documentation(name)) => name.clone(),
        }
    }

    /// The file in `tests/` that a suite comes from, without its ending.
    pub(crate) fn integration(&self, source: &Source) -> Option<&str> {
        let Source::Program(file) = source else { return None };
        let artifact = self.by_file.get(file).filter(|artifact| artifact.is_integration)?;
        Some(&artifact.target)
    }

    /// Room and kind in one phrase.
    pub(crate) fn title(&self, source: &Source) -> String {
        let room = self.room(source);
        match (source, self.integration(source)) {
            (Source::Documentation(_), _) => format!("{room}: examples in the documentation"),
            (_, Some(target)) => format!("{room}: tests/{target}"),
            (_, None) => format!("{room}: unit tests"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"reason":"compiler-artifact","manifest_path":"/p/proto-core/Cargo.toml",
        "target":{"kind":["test"],"name":"registry"},"executable":"/p/target/debug/deps/registry-1"}"#;

    #[test]
    fn a_program_is_found_by_its_file() {
        let units = Units::new(Artifact::parse(MESSAGE).into_iter().collect());
        let source = Source::Program("registry-1".into());
        assert_eq!(units.room(&source), "proto-core");
        assert_eq!(units.title(&source), "proto-core: tests/registry");
    }

    #[test]
    fn an_unknown_program_keeps_its_own_name() {
        let units = Units::default();
        assert_eq!(units.title(&Source::Program("x-1".into())), "x-1: unit tests");
    }

    #[test]
    fn other_messages_are_no_artifacts() {
        assert_eq!(Artifact::parse(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(Artifact::parse("{ not json"), None);
    }
}
