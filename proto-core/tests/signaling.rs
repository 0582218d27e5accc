//! The sealing of signaling (`spec/08-signaling.md`): two sides that share a link
//! or a code understand each other, one wrong guess ends it, and the carrier
//! reads nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::error::{Blame, ErrorCode};
use passel_proto::handshake::{Auth, ResumptionKey};
use passel_proto::limits::MAX_SIGNAL_BLOB;
use passel_proto::signal::{MAX_PAYLOAD, MAX_QUEUED, SignalSecret, SignalSession};

const ROUTING: &[u8] = b"routing-id-1";

fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed([seed; 32])
}

fn link() -> Secret32 {
    Secret32::new([0x4c; 32])
}

fn code(words: &str) -> SecretBytes {
    SecretBytes::new(words.as_bytes().to_vec())
}

fn creator() -> SignalSession {
    SignalSession::creator(Some(link()), Some(&code("owl-seven")), ROUTING, &mut entropy(1))
        .unwrap()
}

fn joiner_link() -> SignalSession {
    SignalSession::joiner_link(&link(), ROUTING, &mut entropy(2)).unwrap()
}

fn joiner_code(words: &str) -> SignalSession {
    SignalSession::joiner_code(&code(words), ROUTING, &mut entropy(3)).unwrap()
}

/// Carries everything across until nobody has anything to say; gives what each
/// side was told, the first then the second.
fn carry(one: &mut SignalSession, other: &mut SignalSession) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut heard = (Vec::new(), Vec::new());
    loop {
        if let Some(blob) = one.poll_blob() {
            assert!(blob.len() <= MAX_SIGNAL_BLOB);
            heard.1.extend(other.handle_blob(&blob).unwrap());
        } else if let Some(blob) = other.poll_blob() {
            assert!(blob.len() <= MAX_SIGNAL_BLOB);
            heard.0.extend(one.handle_blob(&blob).unwrap());
        } else {
            return heard;
        }
    }
}

fn all_blobs(session: &mut SignalSession) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| session.poll_blob()).collect()
}

fn secret_of(auth: &Auth) -> &Secret32 {
    match auth {
        Auth::Link(secret) | Auth::Code { secret, .. } => secret,
        other => panic!("{other:?}"),
    }
}

// SG-KEYS, SG-SHARE-IGNORED: this creator's share reaches a joiner with a link.
#[test]
fn by_link_both_sides_hear_each_other_in_order() {
    let (mut creator, mut joiner) = (creator(), joiner_link());
    creator.seal(b"answer 1").unwrap();
    creator.seal(b"answer 2").unwrap();
    joiner.seal(b"offer").unwrap();
    let (to_creator, to_joiner) = carry(&mut creator, &mut joiner);
    assert_eq!(to_creator, [b"offer".to_vec()]);
    assert_eq!(to_joiner, [b"answer 1".to_vec(), b"answer 2".to_vec()]);
    let (one, other) = (creator.auth().unwrap(), joiner.auth().unwrap());
    assert_eq!((one.mode(), other.mode()), (1, 1));
    assert_eq!(secret_of(one), secret_of(other));
    joiner.seal(b"").unwrap();
    assert_eq!(carry(&mut creator, &mut joiner).0, [b"".to_vec()]);
}

// SG-SPAKE2
#[test]
fn by_code_both_sides_hear_each_other_and_agree_on_context() {
    let (mut creator, mut joiner) = (creator(), joiner_code("owl-seven"));
    joiner.seal(b"offer").unwrap();
    creator.seal(b"answer").unwrap();
    let (to_creator, to_joiner) = carry(&mut creator, &mut joiner);
    assert_eq!((to_creator, to_joiner), (vec![b"offer".to_vec()], vec![b"answer".to_vec()]));
    match (creator.auth().unwrap(), joiner.auth().unwrap()) {
        (Auth::Code { secret: a, context: c }, Auth::Code { secret: b, context: d }) => {
            assert_eq!((a, c), (b, d));
        }
        other => panic!("{other:?}"),
    }
}

