//! Files at both ends: what is offered ([`walk`]), how it is read ([`source`],
//! [`stream`]) and written ([`sink`]), and the thread that does it ([`executor`]) as the
//! storage contract of `passel_proto::storage` asks. Here are the helpers that
//! they share. What does not live here: which bytes are wanted when, which is
//! the protocol's decision.

pub mod executor;
mod ledger;
mod opened;
mod places;
pub mod scan;
pub mod screen;
pub mod sink;
pub mod source;
pub mod space;
pub mod stale;
pub mod stream;
mod temporary;
pub mod walk;
mod written;

pub(crate) use self::opened::allow_many;

use std::fs::File;
use std::io;

use cap_std::fs::Dir;
use passel_proto::escape::for_terminal;
use passel_proto::storage::{StorageError, StorageErrorKind};

/// The error for a source at `path` that could not be opened or read.
fn reading(error: &io::Error, path: &str) -> StorageError {
    let path = for_terminal(path);
    let text = match error.kind() {
        io::ErrorKind::NotFound => format!("{path} is no longer there; check its name"),
        io::ErrorKind::PermissionDenied => {
            format!("{path} must not be read; check its permissions")
        }
        _ => format!("{path} cannot be read ({error}); check its disk"),
    };
    StorageError { kind: StorageErrorKind::Unreadable, text }
}

/// The error for a file or directory at `path` that could not be written.
fn writing(error: &io::Error, path: &str) -> StorageError {
    let path = for_terminal(path);
    let (kind, text) = match error.kind() {
        io::ErrorKind::StorageFull => (
            StorageErrorKind::NoSpace,
            format!("no space is left for {path}; make room or choose another place with --out"),
        ),
        io::ErrorKind::QuotaExceeded => (
            StorageErrorKind::NoSpace,
            format!(
                "your quota is used up at {path}; make room or choose another place with --out"
            ),
        ),
        io::ErrorKind::AlreadyExists => (
            StorageErrorKind::NameConflict, // SC-NO-OVERWRITE
            format!("{path} appeared while the transfer ran; move it away and start again"),
        ),
        io::ErrorKind::NotADirectory => (StorageErrorKind::NameConflict, not_a_directory(&path)),
        _ if is_link(error) => (StorageErrorKind::NameConflict, not_a_directory(&path)),
        io::ErrorKind::PermissionDenied => (
            StorageErrorKind::Other,
            format!("{path} must not be written; choose another place with --out"),
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            StorageErrorKind::Other,
            format!("{path} lies on a read-only disk; choose another place with --out"),
        ),
        io::ErrorKind::FileTooLarge => (
            StorageErrorKind::Other,
            format!("{path} is too large for its disk; choose another place with --out"),
        ),
        _ => (
            StorageErrorKind::Other,
            format!(
                "{path} cannot be written ({error}); check its disk or choose another place with --out"
            ),
        ),
    };
    StorageError { kind, text }
}

fn not_a_directory(path: &str) -> String {
    format!(
        "a part of {path} became a link or file while the transfer ran; move it away and start again"
    )
}

/// Whether an open failed because the name is a symbolic link.
fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    return {
        let _ = error;
        false
    };
}

/// A failure that no system call reported.
fn other(text: impl Into<String>) -> StorageError {
    StorageError { kind: StorageErrorKind::Other, text: text.into() }
}

/// A handle of `dir` that can be synced and stamped; [`Dir`] itself may hold one
/// that only serves for look-ups. None where directories have no such handle.
fn real_handle(dir: &Dir) -> io::Result<Option<File>> {
    if cfg!(unix) { dir.open(".").map(|file| Some(file.into_std())) } else { Ok(None) }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(buf)
}

#[cfg(unix)]
fn write_all_at(file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, offset)
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, data: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_the_kinds_that_the_peer_is_told() {
        let kind = |code: io::ErrorKind| writing(&code.into(), "x").kind;
        assert_eq!(kind(io::ErrorKind::StorageFull), StorageErrorKind::NoSpace);
        assert_eq!(kind(io::ErrorKind::QuotaExceeded), StorageErrorKind::NoSpace);
        assert_eq!(kind(io::ErrorKind::AlreadyExists), StorageErrorKind::NameConflict);
        assert_eq!(kind(io::ErrorKind::NotADirectory), StorageErrorKind::NameConflict);
        assert_eq!(kind(io::ErrorKind::PermissionDenied), StorageErrorKind::Other);
        assert_eq!(
            reading(&io::ErrorKind::NotFound.into(), "x").kind,
            StorageErrorKind::Unreadable
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_full_disk_as_the_kernel_reports_it_is_no_space() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = io::Write::write_all(&mut &full, b"x").unwrap_err();
        let error = writing(&error, "a\u{1b}b");
        assert_eq!(error.kind, StorageErrorKind::NoSpace);
        assert!(!error.text.contains('\u{1b}') && error.text.contains("--out"), "{error}");
        let link = io::Error::from(rustix::io::Errno::LOOP);
        assert_eq!(writing(&link, "x").kind, StorageErrorKind::NameConflict);
    }
}
