//! What the forger sends: the moves of a true sender and of a true receiver, so
//! that it gets far, each field of them false now and then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use passel_proto::crypto::kem::KeyPair;
use passel_proto::frame::{
    Accept, Ack, AckRange, Cancel, ChunkRange, Close, Complete, Credit, Data, EntryRange,
    FailedFile, FileEnd, FileFailed, Frame, Have, KeyUpdate, KeyUpdateAnswer, Leaves, LeavesWanted,
    ManifestPage, Message, Nack, Offer, Pause, Ping, Pong, Receipt, Reject, Resume, Selection,
    Stored,
};
use passel_proto::ids::{FileIndex, Token, TransferId};
use passel_proto::manifest::{Entry, EntryKind, Manifest, ManifestBuilder};
use passel_proto::path::SafePath;
use passel_proto::subtrees::Subtrees;
use passel_proto::tree::{TreeBuilder, leaf_hash};
use sha2::{Digest, Sha256};

use super::choices::Choices;

/// An offer of the forger.
struct Own {
    id: u32,
    /// Sizes of files; none for a directory.
    sizes: Vec<Option<u64>>,
    chunk: u64,
    piece: u64,
    wanted: Vec<bool>,
    accepted: bool,
    /// Where honest sending goes on: entry and offset.
    next: (usize, u64),
    stated: BTreeMap<usize, [u8; 32]>,
    completed: bool,
    /// Chunks that the victim has, by entry.
    there: BTreeMap<usize, BTreeSet<u64>>,
    /// Those of them whose leaves are still to be asked for.
    doubtful: BTreeMap<usize, BTreeSet<u64>>,
    /// The entry whose leaves are awaited.
    awaited: Option<usize>,
    /// Pieces to send once more: entry and offset.
    again: VecDeque<(usize, u64)>,
    /// Chunks sent once more that are not acknowledged.
    unacknowledged: BTreeSet<(usize, u64)>,
}

/// An offer of the victim, as far as the forger was told of it.
#[derive(Default)]
struct Theirs {
    entries: u32,
    chunk_log2: u8,
    accepted: bool,
    paused: bool,
    /// Chunks that came, by file.
    chunks: BTreeSet<(u32, u64)>,
    complete: Option<[u8; 32]>,
    pages: ManifestBuilder,
    /// Leaves that the victim wants: file, first, count.
    wanted: Option<(u32, u64, u32)>,
}

/// What the forger knows, and how false it is.
pub struct Moves {
    next_id: u32,
    own: Vec<Own>,
    theirs: BTreeMap<u32, Theirs>,
    /// Per cent of the fields that are false.
    wild: usize,
    /// Whether files are sent that are not wanted, and their ends are not told.
    pushy: bool,
    leaves: BTreeMap<usize, [u8; 32]>,
    /// Whether it has asked for new keys. It never goes on to use them, as a
    /// peer may that is slow.
    asked: bool,
}

/// Paths of up to eight entries, in order; those that end in `/` are directories.
const PATHS: [&str; 8] = ["a", "b/", "b/c", "b/d", "e", "f", "g/", "h"];

/// A manifest of the first entries of `PATHS` with random sizes.
pub fn manifest(choices: &mut Choices<'_>, huge: bool) -> (Manifest, Vec<Option<u64>>) {
    let mut builder = ManifestBuilder::new();
    let mut sizes = Vec::new();
    for path in &PATHS[..=choices.below(PATHS.len())] {
        let size = match choices.below(12) {
            0..3 => 0,
            3..6 => choices.below(4000) as u64,
            6 => 16_384,
            7 => 16_385,
            8..10 => choices.below(70_000) as u64,
            10 => choices.below(400_000) as u64,
            _ if huge => choices.extreme(),
            _ => 1,
        };
        let size = (!path.ends_with('/')).then_some(size);
        let kind = match size {
            None => EntryKind::Directory,
            size => EntryKind::File { size, executable: false, mime: None, root: None },
        };
        let path = SafePath::parse(path.trim_end_matches('/')).expect("a good name");
        builder.push(&Entry { path, kind, modified: None }).expect("a good entry");
        sizes.push(size);
    }
    (builder.finish().expect("a good manifest"), sizes)
}