// SG-SHARE-FIRST
#[test]
fn a_joiner_with_a_code_sends_share_and_payload_in_one_go_when_the_share_is_there() {
    let (mut creator, mut joiner) = (creator(), joiner_code("owl-seven"));
    joiner.seal(b"offer").unwrap();
    joiner.handle_blob(&creator.poll_blob().unwrap()).unwrap();
    let blobs = all_blobs(&mut joiner);
    assert_eq!(blobs.iter().map(|blob| blob[1]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(creator.handle_blob(&blobs[0]).unwrap(), None);
    assert_eq!(creator.handle_blob(&blobs[1]).unwrap().unwrap(), b"offer");
}

// SG-BURN, SG-REFUSED
#[test]
fn a_wrong_code_fails_burns_the_session_and_is_reported_to_the_joiner() {
    let (mut creator, mut wrong) = (creator(), joiner_code("owl-eight"));
    wrong.seal(b"offer").unwrap();
    creator.seal(b"answer").unwrap();
    wrong.handle_blob(&creator.poll_blob().unwrap()).unwrap();
    let blobs = all_blobs(&mut wrong);
    creator.handle_blob(&blobs[0]).unwrap();
    let error = creator.handle_blob(&blobs[1]).unwrap_err();
    assert_eq!((error.code, error.blame), (ErrorCode::AuthenticationFailed, Blame::Peer));
    assert!(creator.auth().is_none());

    let told = all_blobs(&mut creator);
    assert_eq!(told, [vec![1, 3, 2, 0]]);
    let reported = wrong.handle_blob(&told[0]).unwrap_err();
    assert_eq!(reported.code, ErrorCode::AuthenticationFailed);
    assert!(wrong.poll_blob().is_none());
    assert!(wrong.seal(b"again").is_err());

    // The right code comes too late, and so does the right link.
    let mut right = joiner_code("owl-seven");
    assert_eq!(creator.handle_blob(&right.poll_blob().unwrap()).unwrap_err(), error);
    let mut right = joiner_link();
    right.seal(b"offer").unwrap();
    assert_eq!(creator.handle_blob(&right.poll_blob().unwrap()).unwrap_err(), error);
    assert_eq!(creator.seal(b"x").unwrap_err(), error);
    assert!(creator.poll_blob().is_none());
}

// SG-BURN
#[test]
fn a_wrong_link_fails_and_burns_the_session() {
    let mut creator = creator();
    let mut wrong =
        SignalSession::joiner_link(&Secret32::new([1; 32]), ROUTING, &mut entropy(2)).unwrap();
    wrong.seal(b"offer").unwrap();
    let error = creator.handle_blob(&wrong.poll_blob().unwrap()).unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthenticationFailed);
    let mut right = joiner_link();
    right.seal(b"offer").unwrap();
    assert!(creator.handle_blob(&right.poll_blob().unwrap()).is_err());
}

// SG-KEYS, SG-ROUTING-ID
#[test]
fn another_routing_id_does_not_open() {
    let mut creator = creator();
    let mut other = SignalSession::joiner_link(&link(), b"routing-id-2", &mut entropy(2)).unwrap();
    other.seal(b"offer").unwrap();
    let error = creator.handle_blob(&other.poll_blob().unwrap()).unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthenticationFailed);
}

// SG-JOINER-FIRST
#[test]
fn a_creator_seals_nothing_before_the_joiner_has_proven_itself() {
    let mut creator = creator();
    creator.seal(b"answer").unwrap();
    assert_eq!(all_blobs(&mut creator).len(), 1); // the share alone
    let mut joiner = joiner_code("owl-seven");
    creator.handle_blob(&joiner.poll_blob().unwrap()).unwrap();
    assert!(creator.poll_blob().is_none());
    assert!(creator.auth().is_none());
}

// SG-AUTHENTIC
#[test]
fn a_changed_byte_anywhere_in_a_sealed_blob_is_refused() {
    let mut joiner = joiner_link();
    joiner.seal(b"offer").unwrap();
    let blob = joiner.poll_blob().unwrap();
    assert!(creator().handle_blob(&blob).unwrap().is_some());
    let quick = || SignalSession::creator(Some(link()), None, ROUTING, &mut entropy(1)).unwrap();
    for place in 0..blob.len() {
        let mut changed = blob.clone();
        changed[place] ^= 1;
        assert!(quick().handle_blob(&changed).is_err(), "byte {place}");
    }
    for length in 0..blob.len() {
        assert!(quick().handle_blob(&blob[..length]).is_err());
    }
    let mut long = blob.clone();
    long.extend_from_slice(&[0; 256]);
    assert!(quick().handle_blob(&long).is_err());
}

