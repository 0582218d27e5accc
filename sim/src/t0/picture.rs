//! What a person sees of a run of T0: the frames of each message by name, what
//! disks did and refused, and the plan's faults in words.

use passel_proto::frame::Frame;
use passel_proto::storage::{StorageError, StorageReply};

use crate::disk::Effect;
use crate::plan::{Fault, Plan, Side};
use crate::trace::{Message, Recording, Sort, Span, words};

/// The names of the two hosts.
const HOSTS: [&str; 2] = ["inviter", "joiner"];

/// A recording of a run that is about to begin.
pub(super) fn begun(plan: &Plan) -> Recording {
    let mut recording = Recording::new(&HOSTS);
    for host in 0..HOSTS.len() {
        recording.state(0, host, "connection", "handshake");
    }
    for fault in &plan.faults {
        let (at_us, for_us, host, text) = match fault {
            Fault::Partition { at_us, for_us } => {
                (*at_us, *for_us, None, "partition: nothing comes through".to_owned())
            }
            Fault::SlowDisk { side, at_us, for_us, request_us } => {
                let text = format!("slow disk: {} ms a request", request_us / 1000);
                (*at_us, *for_us, Some(side.place()), text)
            }
            Fault::Pause { side, transfer, at_us, for_us } => {
                let text = format!("pauses transfer {transfer} of the plan");
                (*at_us, *for_us, Some(side.place()), text)
            }
            _ => continue,
        };
        let until_us = at_us.saturating_add(for_us);
        recording.spans.push(Span { from_us: at_us, until_us, host, text });
    }
    if let Some(bug) = plan.planted {
        recording.mark(0, None, Sort::Fault, format!("planted bug: {bug:?}"));
    }
    recording
}

pub(super) fn on_connect(recording: &mut Recording, now: u64, nth: u32, healed: bool) {
    words::connected_again(recording, now, nth, healed, "handshake");
}

pub(super) fn on_crash(recording: &mut Recording, now: u64, side: Side, killed: bool) {
    let text = if killed {
        "process is killed, its machine goes on"
    } else {
        "process dies, its disk loses what was not synced"
    };
    recording.mark(now, Some(side.place()), Sort::Fault, text);
    recording.state(now, side.place(), "connection", "dead");
}

/// A frame of a message that was opened.
pub(super) fn on_frame(message: &mut Message, frame: &Frame) {
    let name = frame.frame_type().name();
    if message.kind.starts_with("sealed") {
        name.clone_into(&mut message.kind);
    } else if !message.kind.split('+').any(|one| one == name) {
        message.kind.push('+');
        message.kind.push_str(name);
    }
}

pub(super) fn on_effect(recording: &mut Recording, now: u64, side: Side, effect: &Effect) {
    let (kind, bytes) = match effect {
        Effect::None => return,
        Effect::Checked { same, .. } => {
            (if *same { "is as stored" } else { "is another than stored" }, 0)
        }
        Effect::Discarded(..) => ("discard", 0),
        Effect::Synced(ranges) => ("sync", ranges.iter().map(|(_, _, bytes)| bytes).sum()),
        Effect::Committed { size, .. } => {
            ("final name", usize::try_from(*size).unwrap_or(usize::MAX))
        }
    };
    recording.did(now, side.place(), kind, bytes);
}

/// A disk that refuses is seen as a fault.
pub(super) fn on_reply(recording: &mut Recording, now: u64, side: Side, reply: &StorageReply) {
    let (what, result) = match reply {
        StorageReply::Read { result, .. } => ("read", result),
        StorageReply::Written { result, .. } => ("write", result),
        StorageReply::Synced { result, .. } => ("sync", result),
        StorageReply::Committed { result, .. } => ("final name", result),
        StorageReply::Checked { .. }
        | StorageReply::Released { .. }
        | StorageReply::Discarded { .. } => return,
    };
    if let Err(StorageError { kind, text }) = result {
        let text = format!("disk refuses a {what}: {kind:?}, {text}");
        recording.mark(now, Some(side.place()), Sort::Fault, text);
    }
}

/// A fault that happens at a moment.
pub(super) fn on_fault(recording: &mut Recording, now: u64, fault: &Fault) {
    let (side, text) = match fault {
        Fault::Cut { .. } | Fault::CutAgain { .. } => (None, "transport ends".to_owned()),
        Fault::Cancel { side, transfer, .. } => {
            (Some(*side), format!("cancels transfer {transfer} of the plan"))
        }
        Fault::Close { side, .. } => (Some(*side), "closes the connection".to_owned()),
        Fault::Update { side, .. } => (Some(*side), "asks for new keys".to_owned()),
        _ => return, // Seen as what it does, or as what lasts.
    };
    recording.mark(now, side.map(Side::place), Sort::Fault, text);
}
