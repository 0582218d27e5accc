//! Somebody's own tokio programs on the simulator's stage, in the place of ours:
//! a server that keeps numbers in a file, and a client that hands them over and
//! starts again after each failure. Both are killed and cut off from each other;
//! in the end the file must hold every number once and in order.
//!
//! ```text
//! cargo run -p passel-sim --example own_program -- 7
//! ```
//!
//! What a program needs for this: its sockets are `turmoil::net`'s in place of
//! `tokio::net`'s, its time is `tokio::time`'s, and it waits for several things
//! with `select! { biased; … }`. What it writes to the directory of its host is
//! there again when it is started after a crash.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use passel_sim::oracle::Broken;
use passel_sim::rng::Draw;
use passel_sim::t2::stage::{Host, Played, Seat, on_own_thread, play};
use passel_sim::t2::{Fault, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

const SERVER: usize = 0;
const CLIENT: usize = 1;
const PORT: u16 = 7000;
/// How many numbers there are.
const NUMBERS: u32 = 40;
/// How long the client waits for an answer before it tries again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The server: takes a number if it is the next one, and answers how many it has.
async fn serve(seat: Seat, file: PathBuf) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    seat.finish();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (seat, file) = (seat.clone(), file.clone());
        tokio::spawn(async move {
            while let Ok(number) = stream.read_u32().await {
                let mut kept = count(&file);
                if number == kept {
                    append(&file, number)?;
                    kept += 1;
                    seat.note(&format!("has {kept}"));
                }
                stream.write_u32(kept).await?;
            }
            Ok::<_, io::Error>(())
        });
    }
}

fn count(file: &Path) -> u32 {
    let bytes = std::fs::metadata(file).map_or(0, |found| found.len());
    u32::try_from(bytes / 4).unwrap_or(u32::MAX)
}

fn append(file: &Path, number: u32) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(&number.to_be_bytes())
}

/// The client: asks for what is missing until nothing is.
async fn hand_over(seat: &Seat) -> io::Result<()> {
    let server = SocketAddr::new(seat.addresses[SERVER], PORT);
    let mut stream = TcpStream::connect(server).await?;
    let mut next = 0;
    while next < NUMBERS {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_u32(next).await?;
        let answer = tokio::time::timeout(PATIENCE, stream.read_u32()).await;
        next = answer.map_err(|_| io::ErrorKind::TimedOut)??;
        seat.note(&format!("is told {next}"));
    }
    Ok(())
}

/// Faults drawn from a seed.
fn stage(seed: u64) -> Stage {
    let mut draw = Draw::new(seed, "faults of the example");
    let faults = (0..3).map(|_| {
        let (at_ms, for_ms) = (draw.below(4000), draw.between(50, 2000));
        match draw.below(3) {
            0 => Fault::Partition { between: [SERVER, CLIENT], at_ms, for_ms },
            1 => Fault::Hold { between: [SERVER, CLIENT], at_ms, for_ms },
            _ => Fault::Crash { host: draw.pick(&[SERVER, CLIENT]), at_ms, for_ms },
        }
    });
    Stage { seed, v6: false, latency_ms: (1, 20), faults: faults.collect(), bound_ms: 60_000 }
}

/// Plays it once under the faults of a seed.
///
/// # Errors
///
/// There is no room for temporary files.
pub(crate) fn play_once(seed: u64) -> io::Result<Played> {
    let disk = std::env::temp_dir().join(format!("own-program-{}-{seed}", std::process::id()));
    std::fs::create_dir(&disk)?;
    let file = disk.join("numbers");
    let played = on_own_thread(seed, || {
        let kept = file.clone();
        let server = Host {
            name: "server",
            disk: Some(disk.clone()),
            program: Box::new(move |seat| {
                let running = serve(seat, kept.clone());
                Box::pin(async { running.await.unwrap_or_default() })
            }),
        };
        let client = Host {
            name: "client",
            disk: None,
            program: Box::new(|seat| {
                Box::pin(async move {
                    while let Err(error) = hand_over(&seat).await {
                        seat.note(&format!("fails: {:?}", error.kind()));
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    seat.finish();
                })
            }),
        };
        // What must be true at every moment.
        let mut check = |_now_ms| {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let numbers = (0..NUMBERS).flat_map(u32::to_be_bytes);
            if numbers.zip(&bytes).all(|(expected, found)| expected == *found) {
                return Ok(());
            }
            let detail = format!("{} bytes", bytes.len());
            Err(Broken { invariant: "numbers are kept once and in order", detail })
        };
        play(&stage(seed), vec![server, client], true, &mut check)
    });
    std::fs::remove_dir_all(&disk)?;
    Ok(played)
}

#[allow(dead_code, reason = "a test takes this file in as a module")]
fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let played = play_once(seed)?;
    let mut out = io::stdout().lock();
    for line in &played.trace {
        writeln!(out, "{line}")?;
    }
    match &played.broken {
        None => writeln!(out, "all is well; the run's hash is {}", played.semantic_hash),
        Some(broken) => writeln!(out, "seed {seed}: {broken}"),
    }
}
