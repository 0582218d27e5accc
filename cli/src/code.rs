//! Invitations as people carry them: the short code (`7-crystal-clock`) and the
//! link whose fragment holds the secret. Here they are read, tolerantly, and
//! written, in one form only. What does not live here: how a code becomes a key
//! (`passel-proto`) and who is reached through a nameplate (the rendezvous).

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bip39::Language;
use passel_proto::escape::for_terminal;
use url::Url;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Number of words in a code, each worth 11 bits. One wrong guess burns a code.
pub const WORDS_COUNT: usize = 2;
/// Fewest letters that a shortened word may have; BIP-39's words differ within them.
const MIN_PREFIX: usize = 4;
/// Longest line that is read as an invitation, in bytes.
const MAX_LINE: u64 = 4_096;
/// Longest routing id in a link, in bytes.
const MAX_SESSION: usize = 64;
/// Environment variable that may hold an invitation, kept out of the process list.
pub const CODE_VARIABLE: &str = "PASSEL_CODE";

/// The 256-bit secret of a link. It is wiped when dropped and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret([u8; 32]);

impl LinkSecret {
    /// A secret from 32 bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the key schedule.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

/// What one side gives to the other so that both meet and know each other.
#[derive(Clone, PartialEq, Eq)]
pub enum Invitation {
    /// A short code, to be said aloud.
    Code {
        /// Where to meet; no secret.
        nameplate: u32,
        /// The secret words in lower case, joined by one dash.
        words: Zeroizing<String>,
    },
    /// A mere place to meet, for sides that have a key already or compare words.
    Bare {
        /// Where.
        at: Place,
        /// What takes the secret's place.
        kind: Bare,
    },
    /// A link.
    Link {
        /// The rendezvous server, with a path that ends in `/`.
        server: Url,
        /// The routing id of the session; no secret.
        session: String,
        /// What only the two sides know. It stands in the link's fragment,
        /// which no client sends to a server.
        secret: LinkSecret,
    },
}

/// Where two sides meet; no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By a nameplate, at a server that both know.
    Nameplate(u32),
    /// By a link.
    Session {
        /// The rendezvous server, with a path that ends in `/`.
        server: Url,
        /// The routing id of the session.
        session: String,
    },
}

/// What takes the place of a secret in an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Both sides compare words and digits.
    Sas,
    /// Both sides have the same key.
    Psk,
}

impl Bare {
    /// The word that stands in a code or a link where a secret would. It is none
    /// of the words of a code, so that no slip makes one of the other.
    fn word(self) -> &'static str {
        match self {
            Bare::Sas => "sas",
            Bare::Psk => "psk",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Bare::Sas, Bare::Psk].into_iter().find(|kind| word.eq_ignore_ascii_case(kind.word()))
    }
}

impl fmt::Debug for Invitation {
    /// Shows the routing part and never the secret (`SC-SECRETS-HIDDEN`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { nameplate, .. } => write!(f, "Code({nameplate}-…)"),
            Self::Bare { .. } => write!(f, "{}", self.to_text().as_str()),
            Self::Link { server, session, .. } => {
                write!(f, "Link({server}t/{}#…)", for_terminal(session))
            }
        }
    }
}

/// Why a text is no invitation. The texts of these errors never hold a word of
/// the list or a part of a link's secret.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Nothing was given.
    #[error(
        "no code or link was given; pass it as the argument, in {CODE_VARIABLE}, or on standard input"
    )]
    Empty,
    /// Neither a code nor a link.
    #[error(
        "this is neither a code nor a link; a code is a number and {WORDS_COUNT} words, such as 7-crystal-clock"
    )]
    Form,
    /// The number in front of the words is missing or too large.
    #[error("a code begins with a number, such as 7 in 7-crystal-clock")]
    Nameplate,
    /// Too few or too many words.
    #[error("a code has {WORDS_COUNT} words after its number, and {0} were given")]
    WordCount(usize),
    /// A word that is not in the list.
    #[error("'{word}' is not a word of a code; did you mean '{suggestion}'?")]
    UnknownWord {
        /// What was typed, escaped.
        word: String,
        /// The most similar word of the list.
        suggestion: &'static str,
    },
    /// A link that is not `https://HOST/t/ID#SECRET`.
    #[error("the link is not complete; copy all of it, from http to the last letter after the #")]
    Link,
    /// Standard input failed.
    #[error("the code could not be read: {0}")]
    Io(#[from] io::Error),
}

