//! What the test runners print, counted test by test.

use std::collections::BTreeSet;

/// What the lanes found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    pub(super) fn of(success: bool) -> Self {
        Self {
            passed: u64::from(success),
            failed: u64::from(!success),
            skipped: 0,
        }
    }

    /// Tests that the runner calls passed, but that skipped themselves.
    fn without(mut self, tests: usize) -> Self {
        let tests = u64::try_from(tests).unwrap_or(u64::MAX).min(self.passed);
        self.passed -= tests;
        self.skipped += tests;
        self
    }
}

/// The counts of nextest's summary; a passed test that said it skips itself is counted as skipped. It is known by
/// the status line above its output.
pub(super) fn nextest(log: &str) -> Count {
    let mut count = Count::default();
    if let Some(summary) = log.lines().rfind(|line| line.trim_start().starts_with("Summary")) {
        count.passed = number_before(summary, " passed");
        count.failed = number_before(summary, " failed")
            + number_before(summary, " timed out")
            + number_before(summary, " exec failed");
        count.skipped = number_before(summary, " skipped");
    }
    let mut skipped = BTreeSet::new();
    let mut current = None;
    for line in log.lines() {
        if let Some(status) = Status::read(line) {
            current = status.passed.then_some(status.test);
        } else if let Some(test) = current.filter(|_| skips_itself(line)) {
            skipped.insert(test);
        }
    }
    count.without(skipped.len())
}

/// nextest's line about one test: `PASS [   0.009s] (1/7) crate module::test`.
struct Status<'a> {
    passed: bool,
    test: &'a str,
}

impl<'a> Status<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (words, rest) = line.trim_start().split_once(" [")?;
        let mut outcome = words.split_whitespace().filter(|word| *word != "TRY");
        let is_status = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if !outcome.clone().all(is_status) {
            return None;
        }
        let passed = outcome.any(|word| matches!(word, "PASS" | "FLAKY" | "LEAK"));
        let (_, test) = rest.split_once(']')?;
        let test = test.trim();
        // `(1/7) crate test`: the position is no part of the name.
        let test = match test.strip_prefix('(').and_then(|test| test.split_once(") ")) {
            Some((_, test)) => test.trim_start(),
            None => test,
        };
        Some(Self { passed, test })
    }
}

/// `SKIP name: why`, as tests print it; nextest's own lines have a bracket there.
fn skips_itself(line: &str) -> bool {
    let line = line.trim_start();
    line.strip_prefix("SKIP ")
        .is_some_and(|rest| !rest.trim_start().starts_with('[') && rest.contains(": "))
}

/// The counts of libtest's result lines. With `--show-output` a passed test that said it skips itself is counted as
/// skipped; without it libtest does not show what passed tests say.
pub(super) fn libtest(log: &str) -> Count {
    let mut count = Count::default();
    let mut skipped = BTreeSet::new();
    let (mut among_passed, mut current) = (false, None);
    for line in log.lines() {
        match line {
            "successes:" => among_passed = true,
            "failures:" => among_passed = false,
            _ if line.starts_with("test result:") => {
                let one = Count {
                    passed: number_before(line, " passed"),
                    failed: number_before(line, " failed"),
                    skipped: number_before(line, " ignored"),
                };
                count.add(one.without(skipped.len()));
                // The next program may have tests of the same names.
                skipped.clear();
                (among_passed, current) = (false, None);
            }
            _ if line.starts_with("---- ") && line.ends_with(" stdout ----") => current = Some(line),
            _ => {
                let said = current.filter(|_| among_passed && skips_itself(line));
                skipped.extend(said);
            }
        }
    }
    count
}

/// The number that stands before a word: `12 passed` is 12; 0 if the word is not there.
fn number_before(line: &str, word: &str) -> u64 {
    let Some((before, _)) = line.split_once(word) else {
        return 0;
    };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: u64, failed: u64, skipped: u64) -> Count {
        Count {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn the_runner_s_summary_is_read() {
        let log =
            "     Summary [  4.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped\n";
        assert_eq!(nextest(log), count(10, 2, 3));
    }

    #[test]
    fn a_test_that_skips_itself_has_not_passed() {
        let log = "        PASS [   0.1s] (1/2) hostd gpu\n  stderr ───\n    SKIP gpu: no card\n\n\
                   \x20       PASS [   0.1s] (2/2) hostd cpu\n        SKIP [   ] other\n\
                   Summary [1s] 5 tests run: 5 passed, 0 skipped\n";
        assert_eq!(nextest(log), count(4, 0, 1));
    }

    #[test]
    fn a_test_that_skips_two_parts_is_one_test() {
        let log = "PASS [ 0.1s] (1/2) runc peers\n    SKIP crun: not there\n    SKIP runc: not there\n\
                   PASS [ 0.1s] (2/2) runc other\n    SKIP crun: not there\n\
                   Summary [1s] 5 tests run: 5 passed, 0 skipped\n";
        assert_eq!(nextest(log), count(3, 0, 2));
    }

    #[test]
    fn a_failed_test_stays_failed_whatever_it_skipped() {
        let log = "FAIL [ 0.1s] (1/2) runc peers\n    SKIP crun: not there\n\
                   TIMEOUT [ 60.1s] (2/2) runc slow\n    SKIP runc: not there\n\
                   Summary [1s] 5 tests run: 3 passed, 1 failed, 1 timed out, 0 skipped\n";
        assert_eq!(nextest(log), count(3, 2, 0));
    }

    #[test]
    fn a_line_before_any_test_belongs_to_none() {
        let log = "SKIP something: of the build\nSummary [1s] 2 tests run: 2 passed, 0 skipped\n";
        assert_eq!(nextest(log), count(2, 0, 0));
    }

    #[test]
    fn a_second_try_that_passes_counts() {
        let log = "TRY 1 FAIL [ 0.1s] runc peers\n    SKIP crun: a\nTRY 2 PASS [ 0.1s] runc peers\n    SKIP crun: a\n\
                   Summary [1s] 1 test run: 1 passed (1 flaky), 0 skipped\n";
        assert_eq!(nextest(log), count(0, 0, 1));
    }

    #[test]
    fn results_of_several_crates_add_up() {
        let log = "test result: ok. 3 passed; 0 failed; 1 ignored\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(libtest(log), count(4, 2, 1));
    }

    #[test]
    fn the_plain_runner_s_output_is_counted_by_test_too() {
        let log = "running 3 tests\nsuccesses:\n\n---- a stdout ----\nSKIP a: one\nSKIP a: two\n\n\nsuccesses:\n    a\n    b\n\n\
                   failures:\n\n---- c stdout ----\nSKIP c: three\n\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n\
                   successes:\n\n---- a stdout ----\nSKIP a: one\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(libtest(log), count(1, 1, 2));
    }
}
