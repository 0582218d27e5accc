//! Messages cut into fields. Frames are cut by the tables of chapter 3, which are
//! read here, so that the words of the spec and the bytes are held together.

use serde::Serialize;
use serde_json::Value;

use crate::fields::Fields;
use crate::vector_file::hex;

const WIRE: &str = include_str!("../../../spec/03-wire.md");

/// Bytes that have one name.
#[derive(Serialize)]
pub(crate) struct Part {
    pub(crate) offset: usize,
    pub(crate) name: String,
    pub(crate) bytes: String,
    /// For people; empty where the bytes say it all.
    #[serde(skip)]
    pub(crate) value: String,
    /// Section or statement of the spec.
    pub(crate) defined: &'static str,
}

struct Cutter<'a> {
    bytes: &'a [u8],
    at: usize,
    parts: Vec<Part>,
}

impl<'a> Cutter<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, parts: Vec::new() }
    }

    fn cut(&mut self, name: impl Into<String>, len: usize, value: String, defined: &'static str) {
        let bytes = hex(&self.bytes[self.at..][..len]);
        self.parts.push(Part { offset: self.at, name: name.into(), bytes, value, defined });
        self.at += len;
    }

    fn fixed(&mut self, name: &str, len: usize, defined: &'static str) {
        self.cut(name, len, String::new(), defined);
    }

    fn number(&mut self, name: &str, defined: &'static str) -> usize {
        let (value, len) = varint(&self.bytes[self.at..]);
        self.cut(name, len, value.to_string(), defined);
        usize::try_from(value).unwrap()
    }

    fn end(self) -> Vec<Part> {
        assert_eq!(self.at, self.bytes.len(), "every byte has a name");
        self.parts
    }

    fn head(&mut self, kind: &str) {
        self.cut("kind", 1, "HANDSHAKE".to_owned(), "HS-MESSAGES");
        self.cut("type", 1, kind.to_owned(), "HS-MESSAGES");
    }

    fn extensions(&mut self) {
        for _ in 0..self.number("extensions", "4.2") {
            self.number("id", "4.3");
            let len = self.number("length", "4.2");
            self.fixed("body", len, "4.2");
        }
    }
}

/// A varint of section 3.1, and how long it is.
fn varint(bytes: &[u8]) -> (u64, usize) {
    let width = match bytes[0] {
        0..251 => return (bytes[0].into(), 1),
        251 => 2,
        252 => 4,
        253 => 8,
        other => panic!("{other} begins no varint"),
    };
    let mut value = [0; 8];
    value[..width].copy_from_slice(&bytes[1..=width]);
    (u64::from_le_bytes(value), 1 + width)
}

pub(crate) fn of_hello_i(message: &[u8]) -> Vec<Part> {
    let mut cutter = Cutter::new(message);
    cutter.head("HELLO_I");
    for (list, item) in [("versions", "version"), ("suites", "suite")] {
        for _ in 0..cutter.number(list, "4.2") {
            cutter.number(item, "4.3");
        }
    }
    cutter.number("auth", "4.4");
    cutter.fixed("session id", 16, "4.2");
    cutter.fixed("random", 32, "4.2");
    cutter.fixed("encapsulation key", 1216, "HS-KEM");
    cutter.extensions();
    cutter.end()
}

pub(crate) fn of_hello_r(message: &[u8]) -> Vec<Part> {
    let mut cutter = Cutter::new(message);
    cutter.head("HELLO_R");
    cutter.number("version", "HS-CHOICE");
    cutter.number("suite", "HS-CHOICE");
    cutter.number("auth", "HS-AUTH-MODE");
    cutter.fixed("random", 32, "4.2");
    cutter.fixed("ciphertext", 1120, "HS-KEM");
    cutter.extensions();
    cutter.fixed("tag", 32, "HS-HELLO-R-TAG");
    cutter.end()
}

pub(crate) fn of_confirm(message: &[u8]) -> Vec<Part> {
    let mut cutter = Cutter::new(message);
    cutter.head("CONFIRM");
    cutter.fixed("tag", 32, "HS-CONFIRM-TAG");
    cutter.end()
}