// SG-ORDER
#[test]
fn replayed_and_reordered_blobs_are_refused() {
    let blobs = || {
        let mut joiner = joiner_link();
        (0..3u8).for_each(|n| joiner.seal(&[n]).unwrap());
        all_blobs(&mut joiner)
    };
    let mut replayed = creator();
    replayed.handle_blob(&blobs()[0]).unwrap();
    assert!(replayed.handle_blob(&blobs()[0]).is_err());
    assert!(replayed.handle_blob(&blobs()[1]).is_err());
    let mut skipped = creator();
    skipped.handle_blob(&blobs()[0]).unwrap();
    assert!(skipped.handle_blob(&blobs()[2]).is_err());
    assert!(creator().handle_blob(&blobs()[1]).is_err());
}

// SG-DIRECTION-KEY
#[test]
fn a_reflected_blob_is_refused() {
    let mut joiner = joiner_link();
    joiner.seal(b"offer").unwrap();
    let own = joiner.poll_blob().unwrap();
    assert!(joiner.handle_blob(&own).is_err());
}

// SG-DIRECTION-KEY, SG-SALT: the same link again, with the creator's old answer.
#[test]
fn a_creators_blob_of_an_earlier_session_is_refused_by_a_later_joiner() {
    let (mut creator, mut first) = (creator(), joiner_link());
    first.seal(b"offer").unwrap();
    creator.handle_blob(&first.poll_blob().unwrap()).unwrap();
    creator.seal(b"answer").unwrap();
    let old = all_blobs(&mut creator).pop().unwrap();
    let mut later = SignalSession::joiner_link(&link(), ROUTING, &mut entropy(9)).unwrap();
    assert!(later.handle_blob(&old).is_err());
    assert_eq!(first.handle_blob(&old).unwrap().unwrap(), b"answer");
}

// SG-SALT
#[test]
fn the_same_link_used_twice_never_gives_the_same_bytes() {
    let blob = |seed| {
        let mut joiner = SignalSession::joiner_link(&link(), ROUTING, &mut entropy(seed)).unwrap();
        joiner.seal(&[0; 100]).unwrap();
        joiner.poll_blob().unwrap()
    };
    let (one, other) = (blob(5), blob(6));
    assert_ne!(one[4..20], other[4..20]);
    assert_ne!(one[28..60], other[28..60]);
}

// SG-SECRECY, SG-PADDING
#[test]
fn a_capture_of_the_signaling_holds_nothing_readable() {
    let (mut creator, mut joiner) = (creator(), joiner_code("owl-seven"));
    joiner.seal(b"candidate 192.168.17.4 holiday.jpg").unwrap();
    creator.seal(b"candidate 10.99.3.2 fingerprint").unwrap();
    let mut capture = Vec::new();
    for _ in 0..3 {
        while let Some(blob) = joiner.poll_blob() {
            creator.handle_blob(&blob).unwrap();
            capture.push(blob);
        }
        while let Some(blob) = creator.poll_blob() {
            joiner.handle_blob(&blob).unwrap();
            capture.push(blob);
        }
    }
    assert_eq!(capture.len(), 4);
    for blob in &capture {
        for needle in [&b"192.168"[..], b"10.99", b"holiday", b"candidate", b"owl", b"seven"] {
            assert!(!blob.windows(needle.len()).any(|window| window == needle));
        }
        assert!(blob.len() == 36 || (blob.len() - 44) % 256 == 0);
    }
}

// SG-MODE
#[test]
fn a_mode_that_the_invitation_lacks_is_incompatible() {
    let mut only_link =
        SignalSession::creator(Some(link()), None, ROUTING, &mut entropy(1)).unwrap();
    assert!(only_link.poll_blob().is_none());
    let share = joiner_code("owl-seven").poll_blob().unwrap();
    assert_eq!(only_link.handle_blob(&share).unwrap_err().code, ErrorCode::UnsupportedAuth);

    let mut only_code =
        SignalSession::creator(None, Some(&code("owl-seven")), ROUTING, &mut entropy(1)).unwrap();
    let mut joiner = joiner_link();
    joiner.seal(b"offer").unwrap();
    let blob = joiner.poll_blob().unwrap();
    assert_eq!(only_code.handle_blob(&blob).unwrap_err().code, ErrorCode::UnsupportedAuth);
}

