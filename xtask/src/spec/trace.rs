//! From statements to those who keep them: joins the spec's statements with the
//! code and the tests that cite them and with the exceptions, and judges. How
//! the result is shown lives in `report` and `page`.

use std::collections::{BTreeMap, BTreeSet};

use super::citations::{self, Citation};
use super::statements::{self, PREFIXES, Statement};
use crate::repo::{self, SourceFile};

/// Where statements without code or test are listed, each with the reason.
const EXCEPTIONS: &str = "spec/exceptions/";
/// Most exceptions, in percent of the statements that say MUST.
const MAX_EXCEPTIONS_PERCENT: usize = 5;

/// A statement and who keeps it.
#[derive(Debug)]
pub(crate) struct Requirement {
    /// What is required.
    pub(crate) statement: Statement,
    /// Code that cites it, as `path:line`.
    pub(crate) code: Vec<String>,
    /// Tests that cite it, as `path:line`.
    pub(crate) tests: Vec<String>,
    /// Why code or a test may be missing.
    pub(crate) exception: Option<String>,
}

/// Whether a statement is kept, as far as citations can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Code and a test cite it.
    Tested,
    /// It lacks code or a test, and says only MAY or SHOULD.
    Optional,
    /// It lacks code or a test, for a reason that is written down.
    Excepted,
    /// It says MUST, and nobody cites it in code, or nobody in a test.
    Missing,
}

impl Status {
    /// All of them, the best first.
    pub(crate) const ALL: [Status; 4] =
        [Status::Tested, Status::Optional, Status::Excepted, Status::Missing];

    /// One word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Tested => "tested",
            Status::Optional => "optional",
            Status::Excepted => "excepted",
            Status::Missing => "missing",
        }
    }
}

impl Requirement {
    /// What is to be thought of it.
    pub(crate) fn status(&self) -> Status {
        if !self.code.is_empty() && !self.tests.is_empty() {
            Status::Tested
        } else if self.exception.is_some() {
            Status::Excepted
        } else if self.statement.is_must {
            Status::Missing
        } else {
            Status::Optional
        }
    }
}

/// All requirements, and what is wrong with the list of exceptions itself.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// In the order of the chapters.
    pub(crate) requirements: Vec<Requirement>,
    /// One sentence each.
    exception_faults: Vec<String>,
}

impl Trace {
    /// Reads the project.
    pub(crate) fn of_project() -> Result<Self, String> {
        Ok(Self::of(&repo::tracked()?))
    }

    /// Reads these files.
    fn of(files: &[SourceFile]) -> Self {
        let prefixes: Vec<&str> = PREFIXES.iter().map(|(prefix, _)| *prefix).collect();
        let mut cited: BTreeMap<String, Vec<Citation>> = BTreeMap::new();
        for file in files.iter().filter(|file| citations::is_code(file)) {
            for citation in citations::read(file, &prefixes) {
                cited.entry(citation.id.clone()).or_default().push(citation);
            }
        }
        let mut trace = Trace::default();
        let mut exceptions = trace.read_exceptions(files);
        for file in files.iter().filter(|file| statements::is_chapter(file)) {
            for statement in statements::read(&file.path, &file.text).0 {
                let found = cited.get(&statement.id).map_or(&[][..], Vec::as_slice);
                let (code, tests) = (places(found, false), places(found, true));
                let exception = exceptions.remove(&statement.id);
                if exception.is_some() && !code.is_empty() && !tests.is_empty() {
                    let id = &statement.id;
                    trace.exception_faults.push(format!("{id} has code and a test by now"));
                }
                trace.requirements.push(Requirement { statement, code, tests, exception });
            }
        }
        let unknown = exceptions.into_keys();
        trace.exception_faults.extend(unknown.map(|id| format!("{id} is no statement")));
        trace
    }

    /// Reads the items `- ID: reason` and the lines that continue them.
    fn read_exceptions(&mut self, files: &[SourceFile]) -> BTreeMap<String, String> {
        let mut exceptions: BTreeMap<String, String> = BTreeMap::new();
        for file in files.iter().filter(|file| file.path.starts_with(EXCEPTIONS)) {
            let mut last = None;
            for (index, line) in file.text.lines().enumerate() {
                if let Some(item) = line.strip_prefix("- ") {
                    let (id, reason) = item.split_once(": ").unwrap_or((item, ""));
                    if reason.trim().is_empty() {
                        let place = format!("{}:{}", file.path, index + 1);
                        self.exception_faults
                            .push(format!("{place}: {id} stands without a reason"));
                    }
                    exceptions.insert(id.to_owned(), reason.trim().to_owned());
                    last = Some(id.to_owned());
                } else if line.trim().is_empty() {
                    last = None;
                } else if let Some(reason) = last.as_ref().and_then(|id| exceptions.get_mut(id)) {
                    reason.push(' ');
                    reason.push_str(line.trim());
                }
            }
        }
        exceptions
    }

