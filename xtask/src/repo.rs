//! Where the project is, which files belong to it, and where cargo is. What is
//! in the files is read by those who check it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toml::{Table, Value};

/// The directory that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command that runs cargo in the root, without what the cargo that started
/// this program has set for it: build scripts watch some of those variables and
/// would run again.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A file of the project.
pub(crate) struct SourceFile {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// The content, as far as it is UTF-8; binary files are not listed.
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether this is a Rust source file.
    pub(crate) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Whether the name ends in `.` and the given word.
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The file's name without directories.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The directory right below the root, or nothing for files in the root.
    pub(crate) fn room(&self) -> &str {
        self.path.split_once('/').map_or("", |(room, _)| room)
    }
}

/// All text files that git tracks and that exist, in the order of their paths.
pub(crate) fn tracked() -> Result<Vec<SourceFile>, String> {
    let listing = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("git does not run: {error}"))?;
    if !listing.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listing.stderr)));
    }
    let mut paths: Vec<String> = listing
        .stdout
        .split(|&byte| byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    paths.sort();
    paths.dedup();
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).ok()?;
        Some(SourceFile { path, text })
    };
    Ok(paths.into_iter().filter_map(read).collect())
}

/// Reads one file of the project by its path from the root.
pub(crate) fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Names of the workspace's packages, in the order of its members.
pub(crate) fn packages() -> Vec<String> {
    let manifest = |path: &str| read(path).ok()?.parse::<Table>().ok();
    let Some(root) = manifest("Cargo.toml") else { return Vec::new() };
    let members = root.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let paths = members.into_iter().flatten().filter_map(Value::as_str);
    let name = |path: &str| {
        let manifest = manifest(&format!("{path}/Cargo.toml"))?;
        Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
    };
    paths.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_the_workspace_are_its_packages() {
        let packages = packages();
        assert!(packages.contains(&"passel".to_owned()), "{packages:?}");
        assert!(packages.contains(&"xtask".to_owned()), "{packages:?}");
    }

    #[test]
    fn what_git_tracks_is_read_with_paths_from_the_root() {
        let files = tracked().unwrap();
        let own = files.iter().find(|file| file.path == "xtask/src/repo.rs").unwrap();
        assert!(own.is_rust() && own.room() == "xtask" && own.name() == "repo.rs");
        assert!(own.text.starts_with("//!"));
    }
}
