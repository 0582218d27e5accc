//! The corpus of names (`spec/vectors/names.json`): what it holds, and that the
//! parser, the order and the collision keys agree with it. The names are the
//! same for every way out of the protocol: file system, terminal, HTML.

mod vector_file;

use std::collections::BTreeSet;

use passel_proto::escape;
use passel_proto::path::{PathError, SafePath};
use serde::Serialize;

#[derive(Serialize)]
struct Vectors {
    about: &'static str,
    spec: &'static str,
    names: Vec<NameCase>,
    pairs: Vec<Pair>,
}

#[derive(Serialize)]
struct NameCase {
    name: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    why: String,
}

#[derive(Serialize)]
struct Pair {
    first: String,
    second: String,
    /// How `first` compares with `second` in a manifest's order.
    order: &'static str,
    collide: bool,
    why: &'static str,
}

fn accept(names: &mut Vec<NameCase>, why: &str, list: &[&str]) {
    let add = |name: &&str| NameCase {
        name: (*name).into(),
        verdict: "accept",
        rule: None,
        why: why.into(),
    };
    names.extend(list.iter().map(add));
}

fn refuse(names: &mut Vec<NameCase>, rule: &'static str, why: &str, list: &[&str]) {
    let add = |name: &&str| NameCase {
        name: (*name).into(),
        verdict: "refuse",
        rule: Some(rule),
        why: why.into(),
    };
    names.extend(list.iter().map(add));
}

fn accepted() -> Vec<NameCase> {
    let mut names = Vec::new();
    let mut add = |why: &str, list: &[&str]| accept(&mut names, why, list);
    add("plain", &["a", "photo.jpg", "a/b/c.txt", "Makefile", "archive.tar.gz", "x y z"]);
    add("a leading dot or dots are a name", &[".bashrc", ".git/config", "..a", "...a", "a/..b"]);
    add("a dot or space inside or in front", &["a..b", "a. b", " a", "a/ b", "a .b"]);
    add(
        "letters of many writing systems, in NFC",
        &[
            "\u{e9}t\u{e9}.txt",
            "Stra\u{df}e",
            "\u{4e16}\u{754c}.txt",
            "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt",
            "\u{d55c}\u{ae00}",
            "\u{1f389}.png",
            "q\u{323}\u{307}",
        ],
    );
    add(
        "joiners and variation selectors, where they join",
        &[
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{2764}\u{fe0f}.png",
            "\u{1f469}\u{200d}\u{1f4bb}.png",
            "1\u{fe0f}\u{20e3}",
            "\u{845b}\u{e0100}",
        ],
    );
    add(
        "a hyphen in front is a name; a command line guards itself",
        &["-rf", "--help", "a/-x", "-"],
    );
    add(
        "harmless to Linux though Windows cannot store it (MF-PATH-UNSTORABLE)",
        &["what?.txt", "a*b", "a<b>c", "say \"hi\"", "a|b"],
    );
    add(
        "harmless to a file system; shells and HTML have escapes",
        &[
            "$(reboot)",
            "`id`",
            "a;b",
            "a&b",
            "it's",
            "%2e%2e%2fetc",
            "&lt;b&gt;",
            "~",
            "~root",
            "#a",
            "!x",
            "${HOME}",
        ],
    );
    add(
        "only begins like a device",
        &[
            "CONSOLE",
            "con1",
            "COM",
            "COM10",
            "LPT",
            "lpt12.txt",
            "COMA",
            "nul-a",
            "a.nul",
            "a.con.txt",
            "CONIN",
            "COM\u{2074}",
            "xCON",
            "AUXX",
            "NUL_",
        ],
    );
    add(
        "looks like a slash, a dot or a colon and is none",
        &["a\u{2215}b", "\u{2024}\u{2024}", "a\u{ff0f}b", "a\u{a789}b", "\u{ff0e}\u{ff0e}"],
    );
    add("a private-use character", &["\u{e000}"]);
    add(
        "as long as a component may be",
        &[&"x".repeat(255), &format!("{}x", "\u{e9}".repeat(127))],
    );
    add("as deep as a path may be", &[&["d"; 64].join("/")]);
    add(
        "as long as a path may be",
        &[&[&*"x".repeat(255), &"y".repeat(255), &"z".repeat(255), &"w".repeat(253), "v"]
            .join("/")],
    );
    names
}