    /// How many statements have this status.
    pub(crate) fn count(&self, status: Status) -> usize {
        self.requirements.iter().filter(|requirement| requirement.status() == status).count()
    }

    /// How many statements say MUST.
    pub(crate) fn musts(&self) -> usize {
        self.requirements.iter().filter(|requirement| requirement.statement.is_must).count()
    }

    /// Everything that must be mended, one line each; nothing if all is well.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for requirement in &self.requirements {
            if requirement.status() != Status::Missing {
                continue;
            }
            let lacks = match (requirement.code.is_empty(), requirement.tests.is_empty()) {
                (true, true) => "neither code nor a test cites it",
                (true, false) => "no code cites it",
                _ => "no test cites it",
            };
            let Statement { id, path, line, .. } = &requirement.statement;
            complaints.push(format!("{path}:{line}: {id}: {lacks}"));
        }
        let of_exceptions = |fault: &String| format!("{EXCEPTIONS}: {fault}");
        complaints.extend(self.exception_faults.iter().map(of_exceptions));
        let excepted = self
            .requirements
            .iter()
            .filter(|found| found.statement.is_must && found.status() == Status::Excepted)
            .count();
        if excepted * 100 > self.musts() * MAX_EXCEPTIONS_PERCENT {
            complaints.push(format!(
                "{EXCEPTIONS}: {excepted} of {} MUST statements are excepted, more than {MAX_EXCEPTIONS_PERCENT} %",
                self.musts()
            ));
        }
        complaints
    }

    /// One sentence on how many there are of which kind.
    pub(crate) fn summary(&self) -> String {
        let counts = Status::ALL.map(|status| format!("{} {}", self.count(status), status.name()));
        format!(
            "{} statements, {} of them say MUST: {}",
            self.requirements.len(),
            self.musts(),
            counts.join(", ")
        )
    }
}

fn places(citations: &[Citation], in_test: bool) -> Vec<String> {
    let chosen = citations.iter().filter(|citation| citation.in_test == in_test);
    let places: BTreeSet<(&str, usize)> =
        chosen.map(|citation| (citation.path.as_str(), citation.line)).collect();
    places.into_iter().map(|(path, line)| format!("{path}:{line}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    /// A project of three statements, of which the first is kept and the last
    /// excepted.
    pub(crate) fn sample(exceptions: &str) -> Trace {
        let spec = "# 1. Title\n\n- **[WF-KEPT]** A peer MUST do <this> & that.\n\
            - **[WF-BARE]** A peer MUST do more.\n- **[WF-LATER]** A peer MUST NOT yet.\n\
            - **[WF-FREE]** A peer MAY.\n";
        Trace::of(&[
            file("core/src/a.rs", "// WF-KEPT\n#[cfg(test)]\nmod tests {\n// WF-KEPT WF-BARE\n}\n"),
            file("spec/01-title.md", spec),
            file("spec/exceptions/later.md", exceptions),
        ])
    }

    const LATER: &str = "# Later\n\n- WF-LATER: not in this\n  version.\n";

    #[test]
    fn a_statement_is_kept_by_code_and_a_test_together() {
        let trace = sample(LATER);
        let statuses: Vec<Status> = trace.requirements.iter().map(Requirement::status).collect();
        assert_eq!(statuses, [Status::Tested, Status::Missing, Status::Excepted, Status::Optional]);
        assert_eq!(trace.requirements[0].code, ["core/src/a.rs:1"]);
        assert_eq!(trace.requirements[0].tests, ["core/src/a.rs:4"]);
        assert_eq!(trace.requirements[2].exception.as_deref(), Some("not in this version."));
        assert_eq!(
            trace.summary(),
            "4 statements, 3 of them say MUST: 1 tested, 1 optional, 1 excepted, 1 missing"
        );
    }

    #[test]
    fn what_is_missing_is_complained_about_and_too_many_exceptions_are() {
        assert_eq!(
            sample(LATER).complaints(),
            [
                "spec/01-title.md:4: WF-BARE: no code cites it",
                "spec/exceptions/: 1 of 3 MUST statements are excepted, more than 5 %",
            ]
        );
        let text = sample("").complaints().join("\n");
        assert!(text.contains("WF-LATER: neither code nor a test cites it"), "{text}");
        assert!(!text.contains("WF-FREE") && !text.contains("WF-KEPT"), "{text}");
    }

    #[test]
    fn an_exception_needs_a_statement_that_lacks_something_and_a_reason() {
        let text = sample("- WF-KEPT: why\n- WF-NONE: why\n- WF-LATER:\n").complaints().join("\n");
        for complaint in [
            "WF-KEPT has code and a test by now",
            "WF-NONE is no statement",
            "spec/exceptions/later.md:3: WF-LATER: stands without a reason",
        ] {
            assert!(text.contains(complaint), "{text}");
        }
    }
}