impl Moves {
    pub fn new(first_id: u32, wild: usize, pushy: bool) -> Self {
        Self {
            next_id: first_id,
            own: Vec::new(),
            theirs: BTreeMap::new(),
            wild,
            pushy,
            leaves: BTreeMap::new(),
            asked: false,
        }
    }

    fn is_false(&self, choices: &mut Choices<'_>) -> bool {
        choices.below(1000) < self.wild * 10
    }

    fn number(&self, choices: &mut Choices<'_>, truth: u64) -> u64 {
        match self.is_false(choices) {
            false => truth,
            true if choices.percent(50) => choices.extreme(),
            true => truth.wrapping_add(choices.below(5) as u64).wrapping_sub(2),
        }
    }

    fn number32(&self, choices: &mut Choices<'_>, truth: u32) -> u32 {
        self.number(choices, truth.into()) as u32
    }

    fn hash(&self, choices: &mut Choices<'_>, truth: [u8; 32]) -> [u8; 32] {
        if self.is_false(choices) { choices.array() } else { truth }
    }

    /// Takes in what the victim said.
    pub fn learn(&mut self, frame: &Frame) {
        match frame {
            Frame::Offer(offer) => {
                let known = Theirs {
                    entries: offer.entries,
                    chunk_log2: offer.chunk_log2,
                    ..Theirs::default()
                };
                self.theirs.insert(offer.transfer.0, known);
            }
            Frame::ManifestPage(page) => {
                if let Some(theirs) = self.theirs.get_mut(&page.transfer.0) {
                    theirs.pages.push_page(&page.entries, page.count).expect("a true page");
                }
            }
            Frame::LeavesWanted(wanted) => {
                if let Some(theirs) = self.theirs.get_mut(&wanted.transfer.0) {
                    theirs.wanted = Some((wanted.file.0, wanted.first, wanted.count));
                }
            }
            Frame::Have(have) => {
                if let Some(own) = self.own_of(have.transfer) {
                    let chunks = |range: &ChunkRange| range.first..range.first + range.count;
                    let there: BTreeSet<u64> =
                        have.ranges.iter().flat_map(chunks).take(1024).collect();
                    own.there.insert(have.file.0 as usize, there.clone());
                    own.doubtful.insert(have.file.0 as usize, there);
                }
            }
            Frame::Stored(stored) => {
                if let Some(own) = self.own_of(stored.transfer) {
                    for place in stored.files.iter().flat_map(|r| r.first..r.first + r.count) {
                        let size = own.sizes[place as usize].unwrap_or(0);
                        let all = (0..size.div_ceil(own.chunk).min(1024)).collect();
                        own.there.insert(place as usize, all);
                    }
                }
            }
            Frame::Leaves(leaves) => self.compare(leaves),
            Frame::FileFailed(failed) => {
                if let Some(own) = self.own_of(failed.transfer) {
                    let place = failed.file.0 as usize;
                    own.awaited = own.awaited.filter(|&awaited| awaited != place);
                    own.again.retain(|(of, _)| *of != place);
                    own.unacknowledged.retain(|(of, _)| *of != place);
                }
            }
            Frame::Ack(ack) => {
                if let Some(own) = self.own_of(ack.transfer) {
                    own.unacknowledged.retain(|&(place, chunk)| {
                        !ack.ranges.iter().any(|range| {
                            range.file.0 as usize == place
                                && (range.first..range.first + range.count).contains(&chunk)
                        })
                    });
                }
            }
            Frame::Data(data) => {
                if let Some(theirs) = self.theirs.get_mut(&data.transfer.0) {
                    theirs.chunks.insert((data.file.0, data.offset >> theirs.chunk_log2));
                }
            }
            Frame::Complete(complete) => {
                if let Some(theirs) = self.theirs.get_mut(&complete.transfer.0) {
                    theirs.complete = Some(complete.statements);
                }
            }
            Frame::Accept(accept) => {
                let id = accept.transfer.0;
                if let Some(own) = self.own.iter_mut().find(|own| own.id == id) {
                    own.accepted |= !accept.more;
                    for (place, wanted) in own.wanted.iter_mut().enumerate() {
                        *wanted |= match &accept.selection {
                            Selection::All => true,
                            Selection::Ranges(ranges) => ranges.iter().any(|range| {
                                (range.first..range.first + range.count).contains(&(place as u32))
                            }),
                        };
                    }
                }
            }
            Frame::Cancel(cancel) => self.forget(cancel.transfer),
            Frame::Reject(reject) => self.forget(reject.transfer),
            Frame::Receipt(receipt) => self.forget(receipt.transfer),
            _ => {}
        }
    }

