//! Reads what `cargo test` and libtest print, line by line, into suites of
//! verdicts. It knows the format of the text and nothing of this project.
//!
//! A test that was announced and never got its verdict (its process died or was
//! stopped) counts as failed.

use crate::step::Tally;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// It did not run and so proves nothing.
    Ignored,
}

/// Where a suite's tests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A test program, by the file name of its executable.
    Program(String),
    /// The examples in the documentation of a crate.
    Documentation(String),
}

/// The tests of one program.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Where they come from.
    pub(crate) source: Source,
    /// Each test that got a verdict.
    pub(crate) verdicts: Vec<(String, Outcome)>,
    /// What libtest printed about the failed tests, or the program before it died.
    pub(crate) details: Vec<String>,
    announced: usize,
    counted: Tally,
    counted_ignored: usize,
    in_failures: bool,
}

impl Suite {
    fn new(source: Source) -> Self {
        Suite {
            source,
            verdicts: Vec::new(),
            details: Vec::new(),
            announced: 0,
            counted: Tally::default(),
            counted_ignored: 0,
            in_failures: false,
        }
    }

    /// Passed and failed tests; those that did not finish are failed.
    pub(crate) fn tally(&self) -> Tally {
        Tally { passed: self.passed(), failed: self.announced - self.passed() - self.ignored() }
    }

    fn passed(&self) -> usize {
        // Output of a test may break a verdict's line; libtest's own count wins.
        self.count(Outcome::Passed).max(self.counted.passed).min(self.announced)
    }

    /// Tests that did not run.
    pub(crate) fn ignored(&self) -> usize {
        let ignored = self.count(Outcome::Ignored).max(self.counted_ignored);
        ignored.min(self.announced - self.passed())
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.verdicts.iter().filter(|(_, found)| *found == outcome).count()
    }

    /// How many tests began and never ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.tally().failed.saturating_sub(self.count(Outcome::Failed).max(self.counted.failed))
    }
}

/// What a line means for somebody who watches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A suite begins.
    Begins(Source),
    /// A test ended.
    Verdict(String, Outcome),
    /// A suite, or a part of one, ended with this count.
    Ends(Tally),
    /// A test takes long.
    Slow(String),
    /// Something that belongs to a suite, such as a test's output.
    Inside,
    /// Something that cargo says between suites.
    Outside(String),
}

/// Lines of chatter that are kept of one suite, beside libtest's own report.
const MAX_CHATTER: usize = 200;

/// Takes lines and gathers suites.
#[derive(Default)]
pub(crate) struct Reader {
    suites: Vec<Suite>,
}

impl Reader {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) -> Progress {
        if let Some(source) = begin_of(line) {
            self.suites.push(Suite::new(source.clone()));
            return Progress::Begins(source);
        }
        let Some(suite) = self.suites.last_mut() else {
            return Progress::Outside(line.to_owned());
        };
        if let Some(tally) = result_of(line) {
            suite.in_failures = false;
            suite.counted.add(tally.0);
            suite.counted_ignored += tally.1;
            return Progress::Ends(tally.0);
        }
        if suite.in_failures {
            suite.details.push(line.to_owned());
            return Progress::Inside;
        }
        if line == "failures:" {
            suite.in_failures = true;
            return Progress::Inside;
        }
        if let Some(count) = announcement_of(line) {
            suite.announced += count;
            return Progress::Inside;
        }
        if line.starts_with("test ") && line.contains("has been running for over") {
            return Progress::Slow(line.to_owned());
        }
        if let Some((name, outcome)) = verdict_of(line) {
            suite.verdicts.push((name.clone(), outcome));
            return Progress::Verdict(name, outcome);
        }
        if !line.is_empty() && suite.details.len() < MAX_CHATTER {
            suite.details.push(line.to_owned());
        }
        Progress::Inside
    }

    /// All suites that had tests.
    pub(crate) fn finish(self) -> Vec<Suite> {
        self.suites.into_iter().filter(|suite| suite.announced > 0).collect()
    }
}

