//! Numbers as people read them: sizes, rates, times and counts. What does not
//! live here: anything that knows what they are about.

use std::time::Duration;

/// `bytes` in decimal units with three digits, such as `1.23 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    }
    // Tenths and hundredths are cut, not rounded, so that 999 999 is no 1000 kB.
    let (mut unit, mut scale) = (0, 1_000_u64);
    while unit + 1 < UNITS.len() && bytes / scale >= 1_000 {
        scale *= 1_000;
        unit += 1;
    }
    let (whole, hundredths) = (bytes / scale, bytes % scale / (scale / 100));
    let number = match whole {
        100.. => format!("{whole}"),
        10.. => format!("{whole}.{}", hundredths / 10),
        _ => format!("{whole}.{hundredths:02}"),
    };
    format!("{number} {}", UNITS[unit])
}

/// `bytes` a second, such as `1.23 MB/s`.
pub fn rate(bytes: u64) -> String {
    format!("{}/s", size(bytes))
}

/// Bytes a second over `time`; 0 if no time has passed.
pub fn average(bytes: u64, time: Duration) -> u64 {
    let micros = time.as_micros();
    let rate = u128::from(bytes).saturating_mul(1_000_000).checked_div(micros).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// A time such as `0.4 s`, `59 s`, `1:07` or `2:00:05`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
    }
}

/// A number with its noun, such as `1 file` or `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A number of files as a phrase.
pub fn contents_of(files: u32) -> String {
    contents(files, 0)
}

/// Files and directories as one phrase.
pub fn contents(files: u32, directories: u32) -> String {
    let files_text = count(files.into(), "file", "files");
    let directories_text = count(directories.into(), "directory", "directories");
    match (files, directories) {
        (_, 0) => files_text,
        (0, _) => directories_text,
        _ => format!("{files_text} in {directories_text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_their_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_and_rates() {
        assert_eq!(time(Duration::from_millis(450)), "0.4 s");
        assert_eq!(time(Duration::from_secs(59)), "59 s");
        assert_eq!(time(Duration::from_secs(67)), "1:07");
        assert_eq!(time(Duration::from_secs(7_205)), "2:00:05");
        assert_eq!(average(500, Duration::from_millis(250)), 2_000);
        assert_eq!(average(500, Duration::ZERO), 0);
        assert_eq!(average(u64::MAX, Duration::from_micros(1)), u64::MAX);
    }

    #[test]
    fn contents_name_only_what_is_there() {
        assert_eq!(contents(1, 0), "1 file");
        assert_eq!(contents(0, 1), "1 directory");
        assert_eq!(contents(2, 3), "2 files in 3 directories");
    }
}