impl Invitation {
    /// Reads a code or a link as a person may have typed or pasted it: any
    /// case, spaces or any kind of dash between the parts, words shortened to
    /// four letters or more.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let text = text.trim().trim_matches(['<', '>', '"', '\'', '`']).trim();
        if text.is_empty() {
            Err(CodeError::Empty)
        } else if text.contains("://") {
            parse_link(text)
        } else {
            parse_code(text)
        }
    }

    /// What takes the secret's place, if it holds none.
    pub fn bare(&self) -> Option<Bare> {
        match self {
            Self::Bare { kind, .. } => Some(*kind),
            Self::Code { .. } | Self::Link { .. } => None,
        }
    }

    /// The one form in which it is shown and sent on. It holds the secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Code { nameplate, words } => format!("{nameplate}-{}", words.as_str()),
            Self::Bare { at: Place::Nameplate(number), kind } => {
                format!("{number}-{}", kind.word())
            }
            Self::Bare { at: Place::Session { server, session }, kind } => {
                format!("{server}t/{session}#{}", kind.word())
            }
            Self::Link { server, session, secret } => {
                let fragment = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.expose()));
                format!("{server}t/{session}#{}", fragment.as_str())
            }
        })
    }
}

/// The words of a new code from 4 random bytes, 11 bits to a word.
pub fn words_from(random: [u8; 4]) -> Zeroizing<String> {
    let list = Language::English.word_list();
    let [a, b, c, d] = random;
    let pick = |high: u8, low: u8| list[usize::from(u16::from_be_bytes([high, low])) % list.len()];
    Zeroizing::new(format!("{}-{}", pick(a, b), pick(c, d)))
}

/// `url` as a base for links and requests: `http` or `https`, with a host,
/// without user, query or fragment, its path ending in `/`.
pub fn parse_server(text: &str) -> Result<Url, String> {
    let refuse = |why: &str| Err(format!("{why}; a server looks like https://example.org"));
    let Ok(mut url) = Url::parse(text.trim()) else { return refuse("this is not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("the URL must begin with http:// or https://");
    }
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return refuse("the URL must hold a host, and no user or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("the URL must not hold a ? or a #");
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Finds the invitation of `recv`: the argument, else the variable, else a line
/// of standard input, before which a prompt is written if a person sits there.
pub fn read_invitation(
    argument: Option<&str>,
    variable: Option<&str>,
    input: &mut impl BufRead,
    prompt: Option<&mut dyn Write>,
) -> Result<Invitation, CodeError> {
    if let Some(text) = argument.or(variable.filter(|text| !text.trim().is_empty())) {
        return Invitation::parse(text);
    }
    if let Some(out) = prompt {
        write!(out, "Code or link: ")?;
        out.flush()?;
    }
    let mut line = Zeroizing::new(String::new());
    input.take(MAX_LINE).read_line(&mut line)?;
    Invitation::parse(&line)
}

fn parse_code(text: &str) -> Result<Invitation, CodeError> {
    let mut parts = text.split(is_separator).filter(|part| !part.is_empty());
    let first = parts.next().ok_or(CodeError::Form)?;
    if !first.bytes().all(|b| b.is_ascii_digit()) {
        return Err(if text.split(is_separator).count() > 1 {
            CodeError::Nameplate
        } else {
            CodeError::Form
        });
    }
    let nameplate = first.parse().map_err(|_| CodeError::Nameplate)?;
    let given: Vec<&str> = parts.collect();
    if let [word] = given[..]
        && let Some(kind) = Bare::of_word(word)
    {
        return Ok(Invitation::Bare { at: Place::Nameplate(nameplate), kind });
    }
    if given.len() != WORDS_COUNT {
        return Err(CodeError::WordCount(given.len()));
    }
    let mut words = Zeroizing::new(String::with_capacity(32));
    for part in given {
        if !words.is_empty() {
            words.push('-');
        }
        words.push_str(complete(part)?);
    }
    Ok(Invitation::Code { nameplate, words })
}

/// Spaces and whatever keyboards and word processors make of a dash.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}')
}

/// The word of the list that `typed` is, or is the beginning of.
fn complete(typed: &str) -> Result<&'static str, CodeError> {
    let lower = Zeroizing::new(typed.to_lowercase());
    let list = Language::English.word_list();
    if let Some(exact) = list.iter().find(|word| **word == lower.as_str()) {
        return Ok(exact);
    }
    if lower.len() >= MIN_PREFIX {
        let mut matching = list.iter().filter(|word| word.starts_with(lower.as_str()));
        if let (Some(only), None) = (matching.next(), matching.next()) {
            return Ok(only);
        }
    }
    let shown: String = lower.chars().take(24).collect();
    let suggestion = list.iter().min_by_key(|word| distance(word, &shown)).copied().unwrap_or("");
    Err(CodeError::UnknownWord { word: for_terminal(&shown), suggestion })
}

/// Levenshtein's distance: how many letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn parse_link(text: &str) -> Result<Invitation, CodeError> {
    let mut server = Url::parse(text).map_err(|_| CodeError::Link)?;
    let fragment = Zeroizing::new(server.fragment().unwrap_or_default().to_owned());
    server.set_fragment(None);
    let (base, session) = server.path().rsplit_once("/t/").ok_or(CodeError::Link)?;
    let fits = (1..=MAX_SESSION).contains(&session.len());
    if !fits || !session.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(CodeError::Link);
    }
    let (base, session) = (format!("{base}/"), session.to_owned());
    server.set_path(&base);
    let server = parse_server(server.as_str()).map_err(|_| CodeError::Link)?;
    if let Some(kind) = Bare::of_word(&fragment) {
        return Ok(Invitation::Bare { at: Place::Session { server, session }, kind });
    }
    let secret = decode_secret(&fragment)?;
    Ok(Invitation::Link { server, session, secret })
}