// SG-STATES
#[test]
fn blobs_that_are_not_due_are_violations() {
    let share = || joiner_code("owl-seven").poll_blob().unwrap();
    let mut twice = creator();
    twice.handle_blob(&share()).unwrap();
    assert_eq!(twice.handle_blob(&share()).unwrap_err().code, ErrorCode::ProtocolViolation);

    // Sealed under CODE, but no share before it.
    let mut joiner = joiner_code("owl-seven");
    joiner.seal(b"offer").unwrap();
    joiner.handle_blob(&creator().poll_blob().unwrap()).unwrap();
    let sealed = all_blobs(&mut joiner).pop().unwrap();
    assert_eq!(creator().handle_blob(&sealed).unwrap_err().code, ErrorCode::ProtocolViolation);

    // SG-SHARE-IGNORED: once.
    let mut by_link = joiner_link();
    let share = creator().poll_blob().unwrap();
    assert_eq!(by_link.handle_blob(&share).unwrap(), None);
    assert_eq!(by_link.handle_blob(&share).unwrap_err().code, ErrorCode::ProtocolViolation);

    // SG-SHARE-REFLECTED
    let mut reflected = joiner_code("owl-seven");
    let own = reflected.poll_blob().unwrap();
    assert_eq!(reflected.handle_blob(&own).unwrap_err().code, ErrorCode::ProtocolViolation);

    let mut future = share.clone();
    future[0] = 2;
    let error = joiner_code("owl-seven").handle_blob(&future).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
    let mut of_link = share;
    of_link[2] = 1;
    let error = joiner_code("owl-seven").handle_blob(&of_link).unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolViolation);
}

#[test]
fn misuse_is_refused_and_does_no_harm() {
    let new = |link, code: Option<&SecretBytes>, routing: &[u8]| {
        SignalSession::creator(link, code, routing, &mut entropy(1)).map(|_| ())
    };
    assert!(new(None, None, ROUTING).is_err());
    assert!(new(Some(Secret32::new([0; 32])), None, ROUTING).is_err());
    assert!(new(None, Some(&code("")), ROUTING).is_err());
    assert!(new(Some(link()), None, b"").is_err());
    assert!(new(Some(link()), None, &[1; 65]).is_err());
    assert!(new(Some(link()), None, &[1; 64]).is_ok());

    let (mut creator, mut joiner) = (creator(), joiner_link());
    assert_eq!(joiner.seal(&vec![0; MAX_PAYLOAD + 1]).unwrap_err().blame, Blame::Misuse);
    joiner.seal(&vec![7; MAX_PAYLOAD]).unwrap();
    assert_eq!(carry(&mut creator, &mut joiner).0, [vec![7; MAX_PAYLOAD]]);
    let mut full = joiner_code("owl-seven"); // its share counts as well
    for _ in 1..MAX_QUEUED {
        full.seal(b"x").unwrap();
    }
    assert_eq!(full.seal(b"x").unwrap_err().blame, Blame::Misuse);
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}{:?}", creator(), joiner_link());
    assert!(!shown.contains("owl") && !shown.contains("76"), "{shown}");
}

// SG-NO-PANIC
#[test]
fn random_and_mutated_blobs_never_panic() {
    let mut random = entropy(7);
    let mut joiner = joiner_link();
    joiner.seal(b"offer").unwrap();
    let real = joiner.poll_blob().unwrap();
    let mut session = creator();
    session.poll_blob();
    for round in 0..100_000u32 {
        // A fresh session now and then: a burnt one answers at once.
        if round % 8 == 0 {
            session = match round % 64 {
                0 => joiner_code("owl-seven"),
                8 => creator(),
                16 => joiner_link(),
                _ => SignalSession::creator(Some(link()), None, ROUTING, &mut entropy(1)).unwrap(),
            };
        }
        let mut blob = match round % 3 {
            0 => real.clone(),
            1 => vec![0; usize::from(random.array::<1>()[0])],
            _ => vec![0; 36],
        };
        if round % 3 != 0 {
            random.fill(&mut blob);
            let head = [1, random.array::<1>()[0] % 5, random.array::<1>()[0] % 5, 0];
            blob.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        } else {
            let place = usize::from(u16::from_le_bytes(random.array())) % blob.len();
            blob[place] ^= random.array::<1>()[0] | 1;
        }
        if let Ok(Some(payload)) = session.handle_blob(&blob) {
            panic!("opened {payload:?}");
        }
    }
}

fn creator_sas() -> SignalSession {
    SignalSession::creator_sas(ROUTING, &mut entropy(4)).unwrap()
}

