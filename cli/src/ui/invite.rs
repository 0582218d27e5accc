//! The invitation on the sender's screen: code, link, a QR code where there is
//! room, and what the other side has to do. What does not live here: what an
//! invitation is (`code`).

use std::fmt::Write as _;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::Style;
use crate::code::Bare;

/// What is shown of an invitation.
#[derive(Clone, Copy, Debug)]
pub struct Invite<'a> {
    /// The code, if there is one.
    pub code: Option<&'a str>,
    /// The link.
    pub link: &'a str,
    /// The server that the other side has to name with a code, if it is none
    /// that it knows by itself.
    pub server: Option<&'a str>,
    /// What takes the secret's place, if the invitation holds none.
    pub bare: Option<Bare>,
}

/// The invitation as lines of text, the last with a line break. It holds the
/// secret, and so belongs on the sender's screen and nowhere else.
pub fn invite(invite: &Invite<'_>, style: Style) -> String {
    let mut out = String::from("On the other computer, run\n\n");
    let command = match (invite.code, invite.server) {
        (Some(_), Some(server)) => format!("passel recv --server {server}"),
        _ => "passel recv".to_owned(),
    };
    let command = match invite.bare {
        Some(Bare::Psk) => format!("{command} --psk-file FILE"),
        Some(Bare::Sas) | None => command,
    };
    let _ = writeln!(out, "    {}\n", style.bold(&command));
    if let Some(code) = invite.code {
        let _ = writeln!(out, "and type this code:\n\n    {}\n", style.bold(code));
        let _ = writeln!(out, "or paste this link:\n\n    {}\n", invite.link);
    } else {
        let _ = writeln!(out, "and paste this link:\n\n    {}\n", style.bold(invite.link));
    }
    if let Some(code) = qr(invite.link, style) {
        out.push_str(&code);
        out.push('\n');
    }
    out.push_str(match invite.bare {
        None => "It works once. Whoever has it can take the files, so give it to nobody else.\n",
        Some(Bare::Sas) => {
            "It works once, for whoever comes first. Both screens will show words: compare them.\n"
        }
        Some(Bare::Psk) => "It works once, and only with the same key in FILE.\n",
    });
    out
}

/// The link as a QR code of half blocks, if it fits into the terminal.
fn qr(link: &str, style: Style) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let quiet_zone = 2 * 4;
    if code.width() + quiet_zone > usize::from(style.width?) {
        return None;
    }
    if style.colour {
        // Black on white, whatever the terminal's own colours are.
        let text = code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Dark)
            .light_color(Dense1x2::Light)
            .build();
        let lines = text.lines().map(|line| format!("\u{1b}[97;40m{line}\u{1b}[0m\n"));
        return Some(lines.collect());
    }
    // Most terminals are dark: what is light in the code is drawn.
    let text =
        code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    Some(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://a.example/t/0123456789abcdefghjkmnpqrs#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn show(code: Option<&str>, width: Option<u16>, colour: bool) -> String {
        invite(&Invite { code, link: LINK, server: None, bare: None }, Style { colour, width })
    }

    // SC-SECRETS-HIDDEN
    #[test]
    fn the_command_line_to_type_holds_no_secret() {
        let text = show(Some("7-crystal-clock"), None, false);
        insta::assert_snapshot!(text);
        for line in text.lines().filter(|line| line.contains("passel recv")) {
            assert!(!line.contains("crystal") && !line.contains('#'), "{line}");
        }
    }

    #[test]
    fn the_server_is_named_where_a_code_needs_it() {
        let server = Some("http://192.0.2.1:8080/");
        let with = |code| invite(&Invite { code, link: LINK, server, bare: None }, Style::plain());
        assert!(with(Some("7-act-zoo")).contains("passel recv --server http://192.0.2.1:8080/"));
        assert!(!with(None).contains("--server"));
    }

    #[test]
    fn an_invitation_without_a_secret_says_what_takes_its_place() {
        let text = |bare| {
            let (code, link) = (Some("7-sas"), "http://192.0.2.1/t/0123#sas");
            invite(&Invite { code, link, server: None, bare: Some(bare) }, Style::plain())
        };
        assert!(text(Bare::Sas).contains("compare them"));
        assert!(text(Bare::Psk).contains("passel recv --psk-file FILE"));
        assert!(!text(Bare::Sas).contains("give it to nobody"));
    }

    #[test]
    fn a_qr_code_is_drawn_only_where_it_fits() {
        let blocks = |text: &str| text.contains('█');
        assert!(!blocks(&show(None, None, false)));
        assert!(!blocks(&show(None, Some(40), false)));
        let text = show(None, Some(80), false);
        assert!(blocks(&text));
        assert!(text.lines().filter(|line| blocks(line)).all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        assert!(!show(Some("7-act-zoo"), Some(80), false).contains('\u{1b}'));
        assert!(show(Some("7-act-zoo"), Some(80), true).contains("\u{1b}[1m7-act-zoo"));
    }
}