fn refused() -> Vec<NameCase> {
    let mut names = Vec::new();
    let mut add = |rule, why: &str, list: &[&str]| refuse(&mut names, rule, why, list);
    add("MF-PATH-EMPTY", "nothing", &[""]);
    let long = [&*"x".repeat(255); 4].join("/");
    add("MF-PATH-LONG", "1025 bytes", &[&format!("{long}/y")]);
    add("MF-PATH-LONG", "1026 bytes in fewer characters", &[&"\u{e9}".repeat(513)]);
    add("MF-PATH-ABSOLUTE", "from the root", &["/", "/etc/passwd", "/a", "/.."]);
    add("MF-PATH-ABSOLUTE", "a network share, with slashes", &["//server/share/a", "//?/C"]);
    add("MF-PATH-COMPONENT-EMPTY", "an empty component", &["a//b", "a/", "a/b/", "a///b"]);
    add(
        "MF-PATH-DOTS",
        "up, or nowhere",
        &[".", "..", "../a", "../../etc/passwd", "a/..", "a/../b", "./a", "a/.", "a/./b"],
    );
    add(
        "MF-PATH-BACKSLASH",
        "a separator of Windows",
        &[
            "a\\b",
            "..\\a",
            "\\a",
            "\\\\server\\share",
            "\\\\.\\PhysicalDrive0",
            "a\\",
            "a/..\\..\\b",
        ],
    );
    add("MF-PATH-BACKSLASH", "told before what stands behind it", &["\\\\?\\C:\\a"]);
    add("MF-PATH-COLON", "a drive", &["C:", "C:a", "c:/a", "a/C:/b"]);
    add("MF-PATH-COLON", "a stream of NTFS", &["a:b", "a.txt:hidden", "a.txt::$DATA", "a/b:c"]);
    add("MF-PATH-COLON", "a scheme", &["file:///etc/passwd", "http://a/b"]);
    add("MF-PATH-CONTROL", "NUL, which ends a name in C", &["\0", "a\0", "a.txt\0.exe"]);
    add("MF-PATH-CONTROL", "line ends and tabs", &["a\nb", "a\rb", "a\tb", "a\n"]);
    add(
        "MF-PATH-CONTROL",
        "steers a terminal",
        &[
            "\u{1b}[2J",
            "a\u{1b}]0;title\u{7}",
            "\u{8}\u{8}\u{8}a",
            "a\u{7f}b",
            "\u{9b}31m",
            "a\u{85}b",
            "a\u{90}b",
            "a/\u{1f}",
        ],
    );
    add(
        "MF-PATH-BIDI",
        "reorders what is shown",
        &[
            "gpj\u{202e}exe.",
            "a\u{202a}b",
            "a\u{202b}b",
            "a\u{202c}b",
            "a\u{202d}b",
            "a\u{2066}b",
            "a\u{2067}b",
            "a\u{2068}b",
            "a\u{2069}b",
            "a\u{200e}b",
            "a\u{200f}b",
            "a\u{61c}b",
        ],
    );
    add(
        "MF-PATH-INVISIBLE",
        "leaves no mark",
        &[
            "a\u{ad}b",
            "a\u{34f}b",
            "a\u{200b}b",
            "a\u{2060}b",
            "a\u{2064}b",
            "a\u{206a}b",
            "\u{feff}a",
            "\u{3164}",
            "\u{ffa0}",
            "a\u{115f}b",
            "a\u{17b5}b",
            "a\u{180e}b",
            "a\u{fffb}b",
            "a\u{1bca0}b",
            "a\u{1d173}b",
            "a\u{e0041}b",
            "a\u{e0fff}b",
        ],
    );
    add("MF-PATH-INVISIBLE", "breaks the line", &["a\u{2028}b", "a\u{2029}b"]);
    add(
        "MF-PATH-INVISIBLE",
        "is no character",
        &["a\u{fdd0}", "a\u{ffff}", "a\u{fffe}", "a\u{10ffff}"],
    );
    add(
        "MF-PATH-JOINER",
        "a joiner with nothing to join",
        &["\u{200d}", "\u{200c}a", "a/\u{fe0f}b", "\u{e0100}", "\u{180b}a"],
    );
    add("MF-PATH-NFC", "decomposed", &["e\u{301}", "a/u\u{308}.txt", "\u{1112}\u{1161}\u{11ab}"]);
    add("MF-PATH-NFC", "marks in another order", &["q\u{307}\u{323}"]);
    add(
        "MF-PATH-NFC",
        "a character that normalization replaces",
        &["\u{212b}", "\u{2126}", "\u{f900}"],
    );
    add("MF-PATH-DEPTH", "65 components", &[&["d"; 65].join("/")]);
    add("MF-PATH-COMPONENT-LONG", "256 bytes", &[&"x".repeat(256), &"\u{e9}".repeat(128)]);
    add(
        "MF-PATH-COMPONENT-LONG",
        "256 bytes, in a directory",
        &[&format!("a/{}", "x".repeat(256))],
    );
    add(
        "MF-PATH-TRAILING",
        "Windows drops what stands at the end",
        &[
            "a.", "a ", "a..", "a. ", "a .", "...", " ", "a./b", "a /b", "a/b.", ".. ", ".. /a",
            ". ",
        ],
    );
    add("MF-PATH-DEVICE", "a device", &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]);
    add("MF-PATH-DEVICE", "a device in any case", &["con", "nUl", "Com1", "conin$"]);
    add(
        "MF-PATH-DEVICE",
        "a device with an extension",
        &["nul.txt", "CON.tar.gz", "aux.c", "com1.log", "conout$.a", "nul..a"],
    );
    add("MF-PATH-DEVICE", "a device and spaces", &["nul .txt", "CON  .a"]);
    add("MF-PATH-DEVICE", "a device as a directory", &["a/con/b", "aux/a", "a/b/lpt1"]);
    add("MF-PATH-DEVICE", "a port", &["COM0", "COM9", "LPT0", "LPT9", "lpt5.txt"]);
    add(
        "MF-PATH-DEVICE",
        "a port with a superscript digit",
        &["COM\u{b9}", "COM\u{b2}", "com\u{b3}.txt", "LPT\u{b9}", "lpt\u{b2}", "LPT\u{b3}"],
    );
    names
}

