//! What two people compare where the sides share no secret, and the question
//! after it. What does not live here: where the numbers come from
//! (`passel-proto`), and what follows from the answer.

use std::io::{self, BufRead, Read, Write};

use bip39::Language;
use passel_proto::handshake::{SAS_DIGITS, Sas};

use super::Style;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256;

/// What the user says, or a program in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Both show the same.
    Same,
    /// They differ.
    Different,
    /// Nobody answers, or the user gives up.
    None,
}

/// The three words (`HS-SAS-SHOWN`).
pub fn words(sas: &Sas) -> [String; 3] {
    let list = Language::English.word_list();
    sas.words().map(|place| list[usize::from(place) % list.len()].to_owned())
}

/// The four digits.
pub fn digits(sas: &Sas) -> String {
    format!("{:0SAS_DIGITS$}", sas.digits())
}

/// Words and digits on lines of their own.
pub fn shown(sas: &Sas, style: Style) -> String {
    let line = format!("{}   {}", words(sas).join("   "), digits(sas));
    format!(
        "Compare with the other screen, side by side or by telephone:\n\n    {}\n",
        style.bold(&line.to_uppercase())
    )
}

/// Asks until there is an answer. Whoever just presses the key for a new line has
/// not compared.
pub fn ask(input: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<Answer> {
    for _ in 0..10 {
        write!(out, "Do both screens show the same? [y/N] ")?;
        out.flush()?;
        let mut line = Vec::new();
        if (&mut *input).take(MAX_ANSWER).read_until(b'\n', &mut line)? == 0 {
            return Ok(Answer::None);
        }
        match String::from_utf8_lossy(&line).trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Same),
            "" | "n" | "no" => return Ok(Answer::Different),
            _ => writeln!(out, "Please answer y or n.")?,
        }
    }
    Ok(Answer::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use passel_proto::crypto::Secret32;
    use serde_json::Value;

    fn read(name: &str) -> Value {
        let path = format!("{}/../spec/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn bytes(hex: &Value) -> [u8; 32] {
        let hex = hex.as_str().unwrap();
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    // HS-SAS-SHOWN
    #[test]
    fn the_words_are_those_of_the_specs_list_and_vectors() {
        assert_eq!(
            read("words.json")["words"],
            serde_json::json!(&Language::English.word_list()[..])
        );
        let vectors = read("sas.json");
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let [secret, nonce] =
                [&case["sas"], &case["nonce"]].map(|hex| Secret32::new(bytes(hex)));
            let sas = Sas::derive(&secret, &nonce);
            assert_eq!(serde_json::json!(words(&sas)), case["words"]);
            assert_eq!(digits(&sas), case["digits"].as_str().unwrap());
            let text = shown(&sas, Style::plain());
            let line = text.lines().nth(2).unwrap().to_lowercase();
            assert!(
                line.contains(&words(&sas).join("   ")) && line.ends_with(&digits(&sas)),
                "{text}"
            );
        }
    }

    // HS-SAS-GATE
    #[test]
    fn only_yes_means_that_they_are_the_same() {
        let answer = |text: &str| ask(&mut text.as_bytes(), &mut Vec::new()).unwrap();
        for text in ["y\n", "YES", "what?\n y \n"] {
            assert_eq!(answer(text), Answer::Same, "{text:?}");
        }
        for text in ["\n", "n\n", "No"] {
            assert_eq!(answer(text), Answer::Different, "{text:?}");
        }
        for text in ["", "what?", &"?\n".repeat(20)] {
            assert_eq!(answer(text), Answer::None, "{text:?}");
        }
    }
}