pub(crate) fn of_record(record: &[u8], header: usize, tag: usize) -> Vec<Part> {
    let mut cutter = Cutter::new(record);
    let little = |bytes: &[u8]| {
        bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)).to_string()
    };
    cutter.cut("kind", 1, "SEALED".to_owned(), "RL-HEADER");
    cutter.fixed("reserved", 1, "RL-HEADER");
    cutter.cut("epoch", 2, little(&record[2..4]), "RL-EPOCH");
    cutter.cut("counter", 8, little(&record[4..12]), "RL-NONCE-ONCE");
    cutter.fixed("ciphertext", record.len() - header - tag, "RL-AUTHENTIC");
    cutter.fixed("tag", tag, "RL-AUTHENTIC");
    cutter.end()
}

/// The frames of a record and what is behind DATA.
pub(crate) fn of_plaintext(plaintext: &[u8], frames: &[Fields]) -> Vec<Part> {
    let mut cutter = Cutter::new(plaintext);
    for frame in frames {
        let frame = serde_json::to_value(frame).unwrap();
        let name = frame["type"].as_str().unwrap();
        let (_, len) = varint(&plaintext[cutter.at..]);
        cutter.cut("type", len, name.to_owned(), "WF-FRAME");
        let end = cutter.number("length", "WF-FRAME-LENGTH") + cutter.at;
        for (field, kind) in layout(name) {
            let Some(value) = frame.get(field) else { continue };
            let len = length(&plaintext[cutter.at..end], name, kind);
            cutter.cut(field, len, shown(value, kind), "WF-LAYOUT");
        }
        assert_eq!(cutter.at, end, "{name} is laid out as in chapter 3");
    }
    if cutter.at < plaintext.len() {
        cutter.fixed("payload", plaintext.len() - cutter.at, "WF-DATA-LAST");
    }
    cutter.end()
}

/// The fields and types of a frame's table in chapter 3.
fn layout(frame: &str) -> Vec<(&'static str, &'static str)> {
    let is_heading = |line: &&str| {
        line.starts_with("### ")
            && line[4..].split("; ").any(|part| part.split(", ").next() == Some(frame))
    };
    let rows: Vec<_> = WIRE
        .lines()
        .skip_while(|line| !is_heading(line))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            (cells.next().unwrap().trim_matches('`'), cells.next().unwrap())
        })
        .collect();
    assert!(!rows.is_empty(), "chapter 3 has no table of {frame}");
    rows
}

/// How many bytes at the front are one value of a type.
fn length(bytes: &[u8], frame: &str, kind: &str) -> usize {
    let (first, width) = varint(bytes);
    if let Some(inner) = kind.strip_prefix("optional ") {
        return if bytes[0] == 0 { 1 } else { 1 + length(&bytes[1..], frame, inner) };
    }
    match kind.trim_matches('`') {
        "u8" | "bool" => 1,
        "u16" | "u32" | "u64" | "choice" => width,
        "string" | "bytes" => width + usize::try_from(first).unwrap(),
        "list of range" | "list of failure" => {
            let fields = if frame == "ACK" { 3 } else { 2 };
            (0..first * fields).fold(width, |at, _| at + varint(&bytes[at..]).1)
        }
        fixed => fixed.trim_matches(['[', ']']).parse().unwrap(),
    }
}

fn shown(value: &Value, kind: &str) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        Value::String(text) if kind == "`string`" => format!("\"{text}\""),
        Value::String(number) if kind == "`u64`" => number.clone(),
        Value::String(_) => String::new(),
        Value::Array(items) => {
            let item = |item: &Value| {
                let told = |value: &Value| value.to_string().replace('"', "");
                let fields = ["file", "first", "count", "code"].into_iter();
                fields
                    .filter_map(|name| Some(format!("{name} {}", told(item.get(name)?))))
                    .collect::<Vec<_>>()
            };
            items.iter().map(|each| item(each).join(" ")).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
