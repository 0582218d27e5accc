//! What a process and its children use, taken from the Linux kernel's account in
//! `/proc` while they run.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How often the kernel is asked.
const INTERVAL: Duration = Duration::from_millis(10);
/// How often children are looked for, which means going through all processes.
const LOOK: Duration = Duration::from_millis(250);
/// Ticks a second of the times in `/proc/PID/stat`, the same on all machines.
const TICKS: f64 = 100.0;

/// What processes used in all their life.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time in seconds, for themselves and in the kernel.
    pub(super) processor: f64,
    /// Highest resident memory of the largest, in KiB.
    pub(super) peak: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    state: char,
    parent: u32,
    /// User and system time in seconds.
    processor: f64,
}

/// Follows a process until it has ended and nobody waited for it yet. Of a child
/// that ends before, what it used last is kept.
pub(super) fn follow(root: u32) -> Result<Usage, String> {
    let mut family = BTreeMap::from([(root, Usage::default())]);
    let mut looked = Instant::now();
    loop {
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            add_children(&mut family);
        }
        for (id, usage) in &mut family {
            if let Some(stat) = stat(*id) {
                usage.processor = stat.processor;
            }
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            usage.peak = high_water(&status).unwrap_or(usage.peak);
        }
        let stat = stat(root).ok_or("a process was not measured")?;
        // A zombie: its memory is gone, and its times are final.
        if stat.state == 'Z' {
            let peak = family.values().map(|usage| usage.peak).max().unwrap_or(0);
            let processor = family.values().map(|usage| usage.processor).sum();
            if peak == 0 {
                return Err("a process was too short to be measured".to_owned());
            }
            return Ok(Usage { processor, peak });
        }
        thread::sleep(INTERVAL);
    }
}

/// Adds the children of those that are followed.
fn add_children(family: &mut BTreeMap<u32, Usage>) {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, stat(id)?.parent))).collect();
    let mut known = 0;
    while known != family.len() {
        known = family.len();
        for (id, parent) in &parents {
            if family.contains_key(parent) {
                family.entry(*id).or_default();
            }
        }
    }
}

fn stat(id: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The highest resident memory in KiB. The kernel's number only grows, so that at
/// most the last moments are missed.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The program's name stands in brackets and may hold anything.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let user: u32 = fields.nth(9)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Stat { state, parent, processor: (f64::from(user) + f64::from(system)) / TICKS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_lines_are_read() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"), Some(12345));
        assert_eq!(high_water("Name:\tx\n"), None);
        let stat = "7 (a) b) Z 1 7 7 0 -1 4 5 6 7 8 150 25 9 10 20";
        let expected = Stat { state: 'Z', parent: 1, processor: 1.75 };
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn children_are_found_by_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut family = BTreeMap::from([(std::process::id(), Usage::default())]);
        add_children(&mut family);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains_key(&child.id()));
        assert!(!family.contains_key(&1));
    }
}