fn joiner_sas() -> SignalSession {
    SignalSession::joiner_sas(ROUTING, &mut entropy(5)).unwrap()
}

// SG-SAS, SG-SECRECY
#[test]
fn without_a_secret_a_carrier_that_only_listens_reads_nothing() {
    let (mut creator, mut joiner) = (creator_sas(), joiner_sas());
    joiner.seal(b"my addresses").unwrap();
    let mut carried = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..3 {
        while let Some(blob) = joiner.poll_blob() {
            heard.extend(creator.handle_blob(&blob).unwrap());
            carried.push(blob);
        }
        while let Some(blob) = creator.poll_blob() {
            joiner.handle_blob(&blob).unwrap();
            carried.push(blob);
        }
    }
    assert_eq!(heard, [b"my addresses".to_vec()]);
    assert!(matches!((creator.auth(), joiner.auth()), (Some(Auth::Sas), Some(Auth::Sas))));
    assert!(carried.iter().all(|blob| !blob.windows(4).any(|part| part == b"addr")));
    assert!(carried.iter().all(|blob| blob[2..4] == [3, 0]), "the mode is told as it is");
    // Another who knows the password, which everybody does, cannot open them later.
    let mut late = joiner_sas();
    let of_creator = carried.iter().filter(|blob| blob[1] == 1).nth(1).unwrap();
    assert_eq!(late.handle_blob(of_creator), Ok(None));
    let sealed = carried.iter().find(|blob| blob[1] == 2).unwrap();
    assert!(late.handle_blob(sealed).is_err());
}

// SG-MODE
#[test]
fn sides_of_different_modes_part_before_anything_is_sealed() {
    let psk = || SignalSecret::Psk(link());
    let mut pairs = [
        (creator_sas(), joiner_code("owl-seven")),
        (
            SignalSession::creator(None, Some(&code("owl-seven")), ROUTING, &mut entropy(1))
                .unwrap(),
            joiner_sas(),
        ),
        (creator(), SignalSession::joiner_secret(&psk(), ROUTING, &mut entropy(2)).unwrap()),
        (SignalSession::creator_secret(psk(), ROUTING, &mut entropy(1)).unwrap(), joiner_link()),
        (creator_sas(), joiner_link()),
    ];
    for (nth, (creator, joiner)) in pairs.iter_mut().enumerate() {
        joiner.seal(b"my addresses").unwrap();
        let results: Vec<_> =
            all_blobs(joiner).iter().map(|blob| creator.handle_blob(blob)).collect();
        let error = results[0].clone().unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedAuth, "pair {nth}");
        assert!(creator.auth().is_none());
    }
    // The other way round, by the share that waits at the rendezvous.
    for (mut creator, mut joiner) in
        [(creator_sas(), joiner_code("owl-seven")), (creator(), joiner_sas())]
    {
        let error = joiner.handle_blob(&creator.poll_blob().unwrap()).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnsupportedAuth);
    }
}

// SG-KEYS, SG-PSK
#[test]
fn a_key_of_ones_own_and_an_earlier_session_work_like_a_link_in_their_own_modes() {
    let key = |byte| ResumptionKey { id: [byte; 16], secret: Secret32::new([byte; 32]) };
    let resume = |newest, other| SignalSecret::Resume { link: link(), key: newest, other };
    for (of_creator, of_joiner, mode) in [
        (SignalSecret::Psk(link()), SignalSecret::Psk(link()), 4),
        (resume(key(2), Some(key(1))), resume(key(1), None), 5),
    ] {
        let mut creator =
            SignalSession::creator_secret(of_creator, ROUTING, &mut entropy(1)).unwrap();
        let mut joiner =
            SignalSession::joiner_secret(&of_joiner, ROUTING, &mut entropy(2)).unwrap();
        joiner.seal(b"offer").unwrap();
        creator.seal(b"answer").unwrap();
        let heard = carry(&mut creator, &mut joiner);
        assert_eq!(heard, (vec![b"offer".to_vec()], vec![b"answer".to_vec()]));
        assert_eq!(creator.auth().unwrap().mode(), mode);
        assert_eq!(joiner.auth().unwrap().mode(), mode);
    }
    let zero = SignalSecret::Psk(Secret32::new([0; 32]));
    let error = SignalSession::creator_secret(zero, ROUTING, &mut entropy(1)).unwrap_err();
    assert_eq!(error.blame, Blame::Misuse);
}