    fn own_of(&mut self, id: TransferId) -> Option<&mut Own> {
        self.own.iter_mut().find(|own| own.id == id.0)
    }

    /// The victim told leaves: what differs is to be sent once more.
    fn compare(&mut self, told: &Leaves) {
        let right: Vec<[u8; 32]> = {
            let Some(own) = self.own_of(told.transfer) else { return };
            own.awaited = None;
            let (size, chunk) = (own.sizes[told.file.0 as usize].unwrap_or(0), own.chunk);
            let lens = (0..told.leaves.len() as u64)
                .map(|n| chunk.min(size - (told.first + n) * chunk) as usize);
            lens.collect::<Vec<_>>().into_iter().map(|len| self.leaf(len)).collect()
        };
        let Some(own) = self.own_of(told.transfer) else { return };
        let place = told.file.0 as usize;
        let (size, chunk, piece) = (own.sizes[place].unwrap_or(0), own.chunk, own.piece);
        for (n, _) in told.leaves.iter().zip(&right).enumerate().filter(|(_, (a, b))| a != b) {
            let from = (told.first + n as u64) * chunk;
            own.unacknowledged.insert((place, from / chunk));
            let offsets = (from..(from + chunk).min(size)).step_by(piece as usize);
            own.again.extend(offsets.map(|offset| (place, offset)));
        }
    }

    fn forget(&mut self, id: TransferId) {
        self.own.retain(|own| own.id != id.0);
        self.theirs.remove(&id.0);
    }

    /// The next record: frames for one channel, and a payload behind a DATA.
    pub fn next(
        &mut self,
        choices: &mut Choices<'_>,
        sign: &dyn Fn(&mut Receipt),
    ) -> (Vec<Frame>, usize) {
        let mut frames = Vec::new();
        let mut payload = 0;
        match choices.below(100) {
            0..8 => self.offer(choices, &mut frames),
            8..60 => payload = self.data(choices, &mut frames),
            60..90 => self.answer(choices, sign, &mut frames),
            90..94 => self.end_something(choices, &mut frames),
            94 if choices.percent(5) => frames.push(Close { code: 0, text: String::new() }.into()),
            95 => self.pause(choices, &mut frames),
            96 => {
                let bytes = vec![7; choices.below(3000)];
                frames.push(Message::Binary(bytes).into());
            }
            97 if choices.percent(12) => self.keys(choices, &mut frames),
            94..97 => frames.push(Ping { token: choices.u64() }.into()),
            _ => frames.push(Pong { token: choices.u64() }.into()),
        }
        if frames.is_empty() {
            frames.push(Ping { token: 1 }.into());
        }
        (frames, payload)
    }

