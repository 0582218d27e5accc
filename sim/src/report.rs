//! What the simulator has to show for itself: swarms of all tiers with their
//! figures and conditions, the planted bugs, and the plans that once failed. As
//! text, as JSON and as a page.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::outcome::COMMIT;
use crate::swarm::{SwarmOutcome, SwarmReport};
use crate::teeth::Tooth;
use crate::tier::{AnyPlan, Tier, run};

/// A plan that once failed, and whether it passes now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Regression {
    /// The file's name.
    pub name: String,
    /// The tier.
    pub tier: &'static str,
    /// What broke; nothing if it passes.
    pub broken: Option<String>,
}

/// Replays every plan in a directory.
///
/// # Errors
///
/// The directory or a file cannot be read, or a file is no plan.
pub fn regressions(directory: &Path) -> Result<Vec<Regression>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|one| one.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|is| is == "json")) {
        let text = std::fs::read_to_string(file)?;
        let (tier, broken) = match AnyPlan::parse(&text)? {
            AnyPlan::T0(plan) => replayed(&*plan),
            AnyPlan::T1(plan) => replayed(&*plan),
            AnyPlan::T2(plan) => replayed(&*plan),
        };
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned());
        all.push(Regression { name: name.unwrap_or_default(), tier, broken });
    }
    Ok(all)
}

fn replayed<T: Tier>(plan: &T) -> (&'static str, Option<String>) {
    let violation = run(plan, false).violation;
    (T::NAME, violation.map(|violation| violation.broken.to_string()))
}

/// One tier's swarm.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// Its line of JSON.
    pub report: SwarmReport,
    /// The conditions that it met.
    pub met: Vec<&'static str>,
    /// The threads that it ran on.
    pub threads: u64,
}

impl Campaign {
    /// A swarm that took `real_s` seconds on so many threads.
    pub fn of<T: Tier>(outcome: &SwarmOutcome<T>, real_s: f64, threads: u64) -> Self {
        let met = outcome.met.iter().map(|one| T::name(*one)).collect();
        Self { report: outcome.report(real_s), met, threads }
    }

    /// Seeds in an hour of one core.
    pub fn seeds_per_hour(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
        let (seeds, threads) = (self.report.seeds as f64, self.threads as f64);
        3600.0 * seeds / (self.report.real_s * threads).max(1e-9)
    }

    /// Seconds of virtual time in one of real time, on one core.
    pub fn speed(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "shown, never compared")]
        let threads = self.threads as f64;
        self.report.virtual_s / (self.report.real_s * threads).max(1e-9)
    }
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the program was built from.
    pub commit: &'static str,
    /// Whether everything holds.
    pub passed: bool,
    /// The swarms.
    pub campaigns: Vec<Campaign>,
    /// The planted bugs.
    pub teeth: Vec<Tooth>,
    /// The plans that once failed.
    pub regressions: Vec<Regression>,
}

impl Report {
    /// Puts it together.
    pub fn new(campaigns: Vec<Campaign>, teeth: Vec<Tooth>, regressions: Vec<Regression>) -> Self {
        let passed = campaigns.iter().all(|one| one.report.verdict == "pass")
            && teeth.iter().all(|tooth| tooth.seeds.is_some())
            && regressions.iter().all(|one| one.broken.is_none());
        Self { commit: COMMIT, passed, campaigns, teeth, regressions }
    }

