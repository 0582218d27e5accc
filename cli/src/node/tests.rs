//! What a node makes of a rendezvous that fails, between two computers in memory.

use super::*;
use crate::exit::Exit;
use crate::machine::memory::{Memory, NET};
use crate::signaling;
use passel_proto::crypto::Secret32;
use passel_rendezvous::messages::JoinRequest;
use std::path::Path;

/// The side that invited, and the one that joined.
type Nodes = [Box<Node<Memory>>; 2];

async fn nodes(dir: &Path) -> Nodes {
    let [inviting, joining] = Memory::two(dir);
    let url = inviting.serve().await;
    let created = signaling::create(&inviting, &url, false).await.unwrap();
    let request = JoinRequest::Session(created.session);
    let joined = signaling::join(&joining, &url, request).await.unwrap();
    let (secret, route) = (Secret32::new([7; 32]), created.session.to_bytes());
    let mut entropy = Entropy::from_seed(inviting.entropy().unwrap());
    let creator = SignalSession::creator(Some(secret.clone()), None, &route, &mut entropy).unwrap();
    let joiner = SignalSession::joiner_link(&secret, &route, &mut entropy).unwrap();
    let ours = Socket::connect(&inviting, &url, created.token).await.unwrap();
    let theirs = Socket::connect(&joining, &url, joined.token).await.unwrap();
    let mut start = |machine: &Memory, role, signal, socket| {
        Box::new(Node::start(machine, role, signal, socket, NET, &mut entropy).unwrap())
    };
    [
        start(&inviting, Role::Responder, creator, ours),
        start(&joining, Role::Initiator, joiner, theirs),
    ]
}

/// Turns both until the first has this news.
async fn until(nodes: &mut Nodes, is_it: impl Fn(&EndpointEvent) -> bool) {
    let [ours, theirs] = nodes;
    loop {
        while theirs.poll_event().is_some() {}
        while let Some(event) = ours.poll_event() {
            if is_it(&event) {
                return;
            }
        }
        tokio::select! {
            biased;
            () = ours.turn() => {}
            () = theirs.turn() => {}
        }
    }
}

fn gone() -> Signaled {
    Signaled::Failed(why())
}

fn why() -> Failure {
    Failure::new(Exit::Server, "the server is gone", "Look for it.")
}

#[tokio::test(start_paused = true)]
async fn a_rendezvous_that_is_lost_once_there_is_a_path_is_not_why_it_ends_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = nodes(dir.path()).await;
    until(&mut nodes, |event| matches!(event, EndpointEvent::Connected { .. })).await;
    // The other side keeps its own, which would be told of an end here.
    let signaling = nodes[0].signaling.take();
    nodes[0].take_signal(clock::now(), gone());
    let established = |event: &EndpointEvent| {
        matches!(event, EndpointEvent::Connection(Event::Established { .. }))
    };
    until(&mut nodes, established).await;
    drop(signaling);
    let error = Error::new(Blame::Circumstance, ErrorCode::IdleTimeout, "");
    assert_eq!(nodes[0].failure(&error), Failure::of_error(&error));
}

#[tokio::test(start_paused = true)]
async fn a_rendezvous_that_is_lost_before_there_is_a_path_is_why_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = nodes(dir.path()).await;
    nodes[0].take_signal(clock::now(), gone());
    let closed =
        |event: &EndpointEvent| matches!(event, EndpointEvent::Connection(Event::Closed { .. }));
    until(&mut nodes, closed).await;
    let error = Error::new(Blame::Circumstance, ErrorCode::TransportFailed, "");
    assert_eq!(nodes[0].failure(&error), why());
}
