//! What hostile input once brought about, each as a case of its own.

use passel_proto::error::ErrorCode;
use passel_proto::frame::{Data, FileEnd, FileFailed, Frame, FrameWriter, ManifestPage, Offer};
use passel_proto::ids::{Channel, FileIndex, Role, Token, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::tree::leaf_hash;

use super::harness::choices::Choices;
use super::harness::forger::Forger;
use super::harness::victim::{Victim, epoch};

const ID: TransferId = TransferId(1);

/// A victim that has joined, and a forger that has invited it.
fn meet() -> (Victim, Forger, Choices<'static>) {
    let mut choices = Choices::seeded(1);
    let mut victim = Victim::new(Role::Initiator, &mut choices, epoch());
    let forger = Forger::meet(&mut victim, &mut choices);
    for channel in Channel::ALL {
        victim.writable(channel, 1 << 20);
    }
    (victim, forger, choices)
}

fn files(count: u32, size: u64) -> Manifest {
    let mut builder = ManifestBuilder::new();
    for place in 0..count {
        let path = SafePath::parse(&format!("{place:06}")).unwrap();
        let kind = EntryKind::File { size: Some(size), executable: false, mime: None, root: None };
        builder.push(&Entry { path, kind, modified: None }).unwrap();
    }
    builder.finish().unwrap()
}

/// Offers a manifest, and has the victim accept all of it.
fn offer(victim: &mut Victim, forger: &mut Forger, manifest: &Manifest, chunk_log2: u8) {
    let offer = Offer {
        transfer: ID,
        entries: manifest.len(),
        bytes: manifest.total_bytes(),
        digest: manifest.digest(),
        chunk_log2,
        piece_log2: chunk_log2.min(14),
        hash: 1,
        token: Token([6; 16]),
        note: String::new(),
    };
    forger.say_frames(victim, Channel::Control, &[offer.into()]);
    let mut first = 0;
    while let Some(page) = manifest.page(first, 40_000) {
        let entries = page.bytes;
        let frame = ManifestPage { transfer: ID, first, count: page.count, entries };
        forger.say_frames(victim, Channel::Control, &[frame.into()]);
        first += page.count;
    }
    victim.accept(ID, None);
    let heard = forger.listen(victim);
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Accept(_))));
}

/// A whole chunk of zeros as one piece.
fn data(victim: &mut Victim, forger: &mut Forger, file: u32, len: usize) {
    let leaf = Some(leaf_hash(&vec![0; len]));
    let data = Data { transfer: ID, file: FileIndex(file), offset: 0, leaf };
    let mut plaintext = Vec::new();
    FrameWriter::new(&mut plaintext, 0).data(&data, &vec![0; len]).unwrap();
    forger.say(victim, Channel::File, &plaintext);
}

#[test]
fn a_file_given_up_behind_its_first_write_leaves_no_timer_that_spins() {
    let (mut victim, mut forger, mut choices) = meet();
    offer(&mut victim, &mut forger, &files(1, 20_000), 14);
    data(&mut victim, &mut forger, 0, 16_384);
    victim.answer(9, 0, &mut choices);
    let failed = FileFailed { transfer: ID, file: FileIndex(0), code: 0x26, text: String::new() };
    forger.say_frames(&mut victim, Channel::Control, &[failed.into()]);
    for _ in 0..100 {
        victim.wait(&mut choices); // checks that no timer stays due
    }
}

// FC-CREDIT: what is held is what was granted, and not a chunk for a byte.
#[test]
fn tiny_files_in_large_chunks_take_no_more_memory_than_they_have_bytes() {
    let (mut victim, mut forger, _) = meet();
    offer(&mut victim, &mut forger, &files(60, 1), 20);
    for file in 0..60 {
        data(&mut victim, &mut forger, file, 1); // checks what waits for the disk
    }
    assert!(!victim.closed);
}

// TR-OPEN-FILES: the bound does not touch a sender that ends what it began.
#[test]
fn ten_thousand_tiny_files_that_are_ended_are_no_attack() {
    let (mut victim, mut forger, mut choices) = meet();
    offer(&mut victim, &mut forger, &files(10_000, 1), 14);
    for file in 0..10_000 {
        let end = FileEnd { transfer: ID, file: FileIndex(file), size: 1, root: leaf_hash(&[0]) };
        forger.say_frames(&mut victim, Channel::File, &[end.into()]);
        data(&mut victim, &mut forger, file, 1);
        victim.answer(9, 0, &mut choices);
        if file % 1000 == 0 {
            victim.wait(&mut choices);
            victim.answer(2000, 0, &mut choices);
        }
        forger.listen(&mut victim);
    }
    assert!(!victim.closed, "{:?}", victim.error);
}

// FC-CONTROL-BACKLOG
#[test]
fn a_peer_that_makes_answers_and_does_not_read_them_is_left() {
    let (mut victim, mut forger, _) = meet();
    victim.writable(Channel::Control, 0);
    let mut offers = (1..).step_by(2).map(|id| {
        Frame::from(Offer {
            transfer: TransferId(id),
            entries: 1,
            bytes: 0,
            digest: [0; 32],
            chunk_log2: 14,
            piece_log2: 14,
            hash: 1,
            token: Token([6; 16]),
            note: String::new(),
        })
    });
    for _ in 0..100 {
        let some: Vec<Frame> = offers.by_ref().take(100).collect();
        forger.say_frames(&mut victim, Channel::Control, &some);
    }
    victim.run_out();
    assert_eq!(victim.error.map(|error| error.code), Some(ErrorCode::LimitExceeded));
}

// FC-CLOSE
#[test]
fn nothing_follows_a_close_not_even_pages_of_an_offer() {
    let (mut victim, mut forger, _) = meet();
    victim.connection.offer(victim.now, files(3, 1), "").unwrap();
    victim.connection.close(victim.now, None);
    victim.writable(Channel::Control, 1 << 20);
    forger.listen(&mut victim); // checks that CLOSE is last
    assert!(forger.told_close);
}

#[test]
fn a_connection_that_was_established_is_closed_when_it_is_over() {
    let (mut victim, mut forger, _) = meet();
    assert!(!victim.connection.is_closed());
    victim.connection.close(victim.now, None);
    assert!(!victim.connection.is_closed(), "CLOSE is still to be sent");
    victim.writable(Channel::Control, 1 << 20);
    forger.listen(&mut victim);
    assert!(victim.connection.is_closed());
}