    /// Asks for new keys, or answers what nobody asked.
    fn keys(&mut self, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
        static KEY: OnceLock<[u8; 1216]> = OnceLock::new();
        let epoch = self.number(choices, 1) as u16;
        if self.is_false(choices) {
            let ciphertext = Box::new([choices.below(256) as u8; 1120]);
            frames.push(KeyUpdateAnswer { epoch, ciphertext }.into());
        } else if !self.asked || self.is_false(choices) {
            self.asked = true;
            let mut key = *KEY.get_or_init(|| *KeyPair::from_seed(&[5; 32]).encapsulation_key());
            if self.is_false(choices) {
                key[choices.below(1216)] ^= 1 << choices.below(8);
            }
            frames.push(KeyUpdate { epoch, encapsulation_key: Box::new(key) }.into());
        }
    }

    /// Pauses one of the victim's transfers, or ends that.
    fn pause(&mut self, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
        let accepted = self.theirs.iter_mut().find(|(_, theirs)| theirs.accepted);
        let Some((&id, theirs)) = accepted else { return };
        theirs.paused = !theirs.paused;
        let paused = theirs.paused;
        let transfer = TransferId(self.number32(choices, id));
        frames.push(if paused { Pause { transfer }.into() } else { Resume { transfer }.into() });
    }

    fn offer(&mut self, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
        if self.own.len() >= 2 && !self.is_false(choices) {
            return;
        }
        let (manifest, sizes) = manifest(choices, self.wild > 0);
        let (chunk_log2, piece_log2) = *choices.pick(&[(14u8, 10u8), (14, 12), (16, 14), (20, 15)]);
        let id = self.number32(choices, self.next_id);
        let transfer = TransferId(id);
        let entries = self.number32(choices, manifest.len());
        let bytes = self.number(choices, manifest.total_bytes());
        let digest = self.hash(choices, manifest.digest());
        let hash = self.number(choices, 1) as u8;
        let (note, token) = ("a note".to_owned(), Token(choices.array()));
        let offer =
            Offer { transfer, entries, bytes, digest, chunk_log2, piece_log2, hash, token, note };
        frames.push(offer.into());
        let mut first = 0;
        while let Some(page) = manifest.page(first, 1 + choices.below(200)) {
            let transfer = TransferId(self.number32(choices, id));
            let at = self.number32(choices, page.first);
            let count = self.number32(choices, page.count);
            let mut entries = page.bytes.clone();
            if self.is_false(choices) {
                choices.spoil(&mut entries, &page.bytes);
            }
            frames.push(ManifestPage { transfer, first: at, count, entries }.into());
            first = page.first + page.count;
        }
        self.next_id = self.next_id.wrapping_add(2);
        let wanted = vec![false; sizes.len()];
        self.own.push(Own {
            id,
            sizes,
            chunk: 1 << chunk_log2,
            piece: 1 << piece_log2,
            wanted,
            accepted: false,
            next: (0, 0),
            stated: BTreeMap::new(),
            completed: false,
            there: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            awaited: None,
            again: VecDeque::new(),
            unacknowledged: BTreeSet::new(),
        });
    }

    /// A leaf over so many zeros, which is what all of the forger's files hold.
    fn leaf(&mut self, len: usize) -> [u8; 32] {
        *self.leaves.entry(len).or_insert_with(|| leaf_hash(&vec![0; len]))
    }

