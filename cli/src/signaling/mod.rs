//! The client's side of the rendezvous (`spec/09-rendezvous.md`): create or join
//! a session, or meet again, then carry sealed blobs over a WebSocket. What is in a blob, and
//! how a link or code is read, does not live here: this module never holds a
//! secret of the peers, so it cannot send one (`RV-CLIENT-OPAQUE`).

mod connect;
mod error;
mod http;
mod socket;

use std::time::Duration;

use passel_rendezvous::ids::MeetingId;
use passel_rendezvous::messages::{
    CreateRequest, CreateResponse, JoinRequest, JoinResponse, MeetRequest, MeetResponse,
    PATH_CREATE, PATH_JOIN, PATH_MEET,
};
use url::Url;

use crate::machine::Machine;

pub(crate) use self::error::SignalError;
pub(crate) use self::socket::{Event, Socket};

/// Time to reach the server: name, TCP and TLS together (`RV-CLIENT-BOUND`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the server to answer a request, or to accept a hello.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates a session at the server, with a nameplate if one is wanted.
pub(crate) async fn create(
    machine: &impl Machine,
    server: &Url,
    want_nameplate: bool,
) -> Result<CreateResponse, SignalError> {
    let request = CreateRequest { nameplate: want_nameplate };
    let created: CreateResponse = http::post(machine, server, PATH_CREATE, &request).await?;
    if want_nameplate && created.nameplate.is_none() {
        return Err(SignalError::ServerMisbehaved { what: "it gave no nameplate" });
    }
    Ok(created)
}

/// Joins the session that `target` names.
pub(crate) async fn join(
    machine: &impl Machine,
    server: &Url,
    target: JoinRequest,
) -> Result<JoinResponse, SignalError> {
    http::post(machine, server, PATH_JOIN, &target).await
}

/// Goes to the meeting, where the other peer may wait or come later.
pub(crate) async fn meet(
    machine: &impl Machine,
    server: &Url,
    meeting: MeetingId,
) -> Result<MeetResponse, SignalError> {
    http::post(machine, server, PATH_MEET, &MeetRequest { meeting }).await
}
