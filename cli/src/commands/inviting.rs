//! What a sender gives to the other side: a code and a link with a secret, or a
//! mere place to meet where the two have a key already, or compare words. How it
//! is shown is `ui`'s.

use passel_proto::crypto::{Entropy, Secret32, SecretBytes};
use passel_proto::error::Error;
use passel_proto::signal::{SignalSecret, SignalSession};
use passel_rendezvous::messages::CreateResponse;
use url::Url;

use crate::code::{Bare, Invitation, LinkSecret, Place, words_from};

/// What the two sides share before they meet.
pub(super) enum Shared {
    /// What the invitation will hold.
    Invitation,
    /// Nothing.
    Nothing,
    /// A key of the user's own.
    Key(Secret32),
}

/// An invitation, and the signaling that goes with it.
pub(super) struct Invited {
    pub(super) link: Invitation,
    /// Where there is a nameplate.
    pub(super) code: Option<Invitation>,
    pub(super) session: SignalSession,
}

impl Invited {
    /// For the session that was created at the rendezvous which the other side
    /// reaches at `server`.
    pub(super) fn new(
        shared: &Shared,
        server: &Url,
        created: &CreateResponse,
        entropy: &mut Entropy,
    ) -> Result<Self, Error> {
        let route = created.session.to_bytes();
        let nameplate = created.nameplate.map(|nameplate| nameplate.get().into());
        let (server, session) = (server.clone(), created.session.to_string());
        let at = Place::Session { server: server.clone(), session: session.clone() };
        let bare = |kind, sealed| Self {
            link: Invitation::Bare { at, kind },
            code: nameplate.map(|number| Invitation::Bare { at: Place::Nameplate(number), kind }),
            session: sealed,
        };
        match shared {
            Shared::Nothing => Ok(bare(Bare::Sas, SignalSession::creator_sas(&route, entropy)?)),
            Shared::Key(key) => {
                let secret = SignalSecret::Psk(key.clone());
                let sealed = SignalSession::creator_secret(secret, &route, entropy)?;
                Ok(bare(Bare::Psk, sealed))
            }
            Shared::Invitation => {
                let secret = LinkSecret::new(entropy.array());
                let words = nameplate.map(|_| words_from(entropy.array()));
                let password =
                    words.as_ref().map(|words| SecretBytes::new(words.as_bytes().to_vec()));
                let link = Some(Secret32::new(*secret.expose()));
                Ok(Self {
                    session: SignalSession::creator(link, password.as_ref(), &route, entropy)?,
                    link: Invitation::Link { server, session, secret },
                    code: nameplate
                        .zip(words)
                        .map(|(nameplate, words)| Invitation::Code { nameplate, words }),
                })
            }
        }
    }
}
