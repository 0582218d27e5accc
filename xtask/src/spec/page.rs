//! The requirement report for people and for programs: one HTML page that needs
//! nothing from elsewhere, and JSON. What stands in it is decided in `trace`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::trace::{Requirement, Status, Trace};

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Requirements</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
nav, form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: 1rem 0; }
form { position: sticky; top: 0; padding: .6rem 0; background: Canvas; border-bottom: 1px solid var(--line); }
input[type=search] { font: inherit; padding: .3rem .6rem; flex: 1 1 18rem; }
article { border-left: .3rem solid; margin: .8rem 0; padding: .5rem 1rem; background: var(--soft); }
article p { margin: .3rem 0; }
h3 { font: 600 1rem ui-monospace, monospace; margin: 0; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: .3rem 0; font-size: .85rem; }
dt { opacity: .7; } dd { margin: 0; } code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
.badge { font: 600 .75rem system-ui, sans-serif; padding: .1rem .5rem; border: 1px solid; border-radius: 1rem; }
.tested { border-color: #2a8f4b; } .optional { border-color: #888; }
.excepted { border-color: #c28a00; } .missing { border-color: #d03030; }
[hidden] { display: none; }
</style>
</head>
<body>
"#;

const SCRIPT: &str = r##"<script>
const form = document.querySelector("form");
const shown = document.querySelector("#shown");
function filter() {
  const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const section of document.querySelectorAll("section")) {
    let any = false;
    for (const article of section.querySelectorAll("article")) {
      const text = article.textContent.toLowerCase();
      const fits = words.every(word => text.includes(word))
        && form.elements[article.dataset.status].checked
        && (!form.must.checked || article.dataset.must === "true");
      article.hidden = !fits;
      any ||= fits;
      count += fits;
    }
    section.hidden = !any;
  }
  shown.textContent = count + " shown";
}
form.addEventListener("input", filter);
form.addEventListener("submit", event => event.preventDefault());
filter();
</script>
</body>
</html>
"##;

/// The report as data: counts, and one object for each statement.
pub(crate) fn data(trace: &Trace) -> Value {
    let counts: serde_json::Map<String, Value> = Status::ALL
        .into_iter()
        .map(|status| (status.name().to_owned(), trace.count(status).into()))
        .collect();
    let statements: Vec<Value> = trace
        .requirements
        .iter()
        .map(|requirement| {
            let statement = &requirement.statement;
            json!({
                "id": statement.id,
                "must": statement.is_must,
                "text": statement.text,
                "chapter": statement.chapter,
                "place": format!("{}:{}", statement.path, statement.line),
                "code": requirement.code,
                "tests": requirement.tests,
                "status": requirement.status().name(),
                "exception": requirement.exception,
            })
        })
        .collect();
    let all = trace.requirements.len();
    json!({ "total": all, "must": trace.musts(), "counts": counts, "statements": statements })
}

/// The report as a page.
pub(crate) fn html(trace: &Trace) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "<h1>Requirements</h1>\n<p>{}.</p>", escaped(&trace.summary()));
    let chapters: Vec<&[Requirement]> = trace
        .requirements
        .chunk_by(|one, next| one.statement.chapter == next.statement.chapter)
        .collect();
    out.push_str("<nav>\n");
    for (place, chapter) in chapters.iter().enumerate() {
        let _ = writeln!(
            out,
            "<a href=\"#chapter-{place}\">{}</a> ({})",
            escaped(title(chapter)),
            chapter.len()
        );
    }
    out.push_str("</nav>\n<form>\n<input type=\"search\" name=\"words\" aria-label=\"Filter\" placeholder=\"Filter by id, words or file\">\n");
    for status in Status::ALL {
        let (name, count) = (status.name(), trace.count(status));
        let _ = writeln!(
            out,
            "<label><input type=\"checkbox\" name=\"{name}\" checked> {name} ({count})</label>"
        );
    }
    out.push_str("<label><input type=\"checkbox\" name=\"must\"> only MUST</label>\n<output id=\"shown\"></output>\n</form>\n");
    for (place, chapter) in chapters.iter().enumerate() {
        let tested = chapter.iter().filter(|found| found.status() == Status::Tested).count();
        let _ = writeln!(
            out,
            "<section id=\"chapter-{place}\">\n<h2>{}</h2>\n<p>{tested} of {} have code and a test.</p>",
            escaped(title(chapter)),
            chapter.len()
        );
        for requirement in *chapter {
            article(&mut out, requirement);
        }
        out.push_str("</section>\n");
    }
    out.push_str(SCRIPT);
    out
}