fn pairs() -> Vec<Pair> {
    let pair = |first: &str, second: &str, order, collide, why| Pair {
        first: first.into(),
        second: second.into(),
        order,
        collide,
        why,
    };
    vec![
        pair("a", "a", "equal", true, "the same path"),
        pair("a", "b", "less", false, "bytewise"),
        pair("B", "a", "less", false, "upper case comes first"),
        pair("a", "a/b", "less", false, "a directory before its content"),
        pair("a/b", "a.b", "less", false, "its content before what only begins like it"),
        pair("a/b", "a!b", "less", false, "a slash is lower than every other character"),
        pair("a/z", "a-b/c", "less", false, "by component, not by character"),
        pair("z", "\u{e9}", "less", false, "bytes of UTF-8"),
        pair("\u{ff5e}", "\u{10000}", "less", false, "bytes of UTF-8, not units of UTF-16"),
        pair("README", "readme", "less", true, "case of ASCII"),
        pair("a/B", "a/b", "less", true, "case in a directory"),
        pair("A/b", "a/b", "less", true, "case of a directory"),
        pair("\u{c9}", "\u{e9}", "less", true, "case of letters with accents"),
        pair("\u{3a3}", "\u{3c2}", "less", true, "a final sigma"),
        pair("\u{3c2}", "\u{3c3}", "less", true, "a final sigma and another"),
        pair("s", "\u{17f}", "less", true, "a long s"),
        pair("ss", "\u{df}", "less", true, "a sharp s, as full case folding has it"),
        pair("\u{df}", "\u{1e9e}", "less", true, "a capital sharp s"),
        pair("fi", "\u{fb01}", "less", true, "a ligature"),
        pair("i", "\u{131}", "less", false, "a dotless i is a letter of its own"),
        pair("i", "\u{130}", "less", false, "a dotted capital I folds to two code points"),
        pair("\u{2764}", "\u{2764}\u{fe0f}", "less", true, "a variation selector is dropped"),
        pair("ab", "a\u{200d}b", "less", true, "a joiner is dropped"),
        pair("e", "\u{e9}", "less", false, "an accent counts"),
        pair("a", "\u{430}", "less", false, "letters that look alike are not the same"),
        pair("a", "\u{ff41}", "less", false, "a wide letter is another"),
        pair("\u{1c5}", "\u{1c6}", "less", true, "title case"),
        pair("\u{10400}", "\u{10428}", "less", true, "case beyond the first plane"),
    ]
}