    /// The next piece of an accepted offer; returns the payload's length.
    fn data(&mut self, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) -> usize {
        let ready: Vec<usize> = (0..self.own.len())
            .filter(|&n| self.own[n].accepted && !self.own[n].completed)
            .collect();
        if ready.is_empty() {
            if self.is_false(choices) {
                let transfer = TransferId(choices.below(8) as u32);
                let file = FileIndex(choices.below(3) as u32);
                frames.push(Data { transfer, file, offset: 0, leaf: None }.into());
                return choices.below(2000);
            }
            return 0;
        }
        let which = *choices.pick(&ready);
        self.skip_settled(which);
        if let Some(payload) = self.repair(which, choices, frames) {
            return payload;
        }
        let Own { id, next: (place, offset), chunk, piece, .. } = self.own[which];
        let Some(&size) = self.own[which].sizes.get(place) else {
            self.complete(which, choices, frames);
            return 0;
        };
        // Files of petabytes are begun and given up.
        let size = size.unwrap_or(0);
        let transfer = TransferId(self.number32(choices, id));
        let file = FileIndex(self.number32(choices, place as u32));
        if size > 1 << 30 || choices.percent(2) {
            self.own[which].next = (place + 1, 0);
            self.own[which].stated.insert(place, [0; 32]);
            frames.push(Ping { token: 0 }.into());
            frames.push(FileFailed { transfer, file, code: 0x26, text: String::new() }.into());
            return 0;
        }
        let is_there = |chunk: u64| {
            self.own[which].there.get(&place).is_some_and(|there| there.contains(&chunk))
        };
        let mut offset = offset;
        while offset < size && is_there(offset / chunk) && !choices.percent(self.wild.min(1)) {
            offset = (offset + chunk).min(size);
        }
        let chunk_start = if offset == size { offset } else { offset / chunk * chunk };
        let chunk_end = (chunk_start + chunk).min(size);
        let until = (offset + piece).min(chunk_end);
        if until == size && !self.pushy {
            let root = self.root(size, chunk);
            let (root, size) = (self.hash(choices, root), self.number(choices, size));
            frames.push(FileEnd { transfer, file, size, root }.into());
            self.own[which].stated.insert(place, root);
        }
        self.own[which].next = if until == size { (place + 1, 0) } else { (place, until) };
        if until == offset {
            return 0;
        }
        let mut leaf = (until == chunk_end).then(|| self.leaf((chunk_end - chunk_start) as usize));
        if self.is_false(choices) {
            leaf = choices.percent(50).then(|| choices.array());
        }
        let offset = self.number(choices, offset);
        let transfer = TransferId(self.number32(choices, id));
        frames.push(Data { transfer, file, offset, leaf }.into());
        (self.number(choices, until - offset.min(until)) as usize).min(40_000)
    }

    /// What is due before the next new piece of an offer: a piece to send again,
    /// leaves to ask for, or patience.
    fn repair(
        &mut self,
        which: usize,
        choices: &mut Choices<'_>,
        frames: &mut Vec<Frame>,
    ) -> Option<usize> {
        let is_hasty = self.is_false(choices);
        let own = &mut self.own[which];
        let (id, (place, offset)) = (own.id, own.next);
        if let Some((place, offset)) = own.again.pop_front() {
            let size = own.sizes[place].unwrap_or(0);
            let start = offset / own.chunk * own.chunk;
            let chunk_end = (start + own.chunk).min(size);
            let until = (offset + own.piece).min(chunk_end);
            let leaf = (until == chunk_end).then(|| self.leaf((chunk_end - start) as usize));
            let (transfer, file) = (TransferId(id), FileIndex(place as u32));
            let offset = self.number(choices, offset);
            frames.push(Data { transfer, file, offset, leaf }.into());
            return Some((self.number(choices, until - offset.min(until)) as usize).min(40_000));
        }
        if !is_hasty && (own.awaited.is_some() || !own.unacknowledged.is_empty()) {
            return Some(0);
        }
        // Leaves are asked for before the last chunk is passed.
        let size = own.sizes.get(place).copied().flatten()?;
        let is_end = offset + own.chunk >= size;
        let doubtful = own.doubtful.get_mut(&place).filter(|_| is_end)?;
        let first = doubtful.pop_first()?;
        let mut count = 1;
        while doubtful.remove(&(first + count)) {
            count += 1;
        }
        if choices.percent(40) {
            doubtful.clear();
            return None;
        }
        own.awaited = Some(place);
        let transfer = TransferId(self.number32(choices, id));
        let file = FileIndex(self.number32(choices, place as u32));
        let first = self.number(choices, first);
        // More than a frame may hold is refused, and shows nothing.
        let count = self.number32(choices, count as u32).clamp(1, 1024);
        if first.checked_add(count.into()).is_some() {
            frames.push(LeavesWanted { transfer, file, first, count }.into());
        }
        Some(0)
    }