/// `     Running tests/x.rs (target/debug/deps/x-0123)` or `   Doc-tests x`.
fn begin_of(line: &str) -> Option<Source> {
    let text = line.trim_start();
    if text.len() == line.len() {
        return None;
    }
    if let Some(name) = text.strip_prefix("Doc-tests ") {
        return Some(Source::Documentation(name.to_owned()));
    }
    let path = text.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?.1;
    let file = path.rsplit(['/', '\\']).next()?;
    Some(Source::Program(file.to_owned()))
}

/// `running 12 tests`.
fn announcement_of(line: &str) -> Option<usize> {
    let count = line.strip_prefix("running ")?;
    count.strip_suffix(" tests").or_else(|| count.strip_suffix(" test"))?.parse().ok()
}

/// `test a::b ... ok`.
fn verdict_of(line: &str) -> Option<(String, Outcome)> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match verdict.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    Some((name.to_owned(), outcome))
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`, and how many were ignored.
fn result_of(line: &str) -> Option<(Tally, usize)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        counts.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse::<usize>().ok())
    };
    let tally = Tally { passed: number("passed")?, failed: number("failed")? };
    Some((tally, number("ignored").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Suite> {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(line);
        }
        reader.finish()
    }

    const MIXED: &str = "\
    Finished `test` profile
     Running unittests src/lib.rs (target/debug/deps/passel_proto-0a1b)

running 3 tests
test codec::tests::good ... ok
test codec::tests::bad ... FAILED
test codec::tests::later ... ignored, needs a network

failures:

---- codec::tests::bad stdout ----
it broke
running 7 tests

failures:
    codec::tests::bad

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s

   Doc-tests passel_proto

running 1 test
test proto-core/src/lib.rs - (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s

running 2 tests
test proto-core/src/a.rs - a (line 1) - compile ... ok
test proto-core/src/b.rs - b (line 1) ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    #[test]
    fn verdicts_are_counted_for_each_program() {
        let suites = read(MIXED);
        assert_eq!(suites[0].source, Source::Program("passel_proto-0a1b".into()));
        assert_eq!(suites[0].tally(), Tally { passed: 1, failed: 1 });
        assert_eq!(suites[0].ignored(), 1);
        assert_eq!(suites[0].unfinished(), 0);
        assert!(suites[0].details.contains(&"it broke".to_owned()));
        assert_eq!(suites[1].source, Source::Documentation("passel_proto".into()));
        assert_eq!(suites[1].tally(), Tally { passed: 3, failed: 0 });
    }

    #[test]
    fn tests_without_a_verdict_have_failed() {
        let died = "     Running tests/x.rs (target/debug/deps/x-01)\nrunning 3 tests\n\
                    test one ... ok\nerror: test failed, signal: 6\n";
        let suites = read(died);
        assert_eq!(suites[0].tally(), Tally { passed: 1, failed: 2 });
        assert_eq!(suites[0].unfinished(), 2);
    }

    #[test]
    fn a_verdict_that_output_tore_apart_is_counted_from_the_result() {
        let torn = "     Running tests/x.rs (target/debug/deps/x-01)\nrunning 2 tests\n\
                    noise test one ... ok\ntest two ... ok\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(read(torn)[0].tally(), Tally { passed: 2, failed: 0 });
    }

    #[test]
    fn a_verdict_of_a_test_that_should_panic_has_its_plain_name() {
        let line = "test a::b - should panic ... ok";
        assert_eq!(verdict_of(line), Some(("a::b".into(), Outcome::Passed)));
        assert_eq!(verdict_of("test a has been running for over 60 seconds"), None);
    }

    #[test]
    fn lines_before_the_first_suite_are_cargo_s() {
        let mut reader = Reader::default();
        let said = reader.line("   Compiling x v0.1.0");
        assert_eq!(said, Progress::Outside("   Compiling x v0.1.0".into()));
        assert!(reader.finish().is_empty());
    }
}