#[test]
fn the_parser_agrees_with_the_corpus() {
    let names: Vec<NameCase> = accepted().into_iter().chain(refused()).collect();
    for NameCase { name, rule, why, .. } in &names {
        let told = SafePath::parse(name).err().map(PathError::rule);
        assert_eq!(told, *rule, "{why}: {}", escape::for_terminal(name));
    }
    let vectors = Vectors {
        about: "Names that a manifest may hold or not. Where a name breaks more rules than one, `rule` \
                is the one that the spec's order tells first; refusing for another is as good. `pairs` \
                holds the order of paths, and which of them collide.",
        spec: "spec/06-manifest.md#names",
        names,
        pairs: pairs(),
    };
    vector_file::check("names.json", &vectors);
}

#[test]
fn the_corpus_is_large_distinct_and_covers_every_rule() {
    let (accepted, refused) = (accepted(), refused());
    let distinct: BTreeSet<&str> =
        accepted.iter().chain(&refused).map(|name| name.name.as_str()).collect();
    assert_eq!(distinct.len(), accepted.len() + refused.len());
    assert!(distinct.len() >= 200 && accepted.len() >= 60, "{}", distinct.len());
    let rules: BTreeSet<_> = refused.iter().filter_map(|name| name.rule).collect();
    assert_eq!(rules, PathError::ALL.into_iter().map(PathError::rule).collect());
}

// MF-ORDER, MF-FOLD
#[test]
fn order_and_collisions_agree_with_the_corpus() {
    for Pair { first, second, order, collide, why } in pairs() {
        let (first, second) = (SafePath::parse(&first).unwrap(), SafePath::parse(&second).unwrap());
        let told = match first.cmp(&second) {
            std::cmp::Ordering::Less => "less",
            std::cmp::Ordering::Equal => "equal",
            std::cmp::Ordering::Greater => "greater",
        };
        assert_eq!(told, order, "{why}");
        assert_eq!(first.collision_key() == second.collision_key(), collide, "{why}");
    }
}

// MF-SHOW-ESCAPED, MF-SHOW-HTML
#[test]
fn hostile_names_are_harmless_where_they_are_shown() {
    for NameCase { name, .. } in accepted().into_iter().chain(refused()) {
        let terminal = escape::for_terminal(&name);
        assert!(
            !terminal.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
        );
        assert!(!escape::for_html(&name).contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}']));
    }
}
