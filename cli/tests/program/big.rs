//! Much data and many files: everything arrives, and neither side's memory grows
//! with it. One at a time, so that they do not take the machine from each other.

use std::fs;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::content::{expect_pattern, listing, write_pattern};
use super::pair::{Room, recv, send, transfer};

const LIMIT: Duration = Duration::from_secs(300);

/// Held by each test that needs the whole machine.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_gibibyte_arrives_and_neither_side_ever_has_64_mib_of_memory() {
    let _alone = alone();
    let room = Room::new();
    let path = room.path("big");
    write_pattern(&path, 1024);
    let (sender, link) = send(&[&path]);
    let received = recv(&link, &room.out()).end_within(LIMIT).expect(0);
    let sent = sender.end_within(LIMIT).expect(0);
    sent.expect_small();
    received.expect_small();
    // Room for the comparison, and a proof that the copy stands by itself.
    fs::remove_file(&path).unwrap();
    assert_eq!(room.arrived(), ["big"]);
    expect_pattern(&room.out().join("big"), 1024);
}

#[test]
fn ten_thousand_small_files_and_empty_directories_arrive_in_little_memory() {
    let _alone = alone();
    let room = Room::new();
    for number in 0..10_000 {
        let text = "x".repeat(number % 200) + &number.to_string();
        let name = format!("many/{:02}/{number}", number / 100);
        if number % 100 == 0 {
            fs::create_dir_all(room.path(&name).parent().unwrap()).unwrap();
        }
        fs::write(room.path(&name), text).unwrap();
    }
    for empty in ["many/none", "many/outer/inner/innermost", "many/07/空"] {
        fs::create_dir_all(room.path(empty)).unwrap();
    }
    let (sent, received) = transfer(&room, &[&room.path("many")]);
    sent.expect_small();
    received.expect_small();
    assert_eq!(sent.last()["files"], 10_000);
    let (original, copy) = (listing(&room.path("many")), listing(&room.out().join("many")));
    assert_eq!(original.len(), 1 + 10_000 + 100 + 5);
    assert!(original == copy, "the trees differ");
    assert_eq!(room.arrived(), ["many"]);
}
