//! Arguments of `passel recv` that say what is taken of an offer: limits, media
//! types, patterns and a scanner. What does not live here: what they do.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use globset::Glob;
use passel_proto::policy::{DEFAULT_MAX_FILE, Policy, TypeRule, TypeRules};

use crate::files::scan::Scanner;
use crate::taking::pattern;

/// What is taken of an offer.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is taken")]
pub struct TakingArgs {
    /// Leave out files above this size, such as 500MB, 2GiB or none
    /// [default: 500MB with --yes; if you are asked, your answer counts]
    #[arg(long, value_name = "SIZE")]
    pub max_file: Option<Size>,
    /// Refuse more than this in one offer [default: none]
    #[arg(long, value_name = "SIZE")]
    pub max_total: Option<Size>,
    /// Refuse more than this many files in one offer [default: none]
    #[arg(long, value_name = "N")]
    pub max_files: Option<u32>,
    /// Take only what matches, such as '*.jpg' or photos; can be given again
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    pub only: Vec<Glob>,
    /// Leave out what matches, such as node_modules; can be given again
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    pub skip: Vec<Glob>,
    /// Take only files of these media types, such as image/*,text/plain, by what is
    /// in them
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub allow_type: Vec<TypeRule>,
    /// Take no files of these media types, such as application/x-executable
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub deny_type: Vec<TypeRule>,
    /// Run COMMAND, with the path of each file added to it, before the file gets its
    /// name; an exit code other than 0 refuses the file. No shell is involved
    #[arg(long, value_name = "COMMAND")]
    pub scan: Option<Scanner>,
    /// Seconds that the scanner may take for one file; after that it is refused
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "scan",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub scan_timeout: u32,
}

impl TakingArgs {
    /// The rules for an offer. Where a person, or a program, sees the list and its
    /// sizes before saying yes, the limit that nobody asked for does not apply.
    pub fn policy(&self, is_asked: bool) -> Policy {
        let default = Size(if is_asked { None } else { Some(DEFAULT_MAX_FILE) });
        Policy {
            max_file: self.max_file.unwrap_or(default).0,
            max_total: self.max_total.and_then(|size| size.0),
            max_files: self.max_files,
            types: TypeRules { allow: self.allow_type.clone(), deny: self.deny_type.clone() },
        }
    }

    /// Longest time that the scanner may take for one file.
    pub fn scan_timeout(&self) -> Duration {
        Duration::from_secs(self.scan_timeout.into())
    }
}

/// A limit in bytes, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub Option<u64>);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a size is a number with a unit, such as 500MB or 1.5GiB, or none";
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let scale: u128 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "t" | "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(FORM),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        // More digits than these could not be told apart anyway.
        if whole.len() > 20 || fraction.len() > 9 {
            return Err(FORM);
        }
        let whole: u128 = whole.parse().map_err(|_| FORM)?;
        let parts: u128 = fraction.parse().map_err(|_| FORM)?;
        let places = u32::try_from(fraction.len()).map_err(|_| FORM)?;
        let bytes = whole * scale + parts * scale / 10_u128.pow(places);
        u64::try_from(bytes).map(|bytes| Self(Some(bytes))).map_err(|_| FORM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("500MB", 500_000_000),
            ("2GiB", 2 << 30),
            ("1.5g", 1_500_000_000),
            ("0.5 KiB", 512),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Size(Some(bytes))), "{text}");
        }
        assert_eq!("none".parse(), Ok(Size(None)));
        let digits = "9".repeat(40);
        for text in
            ["", "MB", "-1", "1.", "1.2.3MB", "5 XB", "1e9", "18446744073709551616", &digits]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
