//! `passel demo`, the first thing that anybody tries.

use std::os::unix::process::CommandExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

use super::pair::Room;
use super::process::{Ended, Process, passel};

/// A demo with all of its processes, which end with it.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

fn demo(file: Option<&Path>, temporary: &Path) -> Ended {
    let mut command = passel();
    command.arg("demo").args(file).env("TMPDIR", temporary).process_group(0);
    let demo = Process::start("demo", command);
    let _group = Group(Pid::from_raw(i32::try_from(demo.id()).unwrap()).unwrap());
    demo.end()
}

#[test]
fn the_demo_succeeds_tells_the_story_and_leaves_nothing_behind() {
    let room = Room::new();
    let told = demo(None, &room.out()).expect(0).errors;
    for words in [
        "1. A rendezvous",
        "2. A sender",
        "Its invitation: ",
        "3. A receiver",
        "Path: 127.0.0.1:",
        "by CODE, within DTLS 1.3",
        "4. 67.1 MB arrived",
        "5. The copy is the same",
    ] {
        assert!(told.contains(words), "'{words}' is missing: {told}");
    }
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn the_demo_sends_the_file_that_is_named_and_leaves_it_alone() {
    let room = Room::new();
    let path = room.file("-odd 名", vec![3; 300_000]);
    let told = demo(Some(&path), &room.out()).expect(0).errors;
    assert!(told.contains("300 kB arrived"), "{told}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![3; 300_000]);
    assert!(room.arrived().is_empty(), "{:?}", room.arrived());
}

#[test]
fn a_demo_of_a_file_that_is_missing_says_so_before_anything_starts() {
    let room = Room::new();
    let told = demo(Some(&room.path("missing")), &room.out()).expect(3).errors;
    assert!(told.contains("missing' does not exist"), "{told}");
    assert!(!told.contains("A rendezvous starts"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_demo_of_a_directory_says_that_it_takes_a_file() {
    let room = Room::new();
    let told = demo(Some(&room.path("out")), &room.path("")).expect(3).errors;
    assert!(told.contains("is a directory"), "{told}");
}
