//! The page that a person looks at first: one file of HTML that needs nothing
//! else, with the run as JSON in it. Style and script are in files beside this one.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::plot::Plot;
use super::rows::{Row, rows};
use super::{Recording, Sort, Span};
use crate::outcome::RunReport;

/// Most faults that are drawn over the plots.
const MOST_FAULTS: usize = 300;

/// What a page says of a run besides what was taken down.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The tier.
    pub tier: &'static str,
    /// The plan's seed.
    pub seed: u64,
    /// What the program was built from.
    pub commit: &'static str,
    /// The invariant that did not hold, what was seen of it, and when; nothing
    /// for a run that passed.
    pub broken: Option<(String, String, u64)>,
    /// When the run ended.
    pub virtual_us: u64,
    /// Things that happened.
    pub steps: u64,
    /// Over events.
    pub semantic_hash: String,
    /// Over bytes on the wire.
    pub wire_hash: String,
    /// The plan.
    pub plan: serde_json::Value,
}

impl Facts {
    /// What a report says of a run of `plan`, which ended at `virtual_us`.
    ///
    /// # Errors
    ///
    /// The plan cannot be written as JSON.
    pub fn new(
        report: RunReport,
        virtual_us: u64,
        plan: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let broken = report
            .invariant
            .map(|invariant| (invariant.to_owned(), report.detail.unwrap_or_default(), virtual_us));
        Ok(Self {
            tier: report.tier,
            seed: report.seed,
            commit: report.commit,
            broken,
            virtual_us,
            steps: report.steps,
            semantic_hash: report.semantic_hash,
            wire_hash: report.wire_hash,
            plan: serde_json::to_value(plan)?,
        })
    }
}

/// A fault as it is drawn over the plots.
#[derive(Debug, Serialize)]
struct Fault {
    from: u64,
    until: u64,
    host: Option<usize>,
    text: String,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    hosts: &'a [String],
    #[serde(flatten)]
    plot: Plot,
    faults: Vec<Fault>,
    faults_omitted: usize,
    rows: Vec<Row>,
    messages: usize,
    /// How often each thing befell a message.
    befell: BTreeMap<&'static str, usize>,
    lost: usize,
    again: usize,
}

/// The page of a run.
///
/// # Errors
///
/// None is known; the encoder's are handed on.
pub fn html(facts: &Facts, recording: &Recording) -> Result<String, serde_json::Error> {
    let mut recording = recording.clone();
    let end = facts.broken.as_ref().map_or(facts.virtual_us, |(_, _, at)| *at);
    if let Some((invariant, detail, at)) = &facts.broken {
        recording.mark(*at, None, Sort::Broken, format!("{invariant}: {detail}"));
    }
    let faults = faults(&recording, end);
    let mut befell = BTreeMap::new();
    for fate in recording.messages.iter().flat_map(|one| &one.fates) {
        *befell.entry(*fate).or_default() += 1;
    }
    let messages = || recording.messages.iter().filter(|one| one.from != one.to);
    let page = Page {
        facts,
        hosts: &recording.hosts,
        plot: Plot::new(&recording, end.max(1)),
        faults_omitted: faults.len().saturating_sub(MOST_FAULTS),
        faults: faults.into_iter().take(MOST_FAULTS).collect(),
        rows: rows(&recording),
        messages: messages().count(),
        befell,
        lost: messages().filter(|one| one.lost).count(),
        again: messages().filter(|one| one.again).count(),
    };
    let title = format!("{} seed {}", facts.tier, facts.seed);
    let data = escaped(&serde_json::to_string(&page)?);
    let (style, script) = (include_str!("page.css"), include_str!("page.js"));
    let mut text = String::with_capacity(data.len() + style.len() + script.len() + 1000);
    let _ = write!(
        text,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{style}</style></head>\n<body>\n\
         <main id=\"page\"><noscript>This page draws itself with a script.</noscript></main>\n\
         <script type=\"application/json\" id=\"run\">{data}</script>\n\
         <script>\n{script}</script>\n</body></html>\n"
    );
    Ok(text)
}

/// JSON that can stand in a script element: nothing in it ends that.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn faults(recording: &Recording, end: u64) -> Vec<Fault> {
    let lasting = recording.spans.iter().filter(|span| span.from_us <= end);
    let mut faults: Vec<Fault> = lasting
        .map(|Span { from_us, until_us, host, text }| Fault {
            from: *from_us,
            until: (*until_us).min(end),
            host: *host,
            text: text.clone(),
        })
        .collect();
    let moments = recording.marks.iter().filter(|mark| mark.sort == Sort::Fault);
    faults.extend(moments.map(|mark| Fault {
        from: mark.at_us,
        until: mark.at_us,
        host: mark.host,
        text: mark.text.clone(),
    }));
    faults.sort_by_key(|fault| fault.from);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(broken: Option<&str>) -> Facts {
        let broken = broken.map(|detail| ("an invariant".to_owned(), detail.to_owned(), 7));
        let (semantic_hash, wire_hash) = (String::new(), String::new());
        let plan = serde_json::Value::Null;
        Facts {
            tier: "t0",
            seed: 3,
            commit: "c",
            broken,
            virtual_us: 10,
            steps: 1,
            semantic_hash,
            wire_hash,
            plan,
        }
    }

    #[test]
    fn nothing_in_the_data_ends_the_element_that_it_is_in() {
        let nasty = "</script><script>alert(1)</script><!-- & \u{2028}";
        let mut recording = Recording::new(&["a", nasty]);
        recording.sent(1, 0, 1, nasty, 5);
        recording.mark(2, None, Sort::Fault, nasty);
        let page = html(&facts(Some(nasty)), &recording).unwrap();
        assert_eq!(page.matches("</script>").count(), 2);
        assert_eq!(page.matches("<script").count(), 2);
        let data = page.split("id=\"run\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["hosts"][1], nasty);
        assert_eq!(data["broken"][1], nasty);
    }

    #[test]
    fn a_page_asks_for_nothing_from_elsewhere() {
        let page = html(&facts(None), &Recording::new(&["a", "b"])).unwrap();
        for outside in ["http://", "https://", "src=", "@import", "url(", "fetch("] {
            let allowed = page.matches("http://www.w3.org/2000/svg").count();
            let found = page.matches(outside).count();
            assert_eq!(found, if outside == "http://" { allowed } else { 0 }, "{outside}");
        }
    }

    #[test]
    fn a_page_is_bounded_however_long_the_run() {
        let size = |count: u64| {
            let mut recording = Recording::new(&["a", "b"]);
            for at in 0..count {
                recording.sent(at * 2_000_000, 0, 1, &format!("K{at}"), 5);
                recording.mark(at * 2_000_000, None, Sort::Fault, "x".repeat(50));
                recording.state(at * 2_000_000, 0, "connection", &at.to_string());
            }
            html(&facts(None), &recording).unwrap().len()
        };
        assert!(size(50_000) < size(4000) + 20_000, "{} {}", size(50_000), size(4000));
    }
}