    /// Moves on to the next entry that is a file and wanted.
    fn skip_settled(&mut self, which: usize) {
        let (own, pushy) = (&mut self.own[which], self.pushy);
        let is_sent =
            |own: &Own, place: usize| own.sizes[place].is_some() && (own.wanted[place] || pushy);
        while own.next.0 < own.sizes.len() && !is_sent(own, own.next.0) {
            own.next = (own.next.0 + 1, 0);
        }
    }

    fn root(&mut self, size: u64, chunk: u64) -> [u8; 32] {
        let mut tree = TreeBuilder::new();
        let mut from = 0;
        while from < size.min(1 << 24) {
            let len = chunk.min(size - from);
            tree.push(self.leaf(len as usize));
            from += len;
        }
        tree.root()
    }

    fn complete(&mut self, which: usize, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
        let own = &mut self.own[which];
        own.completed = true;
        let mut hasher = Sha256::new_with_prefix(b"passel v1 statements");
        for (&place, root) in &own.stated {
            hasher.update((place as u32).to_le_bytes());
            if *root == [0; 32] {
                hasher.update([0]);
                hasher.update(0x26u16.to_le_bytes());
            } else {
                hasher.update([1]);
                hasher.update(own.sizes[place].unwrap_or(0).to_le_bytes());
                hasher.update(root);
            }
        }
        let transfer = TransferId(own.id);
        let statements = self.hash(choices, hasher.finalize().into());
        frames.push(Complete { transfer, statements }.into());
    }

    /// What a receiver says of the victim's offers.
    fn answer(
        &mut self,
        choices: &mut Choices<'_>,
        sign: &dyn Fn(&mut Receipt),
        frames: &mut Vec<Frame>,
    ) {
        let ids: Vec<u32> = self.theirs.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = *choices.pick(&ids);
        let transfer = TransferId(self.number32(choices, id));
        let Some(theirs) = self.theirs.get_mut(&id) else { return };
        if !theirs.accepted {
            theirs.accepted = true;
            let (pages, chunk) = (std::mem::take(&mut theirs.pages), 1 << theirs.chunk_log2);
            if let Ok(manifest) = pages.finish()
                && choices.percent(40)
            {
                self.claim(transfer, &manifest, chunk, choices, frames);
            }
            let (first, count) = (self.number32(choices, 0), choices.below(8) as u32);
            let selection = match choices.below(4) {
                0 if self.wild > 0 => Selection::Ranges(vec![EntryRange { first, count }]),
                _ => Selection::All,
            };
            let more = self.wild > 0 && selection != Selection::All && choices.percent(30);
            frames.push(Accept { transfer, more, selection }.into());
            return;
        }
        let told = theirs.wanted.take();
        if told.is_some() || choices.below(2000) < self.wild {
            let (file, first, count) = told.unwrap_or((0, 0, 1));
            let len = 1 << theirs.chunk_log2;
            let count = self.number32(choices, count).clamp(1, 1024);
            // A short last chunk has another leaf: it differs, and comes again.
            let leaf = self.leaf(len);
            let is_other = choices.percent(50);
            let leaves = (0..count).map(|_| {
                let differs = is_other && choices.percent(50);
                if differs { [1; 32] } else { leaf }
            });
            let leaves = leaves.collect();
            let first = self.number(choices, first);
            let file = FileIndex(self.number32(choices, file));
            frames.push(Leaves { transfer, file, first, leaves }.into());
            return;
        }
        let chunks: Vec<(u32, u64)> = theirs.chunks.iter().copied().collect();
        let (entries, complete) = (theirs.entries, theirs.complete);
        match choices.below(20) {
            0..2 => {
                let limit = self.number(choices, 1 << 30);
                let transfer = choices.percent(50).then_some(transfer);
                frames.push(Credit { transfer, limit }.into());
            }
            2..12 if !chunks.is_empty() => {
                let ranges = (0..=choices.below(6)).map(|_| {
                    let (file, chunk) = *choices.pick(&chunks);
                    let file = FileIndex(self.number32(choices, file));
                    let first = self.number(choices, chunk);
                    AckRange { file, first, count: self.number(choices, 1) }
                });
                frames.push(Ack { transfer, ranges: ranges.collect() }.into());
            }
            12..15 if !chunks.is_empty() => {
                for _ in 0..=choices.below(8) {
                    let (file, chunk) = *choices.pick(&chunks);
                    let file = FileIndex(self.number32(choices, file));
                    let chunk = self.number(choices, chunk);
                    frames.push(Nack { transfer, file, chunk }.into());
                }
            }
            15 if self.wild > 0 => {
                let file = FileIndex(choices.below(entries as usize + 1) as u32);
                frames.push(FileFailed { transfer, file, code: 0x24, text: "full".into() }.into());
            }
            _ if complete.is_some() || self.is_false(choices) => {
                let file = FileIndex(choices.below(4) as u32);
                let mut receipt = Receipt {
                    transfer,
                    // True of every offer: nothing arrived, and all of it is counted.
                    delivered: self.number32(choices, 0),
                    failed: entries.max(1),
                    listed: vec![FailedFile { file, code: 0x28 }],
                    statements: self.hash(choices, complete.unwrap_or_default()),
                    mac: [0; 32],
                };
                sign(&mut receipt);
                receipt.mac = self.hash(choices, receipt.mac);
                frames.push(receipt.into());
            }
            _ => {}
        }
    }