fn decode_secret(fragment: &str) -> Result<LinkSecret, CodeError> {
    let mut bytes = Zeroizing::new([0; 32]);
    // 43 digits hold 258 bits: the engine refuses a last digit with stray bits.
    if fragment.len() != 43 {
        return Err(CodeError::Link);
    }
    match URL_SAFE_NO_PAD.decode_slice(fragment, bytes.as_mut_slice()) {
        Ok(32) => Ok(LinkSecret::new(*bytes)),
        _ => Err(CodeError::Link),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(nameplate: u32, words: &str) -> Invitation {
        Invitation::Code { nameplate, words: Zeroizing::new(words.to_owned()) }
    }

    #[test]
    fn codes_are_read_however_they_are_typed() {
        for text in [
            "7-crystal-clock",
            " 7 Crystal CLOCK\n",
            "7--crystal - clock-",
            "7\u{2013}crystal\u{2014}clock",
            "'7-crys-cloc'",
            "007_crystal_clock",
        ] {
            assert_eq!(Invitation::parse(text).unwrap(), code(7, "crystal-clock"), "{text:?}");
        }
        assert_eq!(code(7, "crystal-clock").to_text().as_str(), "7-crystal-clock");
    }

    #[test]
    fn three_letters_are_a_word_only_if_they_are_the_whole_word() {
        assert_eq!(Invitation::parse("1-act-zoo").unwrap(), code(1, "act-zoo"));
        assert!(matches!(Invitation::parse("1-abs-zoo"), Err(CodeError::UnknownWord { .. })));
    }

    #[test]
    fn an_unknown_word_is_named_with_the_nearest() {
        let error = Invitation::parse("7-cristal-clock").unwrap_err();
        assert_eq!(error.to_string(), "'cristal' is not a word of a code; did you mean 'crystal'?");
        let error = Invitation::parse("7-clock-\u{1b}[2J").unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn codes_that_lack_a_part_say_which() {
        assert!(matches!(Invitation::parse("  "), Err(CodeError::Empty)));
        assert!(matches!(Invitation::parse("crystal"), Err(CodeError::Form)));
        assert!(matches!(Invitation::parse("crystal-clock"), Err(CodeError::Nameplate)));
        assert!(matches!(Invitation::parse("99999999999-a-b"), Err(CodeError::Nameplate)));
        assert!(matches!(Invitation::parse("7-crystal"), Err(CodeError::WordCount(1))));
        assert!(matches!(Invitation::parse("7"), Err(CodeError::WordCount(0))));
        assert!(matches!(Invitation::parse("7-act-zoo-act"), Err(CodeError::WordCount(3))));
        assert!(matches!(Invitation::parse("---"), Err(CodeError::Form)));
    }

    #[test]
    fn every_word_of_the_list_is_read_whole_and_by_its_first_four_letters() {
        for &word in Language::English.word_list() {
            assert_eq!(complete(word).unwrap(), word);
            assert_eq!(complete(word.get(..4).unwrap_or(word)).unwrap(), word);
        }
    }

    #[test]
    fn new_words_use_the_whole_list_and_can_be_read() {
        assert_eq!(words_from([0, 0, 0xff, 0xff]).as_str(), "abandon-zoo");
        let words = words_from([0x12, 0x34, 0x56, 0x78]);
        assert_eq!(Invitation::parse(&format!("3-{}", *words)).unwrap(), code(3, &words));
    }

    #[test]
    fn links_survive_a_round_trip_with_port_and_path() {
        for base in ["https://a.example/", "http://192.0.2.1:8080/", "http://[::1]:9/x/"] {
            let link = Invitation::Link {
                server: Url::parse(base).unwrap(),
                session: "0123456789abcdefghjkmnpqrs".to_owned(),
                secret: LinkSecret::new([0xa5; 32]),
            };
            let text = link.to_text();
            assert!(text.starts_with(&format!("{base}t/0123456789abcdefghjkmnpqrs#")), "{}", *text);
            assert_eq!(Invitation::parse(&format!("<{}>\n", *text)).unwrap(), link);
        }
    }

    #[test]
    fn invitations_without_a_secret_survive_a_round_trip_and_are_no_slip_of_others() {
        for kind in [Bare::Sas, Bare::Psk] {
            let server = Url::parse("https://a.example/").unwrap();
            let session = "0123456789abcdefghjkmnpqrs".to_owned();
            for at in [Place::Nameplate(7), Place::Session { server, session }] {
                let invitation = Invitation::Bare { at, kind };
                let text = invitation.to_text();
                assert_eq!(Invitation::parse(&text).unwrap(), invitation, "{}", *text);
                assert_eq!(invitation.bare(), Some(kind));
                assert!(!Language::English.word_list().contains(&kind.word()));
            }
        }
        assert_eq!(Invitation::parse(" 7 SAS\n").unwrap().to_text().as_str(), "7-sas");
        for text in ["7", "sas", "7-sas-zoo", "7-sa", "https://a.example/t/abc#"] {
            assert!(Invitation::parse(text).is_err(), "{text}");
        }
        assert_eq!(code(7, "act-zoo").bare(), None);
    }

    #[test]
    fn links_that_were_cut_or_altered_are_refused() {
        let secret = URL_SAFE_NO_PAD.encode([7; 32]);
        let cut = &secret[..42];
        for text in [
            format!("https://a.example/t/abc#{cut}"),
            format!("https://a.example/t/abc#{secret}A"),
            format!("https://a.example/t/abc#{cut}/"),
            format!("https://a.example/t/abc#{cut}d"),
            "https://a.example/t/abc".to_owned(),
            format!("https://a.example/t/#{secret}"),
            format!("https://a.example/t/a%2e#{secret}"),
            format!("https://a.example/x/abc#{secret}"),
            format!("https://u:p@a.example/t/abc#{secret}"),
            format!("https://a.example/t/abc?x=1#{secret}"),
            format!("ftp://a.example/t/abc#{secret}"),
        ] {
            assert!(matches!(Invitation::parse(&text), Err(CodeError::Link)), "{text}");
        }
    }

    // SC-SECRETS-HIDDEN
    #[test]
    fn debug_shows_no_secret() {
        let link = format!("https://a.example/t/abc#{}", URL_SAFE_NO_PAD.encode([7; 32]));
        let shown = format!("{:?}", Invitation::parse(&link).unwrap());
        assert_eq!(shown, "Link(https://a.example/t/abc#…)");
        assert_eq!(format!("{:?}", code(7, "act-zoo")), "Code(7-…)");
        assert_eq!(format!("{:?}", LinkSecret::new([1; 32])), "LinkSecret(…)");
    }

    #[test]
    fn argument_comes_before_variable_before_input() {
        let read = |argument, variable, mut input: &[u8]| {
            read_invitation(argument, variable, &mut input, None)
        };
        assert_eq!(read(Some("1-act-zoo"), Some("2-act-zoo"), b"").unwrap(), code(1, "act-zoo"));
        assert_eq!(read(None, Some("2-act-zoo"), b"3-act-zoo\n").unwrap(), code(2, "act-zoo"));
        assert_eq!(read(None, Some(" "), b"3-act-zoo\nmore\n").unwrap(), code(3, "act-zoo"));
        assert!(matches!(read(None, None, b""), Err(CodeError::Empty)));
    }

    #[test]
    fn a_person_is_prompted() {
        let mut out = Vec::new();
        let prompt: &mut dyn Write = &mut out;
        read_invitation(None, None, &mut &b"3-act-zoo"[..], Some(prompt)).unwrap();
        assert_eq!(out, b"Code or link: ");
    }

    #[test]
    fn servers_get_a_trailing_slash_and_nothing_else() {
        assert_eq!(parse_server("https://a.example").unwrap().as_str(), "https://a.example/");
        assert_eq!(parse_server("http://a.example/x").unwrap().as_str(), "http://a.example/x/");
        for text in ["a.example", "ftp://a.example", "https://u@a.example", "https://a.example/?x"]
        {
            assert!(parse_server(text).is_err(), "{text}");
        }
    }
}