fn title(chapter: &[Requirement]) -> &str {
    chapter.first().map_or("", |requirement| &requirement.statement.chapter)
}

fn article(out: &mut String, requirement: &Requirement) {
    let (statement, status) = (&requirement.statement, requirement.status().name());
    let _ = writeln!(
        out,
        "<article id=\"{id}\" class=\"{status}\" data-status=\"{status}\" data-must=\"{}\">\n<h3>{id} <span class=\"badge {status}\">{status}</span></h3>\n<p>{}</p>\n<dl>",
        statement.is_must,
        prose(&statement.text),
        id = escaped(&statement.id),
    );
    let place = format!("{}:{}", statement.path, statement.line);
    row(out, "spec", &[place]);
    row(out, "code", &requirement.code);
    row(out, "tests", &requirement.tests);
    if let Some(reason) = &requirement.exception {
        let _ = writeln!(out, "<dt>excepted</dt><dd>{}</dd>", prose(reason));
    }
    out.push_str("</dl>\n</article>\n");
}

fn row(out: &mut String, name: &str, places: &[String]) {
    let places: Vec<String> =
        places.iter().map(|place| format!("<code>{}</code>", escaped(place))).collect();
    let places = if places.is_empty() { "none".to_owned() } else { places.join(", ") };
    let _ = writeln!(out, "<dt>{name}</dt><dd>{places}</dd>");
}

/// Escaped text in which what stood between backticks is code, and links are
/// their words alone, since the page stands alone.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (place, part) in unlinked(text).split('`').enumerate() {
        let part = escaped(part);
        if place % 2 == 1 {
            let _ = write!(out, "<code>{part}</code>");
        } else {
            out.push_str(&part);
        }
    }
    out
}

fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((words, target)) = rest.split_once("](") {
        let (before, words) = words.rsplit_once('[').unwrap_or(("", words));
        out.push_str(before);
        out.push_str(words);
        rest = target.split_once(')').map_or("", |(_, behind)| behind);
    }
    out + rest
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::super::trace::tests::sample;
    use super::*;

    const LATER: &str = "- WF-LATER: not in `this` version\n";

    #[test]
    fn the_page_shows_every_statement_and_needs_nothing_from_elsewhere() {
        let page = html(&sample(LATER));
        for part in [
            "<article id=\"WF-KEPT\" class=\"tested\" data-status=\"tested\" data-must=\"true\">",
            "A peer MUST do &lt;this&gt; &amp; that.",
            "<code>core/src/a.rs:4</code>",
            "not in <code>this</code> version",
            "name=\"missing\" checked> missing (1)",
            "<h2>1. Title</h2>\n<p>1 of 4 have code and a test.</p>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        for tag in ["article", "section", "dl", "form", "nav", "h3", "script"] {
            let opened = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        for outside in ["://", "src=", "<link", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn links_are_shown_as_their_words() {
        assert_eq!(
            prose("as ([WF-A](03-wire.md#x)) and [b `c`](d) say"),
            "as (WF-A) and b <code>c</code> say"
        );
        assert_eq!(prose("a [list] of (all)"), "a [list] of (all)");
    }

    #[test]
    fn the_data_holds_what_the_page_shows() {
        let data = data(&sample(LATER));
        assert_eq!(data["total"], 4);
        assert_eq!(data["counts"]["missing"], 1);
        let statements = data["statements"].as_array().unwrap();
        assert_eq!(statements.len(), 4);
        assert_eq!(statements[0]["code"], json!(["core/src/a.rs:1"]));
        assert_eq!(statements[0]["text"], "A peer MUST do <this> & that.");
        assert_eq!(statements[1]["status"], "missing");
        assert_eq!(statements[2]["exception"], "not in `this` version");
        assert_eq!(statements[3]["must"], false);
    }
}
