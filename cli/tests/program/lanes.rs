//! Further lanes on threads of their own, which this program uses by itself only where
//! there are cores for them.

use super::big::alone;
use super::content::{expect_pattern, write_pattern};
use super::pair::{Room, receiving, with_link};
use super::process::{Process, passel};

const MIB: u64 = 256;

/// Names of a process's threads.
fn threads(process: &Process) -> Vec<String> {
    let tasks = format!("/proc/{}/task", process.id());
    let Ok(tasks) = std::fs::read_dir(tasks) else { return Vec::new() };
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.flatten().filter_map(name).collect()
}

fn go(at_sender: &str, at_receiver: &str) {
    let _alone = alone();
    let room = Room::new();
    let path = room.path("big");
    write_pattern(&path, MIB);
    let mut command = passel();
    command.args(["send", "--json", "--listen", "127.0.0.1:0", "--bind", "127.0.0.1"]);
    command.args(["--lane-threads", at_sender, "--"]).arg(&path);
    let (sender, link) = with_link(Process::start("sender", command));
    let mut command = receiving(passel(), &link, &room.out());
    command.args(["--yes", "--lane-threads", at_receiver]);
    let mut receiver = Process::start("receiver", command);
    receiver.event("connected");
    for (process, asked) in [(&sender, at_sender), (&receiver, at_receiver)] {
        let names = threads(process);
        let apart = names.iter().filter(|name| name.starts_with("passel-lanes-")).count();
        assert_eq!(apart.to_string(), asked, "{names:?}");
    }
    receiver.end().expect(0).expect_small();
    sender.end().expect(0).expect_small();
    expect_pattern(&room.out().join("big"), MIB);
}

#[test]
fn lanes_on_threads_at_both_sides_carry_a_file() {
    go("2", "3");
}

#[test]
fn threads_at_one_side_are_that_sides_own_business() {
    go("0", "1");
}