    /// To be read in a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "simulator at {}: {}\n", self.commit, verdict(self.passed));
        for one in &self.campaigns {
            let SwarmReport { tier, seeds, twice, failed, .. } = &one.report;
            let _ = writeln!(
                out,
                "swarm of {tier}: {seeds} seeds ({twice} twice), {failed} failed; {:.0} seeds an \
                 hour and core, virtual time {:.0} x real time",
                one.seeds_per_hour(),
                one.speed()
            );
            let _ = writeln!(out, "  met: {}", one.met.join(", "));
            let missed = &one.report.sometimes_missed;
            let _ = writeln!(out, "  missed: {}", or_none(&missed.join(", ")));
            for failure in &one.report.failures {
                let _ = writeln!(
                    out,
                    "  FAILED seed {}: {}: {}",
                    failure.seed, failure.invariant, failure.detail
                );
            }
        }
        let found = self.teeth.iter().filter(|tooth| tooth.seeds.is_some()).count();
        let _ = writeln!(out, "\nplanted bugs: {found} of {} found", self.teeth.len());
        for Tooth { tier, bug, seeds, invariant } in &self.teeth {
            let seeds = seeds.map_or("NOT FOUND".to_owned(), |seeds| format!("{seeds} seeds"));
            let _ = writeln!(out, "  {tier} {bug:<20} {seeds:>10}  {}", invariant.unwrap_or(""));
        }
        let _ = writeln!(out, "\nplans that once failed: {}", self.regressions.len());
        for Regression { name, tier, broken } in &self.regressions {
            let _ = writeln!(out, "  {tier} {name}: {}", broken.as_deref().unwrap_or("passes"));
        }
        out
    }

    /// To be read in a browser; needs nothing else.
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for one in &self.campaigns {
            let report = &one.report;
            let _ = write!(
                rows,
                "<tr class=\"{}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0}</td>\
                 <td>{:.0}</td></tr>",
                report.verdict,
                report.tier,
                report.seeds,
                report.twice,
                report.failed,
                one.seeds_per_hour(),
                one.speed()
            );
        }
        let mut conditions = String::new();
        for one in &self.campaigns {
            let _ = write!(conditions, "<h3>{}</h3><p>", one.report.tier);
            for name in &one.met {
                let _ = write!(conditions, "<span class=\"pass\">{}</span> ", escaped(name));
            }
            for name in &one.report.sometimes_missed {
                let _ = write!(conditions, "<span class=\"fail\">{}</span> ", escaped(name));
            }
            conditions.push_str("</p>");
        }
        let mut teeth = String::new();
        for Tooth { tier, bug, seeds, invariant } in &self.teeth {
            let class = if seeds.is_some() { "pass" } else { "fail" };
            let seeds = seeds.map_or("not found".to_owned(), |seeds| seeds.to_string());
            let _ = write!(
                teeth,
                "<tr class=\"{class}\"><td>{tier}</td><td>{}</td><td>{seeds}</td><td>{}</td></tr>",
                escaped(bug),
                escaped(invariant.unwrap_or(""))
            );
        }
        let mut plans = String::new();
        for Regression { name, tier, broken } in &self.regressions {
            let class = if broken.is_none() { "pass" } else { "fail" };
            let _ = write!(
                plans,
                "<tr class=\"{class}\"><td>{tier}</td><td>{}</td><td>{}</td></tr>",
                escaped(name),
                escaped(broken.as_deref().unwrap_or("passes"))
            );
        }
        let failures: String = self
            .campaigns
            .iter()
            .flat_map(|one| &one.report.failures)
            .map(|failure| {
                let text = format!("{}: {}: {}", failure.seed, failure.invariant, failure.detail);
                format!("<p class=\"fail\">seed {}</p>", escaped(&text))
            })
            .collect();
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>passel-sim</title>\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\"><style>{STYLE}</style></head><body>\
             <h1 class=\"{class}\">Simulator at {commit}: {verdict}</h1>\
             <h2>Swarms</h2><table><tr><th>tier</th><th>seeds</th><th>run twice</th><th>failed</th>\
             <th>seeds an hour and core</th><th>virtual : real</th></tr>{rows}</table>{failures}\
             <h2>Conditions met now and then</h2>{conditions}\
             <h2>Planted bugs</h2><table><tr><th>tier</th><th>bug</th><th>seeds to find</th>\
             <th>invariant that broke</th></tr>{teeth}</table>\
             <h2>Plans that once failed</h2><table>{plans}</table></body></html>\n",
            class = if self.passed { "pass" } else { "fail" },
            commit = escaped(self.commit),
            verdict = verdict(self.passed),
        )
    }
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:960px;margin:24px auto;\
    padding:0 16px;color:#1b2430}h1{font-size:22px;border-left:8px solid;padding-left:12px}\
    h1.pass{border-color:#2e7d32}h1.fail,p.fail{color:#c62828}h2{font-size:16px;margin-top:28px}\
    table{border-collapse:collapse}td,th{padding:3px 14px 3px 0;border-bottom:1px solid #d9dfe6;\
    text-align:left}tr.fail td{background:#fde0de}span{display:inline-block;padding:0 7px;\
    border-radius:4px;margin:2px}span.pass{background:#e3f2e4}span.fail{background:#fde0de}";

fn verdict(passed: bool) -> &'static str {
    if passed { "everything holds" } else { "FAILED" }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use crate::swarm::swarm;

    fn report(broken: Option<&str>) -> Report {
        let campaign = Campaign::of(&swarm::<Plan>(0..5, 1, false), 2.0, 1);
        let tooth = Tooth {
            tier: "t0",
            bug: "sync_late".to_owned(),
            seeds: Some(3),
            invariant: Some("what is acknowledged is durable"),
        };
        let broken = broken.map(str::to_owned);
        let plan = Regression { name: "old <plan>".to_owned(), tier: "t1", broken };
        Report::new(vec![campaign], vec![tooth], vec![plan])
    }

    #[test]
    fn everything_is_in_both_forms_and_names_are_escaped() {
        let report = report(None);
        assert!(report.passed);
        for text in [report.text(), report.html()] {
            for part in ["everything holds", "sync_late", "completed_whole", "disk_full", "9000"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert!(report.html().contains("old &lt;plan&gt;"));
        assert!(!report.html().contains("<plan>"));
    }

    #[test]
    fn one_thing_that_does_not_hold_fails_it() {
        assert!(!report(Some("it broke")).passed);
        let mut teeth = report(None).teeth;
        teeth[0].seeds = None;
        let report = Report::new(Vec::new(), teeth, Vec::new());
        assert!(!report.passed && report.text().contains("NOT FOUND"));
    }
}
