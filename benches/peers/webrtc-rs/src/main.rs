//! Two peers of webrtc-rs in one process, on the loopback interface: how fast a
//! raw data channel is, from memory to memory. Argument: how many bytes to send.
//! Prints one JSON object.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState,
};
use webrtc::runtime::TokioRuntime;

const MESSAGE: usize = 64 * 1024;
/// What a sender may have on its way: `send` waits above it.
const QUEUED: usize = 4 << 20;

type Failure = Box<dyn Error + Send + Sync>;

/// What a peer is told by the library, as far as it matters here.
#[derive(Clone)]
struct Handler {
    gathered: UnboundedSender<()>,
    arrived: Option<UnboundedSender<Instant>>,
    total: usize,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.send(());
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let (arrived, total) = (self.arrived.clone(), self.total);
        tokio::spawn(async move {
            let mut got = 0;
            while let Some(event) = channel.poll().await {
                if let DataChannelEvent::OnMessage(message) = event {
                    got += message.data.len();
                    if got >= total {
                        let _ = arrived.map(|arrived| arrived.send(Instant::now()));
                        break;
                    }
                }
            }
        });
    }
}

async fn peer(handler: Handler) -> Result<impl PeerConnection, Failure> {
    Ok(PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_handler(Arc::new(handler))
        .with_runtime(Arc::new(TokioRuntime))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .with_data_channel_send_buffer_limit(QUEUED)
        // A thread of its own for each peer.
        .with_dedicated_reactor_pool_size(1)
        .build()
        .await?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let total: usize = std::env::args().nth(1).ok_or("how many bytes?")?.parse()?;
    let (gathered, mut offer_ready) = unbounded_channel();
    let sender = peer(Handler { gathered, arrived: None, total }).await?;
    let (gathered, mut answer_ready) = unbounded_channel();
    let (arrived, mut done) = unbounded_channel();
    let receiver = peer(Handler { gathered, arrived: Some(arrived), total }).await?;

    let channel = sender.create_data_channel("bench", None).await?;
    sender.set_local_description(sender.create_offer(None).await?).await?;
    offer_ready.recv().await;
    let offer = sender.local_description().await.ok_or("no offer")?;
    receiver.set_remote_description(offer).await?;
    receiver.set_local_description(receiver.create_answer(None).await?).await?;
    answer_ready.recv().await;
    let answer = receiver.local_description().await.ok_or("no answer")?;
    sender.set_remote_description(answer).await?;

    while !matches!(channel.poll().await.ok_or("the channel closed")?, DataChannelEvent::OnOpen) {}
    let begin = Instant::now();
    let message = BytesMut::from(vec![0x5a; MESSAGE].as_slice());
    let mut left = total;
    while left > 0 {
        let mut message = message.clone();
        message.truncate(left);
        left -= message.len();
        channel.send(message).await?;
    }
    let end = done.recv().await.ok_or("it never arrived")?;
    let seconds = (end - begin).as_secs_f64();
    println!("{{\"event\":\"completed\",\"bytes\":{total},\"seconds\":{seconds}}}");
    // Saying goodbye is no part of it.
    std::process::exit(0)
}
