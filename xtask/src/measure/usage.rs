//! What a process uses, as the Linux kernel accounts for it in `/proc`.

use std::fs;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Ticks a second of the times in `/proc/PID/stat`, the same on all machines.
const TICKS: f64 = 100.0;
const INTERVAL: Duration = Duration::from_millis(10);

/// What a process used in all its life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Processor time in seconds, for itself and in the kernel.
    pub(super) processor: f64,
    /// Highest resident memory in KiB.
    pub(super) peak: u64,
}

/// Follows a process to its end.
pub(super) struct Watch(Receiver<Result<Usage, String>>);

impl Watch {
    /// Begins. Nobody may wait for the process before [`Watch::finish`] has returned.
    pub(super) fn start(pid: u32) -> Self {
        let (to, result) = channel();
        thread::spawn(move || {
            // Whoever wanted to know may be gone.
            let _ = to.send(follow(pid));
        });
        Self(result)
    }

    /// What it used, once it has ended, which must be before `end`.
    pub(super) fn finish(&self, end: Instant) -> Result<Usage, String> {
        let left = end.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left).map_err(|_| "a process does not end".to_owned())?
    }
}

fn follow(pid: u32) -> Result<Usage, String> {
    let mut peak = None;
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        peak = high_water(&status).or(peak);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(|error| format!("a process was not measured: {error}"))?;
        let (state, processor) = state_and_time(&stat).ok_or("/proc/PID/stat has another form")?;
        // A zombie: its memory is gone, and its times are final.
        if state == 'Z' {
            let peak = peak.ok_or("a process was too short to be measured")?;
            return Ok(Usage { processor, peak });
        }
        thread::sleep(INTERVAL);
    }
}

/// The highest resident memory in KiB. The kernel's number only grows, so that at
/// most the last moments are missed.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The state's letter, and user and system time in seconds.
fn state_and_time(stat: &str) -> Option<(char, f64)> {
    // The program's name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let user: u32 = fields.nth(10)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((state, (f64::from(user) + f64::from(system)) / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_lines_are_read() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12345));
        assert_eq!(high_water("Name:\tx\n"), None);
        let stat = "7 (a) b) Z 1 7 7 0 -1 4 5 6 7 8 150 25 9 10 20";
        assert_eq!(state_and_time(stat), Some(('Z', 1.75)));
        assert_eq!(state_and_time("7 (a"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_followed_to_its_end() {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let mut child = std::process::Command::new("sh").args(["-c", work]).spawn().unwrap();
        let watch = Watch::start(child.id());
        let usage = watch.finish(Instant::now() + Duration::from_secs(60)).unwrap();
        child.wait().unwrap();
        assert!(usage.peak > 100, "{usage:?}");
        assert!(usage.processor > 0.0 && usage.processor < 60.0, "{usage:?}");
    }
}