    /// Claims to have some of the victim's files, which hold zeros.
    fn claim(
        &mut self,
        transfer: TransferId,
        manifest: &Manifest,
        chunk: u64,
        choices: &mut Choices<'_>,
        frames: &mut Vec<Frame>,
    ) {
        for place in 0..manifest.len() {
            let size = manifest.entry(FileIndex(place)).and_then(|entry| entry.size());
            let size = size.unwrap_or_default();
            let file = FileIndex(self.number32(choices, place));
            if choices.percent(30) {
                if manifest.entry(file).is_some_and(|entry| !entry.is_directory()) {
                    let files = vec![EntryRange { first: file.0, count: 1 }];
                    frames.push(Stored { transfer, files }.into());
                }
                continue;
            }
            let mut there = Subtrees::new(usize::MAX);
            let mut ranges: Vec<ChunkRange> = Vec::new();
            for index in (0..size.div_ceil(chunk)).filter(|_| choices.percent(60)) {
                let leaf = self.leaf(chunk.min(size - index * chunk) as usize);
                there.insert(index, leaf).expect("each once");
                match ranges.last_mut().filter(|last| last.first + last.count == index) {
                    Some(last) => last.count += 1,
                    None => ranges.push(ChunkRange { first: index, count: 1 }),
                }
            }
            if let Some(last) = ranges.last_mut() {
                last.count = self.number(choices, last.count).clamp(1, u64::MAX / 2);
                let digest = match choices.below(4) {
                    0 => None,
                    1 => Some([9; 32]),
                    _ => Some(there.digest()),
                };
                frames.push(Have { transfer, file, ranges, digest }.into());
            }
        }
    }

    /// Ends, or claims to end, one of the transfers.
    fn end_something(&mut self, choices: &mut Choices<'_>, frames: &mut Vec<Frame>) {
        let ids: Vec<u32> =
            self.own.iter().map(|own| own.id).chain(self.theirs.keys().copied()).collect();
        if ids.is_empty() || !choices.percent(25 + self.wild) {
            return;
        }
        let id = *choices.pick(&ids);
        let transfer = TransferId(self.number32(choices, id));
        let code = choices.below(70) as u16;
        let text = "\u{1b}[2J".to_owned();
        if self.theirs.get(&id).is_some_and(|theirs| !theirs.accepted) {
            frames.push(Reject { transfer, code, text }.into());
        } else {
            frames.push(Cancel { transfer, code, text }.into());
        }
        self.forget(TransferId(id));
    }
}
