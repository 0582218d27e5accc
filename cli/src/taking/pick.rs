//! Which entries somebody picks: by patterns, by the numbers of a list, or by the
//! places in the `offer` event. A directory stands for all that is in it.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use passel_proto::ids::FileIndex;
use passel_proto::manifest::Entry;
use passel_proto::ranges::RangeSet;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_024;
/// Most patterns, and most ranges of numbers, at once.
const MAX_PARTS: usize = 10_000;

/// What is picked of an offer.
#[derive(Clone, Debug, Default)]
pub enum Pick {
    /// Everything.
    #[default]
    All,
    /// Entries by their place in the manifest.
    Places(RangeSet),
    /// Entries by patterns.
    Matching(Box<GlobSet>),
}

/// A pattern of the command line. `*` and `?` stay within a component, `**` does not.
pub fn pattern(text: &str) -> Result<Glob, String> {
    if text.is_empty() || text.len() > MAX_PATTERN {
        return Err(format!("a pattern has 1 to {MAX_PATTERN} bytes"));
    }
    // A directory may be named with its slash, as shells complete it.
    let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    glob.map_err(|error| error.kind().to_string())
}

/// All of these as one.
fn set(globs: &[Glob]) -> Result<GlobSet, String> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    builder.build().map_err(|error| error.kind().to_string())
}

/// Whether a pattern matches an entry, or a directory that it lies in, by the whole
/// path or by the name alone.
fn matches(set: &GlobSet, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.into_iter().any(|end| {
        let path = &path[..end];
        set.is_match(path) || path.rsplit('/').next().is_some_and(|name| set.is_match(name))
    })
}

/// The patterns of `--only` and `--skip`.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    only: Option<GlobSet>,
    skip: Option<GlobSet>,
}

impl Patterns {
    /// Puts them together; no pattern of `only` means everything.
    pub fn new(only: &[Glob], skip: &[Glob]) -> Result<Self, String> {
        let set = |globs: &[Glob]| if globs.is_empty() { Ok(None) } else { set(globs).map(Some) };
        Ok(Self { only: set(only)?, skip: set(skip)? })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.only.is_none() && self.skip.is_none()
    }

    /// Whether an entry of this path is to be taken.
    pub fn want(&self, path: &str) -> bool {
        self.only.as_ref().is_none_or(|only| matches(only, path))
            && self.skip.as_ref().is_none_or(|skip| !matches(skip, path))
    }
}

impl Pick {
    /// What a person typed: numbers such as `1-3,7`, counted from 1 up to `entries`,
    /// or patterns with spaces between them.
    pub fn parse(text: &str, entries: u32) -> Result<Self, String> {
        let is_numbers = text.bytes().all(|b| b.is_ascii_digit() || b" ,-".contains(&b));
        if !is_numbers {
            let globs = text.split_whitespace().take(MAX_PARTS).map(pattern);
            return Ok(Self::Matching(Box::new(set(&globs.collect::<Result<Vec<_>, _>>()?)?)));
        }
        let mut places = RangeSet::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()).take(MAX_PARTS) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<u32>().ok().and_then(|n| n.checked_sub(1));
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(format!("'{part}' is no number of the list"));
            };
            add(&mut places, first, last, entries)
                .map_err(|()| format!("'{part}' is not in the list"))?;
        }
        if places.is_empty() {
            return Err("nothing was selected".to_owned());
        }
        Ok(Self::Places(places))
    }

    /// Entries by ranges of places, counted from 0, both ends included.
    pub fn of_places(ranges: &[(u32, u32)], entries: u32) -> Result<Self, String> {
        let mut places = RangeSet::new();
        for (first, last) in ranges {
            add(&mut places, *first, *last, entries)
                .map_err(|()| format!("{first} to {last} are not places of the offer"))?;
        }
        Ok(Self::Places(places))
    }

    /// Says of one entry after the other, in the manifest's order, whether it is picked.
    pub fn picker(&self) -> impl FnMut(FileIndex, &Entry) -> bool + '_ {
        let mut within: Option<String> = None;
        move |index, entry| {
            let path = entry.path.as_str();
            let places = match self {
                Self::All => return true,
                Self::Matching(set) => return matches(set, path),
                Self::Places(places) => places,
            };
            let inside = within.as_deref().is_some_and(|top| {
                path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
            });
            if inside {
                return true;
            }
            let picked = places.contains(index.0.into());
            if picked && entry.is_directory() {
                within = Some(path.to_owned());
            }
            picked
        }
    }
}

fn add(places: &mut RangeSet, first: u32, last: u32, entries: u32) -> Result<(), ()> {
    if first > last || last >= entries {
        return Err(());
    }
    places.insert(u64::from(first)..u64::from(last) + 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use passel_proto::manifest::{EntryKind, ManifestBuilder};
    use passel_proto::path::SafePath;

    const PATHS: [&str; 6] = ["a.jpg", "d/", "d/b.jpg", "d/e/", "d/e/c.txt", "f.txt"];

    fn picked(pick: &Pick) -> Vec<u32> {
        let mut builder = ManifestBuilder::new();
        for path in PATHS {
            let file = EntryKind::File { size: Some(1), executable: false, mime: None, root: None };
            let kind = if path.ends_with('/') { EntryKind::Directory } else { file };
            let path = SafePath::parse(path.trim_end_matches('/')).unwrap();
            builder.push(&Entry { path, kind, modified: None }).unwrap();
        }
        let manifest = builder.finish().unwrap();
        let mut picker = pick.picker();
        let picked = manifest.iter().filter(|(index, entry)| picker(*index, entry));
        picked.map(|(index, _)| index.0).collect()
    }

    fn typed(text: &str) -> Vec<u32> {
        picked(&Pick::parse(text, 6).unwrap())
    }

    #[test]
    fn numbers_and_their_ranges_pick_and_directories_stand_for_what_is_in_them() {
        assert_eq!(typed("1"), [0]);
        assert_eq!(typed("1,6"), [0, 5]);
        assert_eq!(typed("2"), [1, 2, 3, 4]);
        assert_eq!(typed("3-4, 6"), [2, 3, 4, 5]);
        for text in ["0", "7", "1-7", "3-1", "-", "1-2-3", "99999999999", " , "] {
            assert!(Pick::parse(text, 6).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_paths_names_and_directories_above() {
        assert_eq!(typed("*.jpg"), [0, 2]);
        assert_eq!(typed("d/*"), [2, 3, 4]);
        assert_eq!(typed("e f.txt"), [3, 4, 5]);
        assert_eq!(typed("**/*.txt"), [4, 5]);
        assert!(Pick::parse("[", 6).is_err());
    }

    #[test]
    fn skip_comes_after_only() {
        let globs = |texts: &[&str]| texts.iter().map(|t| pattern(t).unwrap()).collect::<Vec<_>>();
        let patterns = Patterns::new(&globs(&["d/"]), &globs(&["*.txt"])).unwrap();
        assert!(patterns.want("d/b.jpg") && patterns.want("d"));
        assert!(!patterns.want("d/e/c.txt") && !patterns.want("a.jpg"));
        assert!(Patterns::default().want("x") && Patterns::default().is_empty());
    }

    #[test]
    fn places_of_programs_count_from_0() {
        assert_eq!(picked(&Pick::of_places(&[(0, 0), (5, 5)], 6).unwrap()), [0, 5]);
        assert!(Pick::of_places(&[(0, 6)], 6).is_err());
        assert!(Pick::of_places(&[(2, 1)], 6).is_err());
        assert!(picked(&Pick::of_places(&[], 6).unwrap()).is_empty());
    }
}
