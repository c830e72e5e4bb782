//! Counting what Rust's test harness says: `test result:` lines, the names of what failed, and why.

use std::collections::BTreeMap;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) name: String,
    pub(super) why: String,
}

/// The count so far. Takes the output of any number of test executables, line by line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: Vec<Failed>,
    /// How many executables came to their result.
    pub(super) results: usize,
    at: At,
    /// What each test that failed has said.
    said: BTreeMap<String, String>,
    names: Vec<String>,
}

/// Where in the output we are.
#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Elsewhere,
    /// In the output of this test.
    Said(String),
    /// In the list of the names of those that failed.
    Names,
}

impl Tally {
    pub(super) fn line(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(name) = name {
            self.at = At::Said(name.to_owned());
        } else if line == "failures:" {
            self.at = At::Names;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
        } else if let At::Said(name) = &self.at {
            let said = self.said.entry(name.clone()).or_default();
            said.push_str(line);
            said.push('\n');
        } else if self.at == At::Names
            && let Some(name) = line.strip_prefix("    ")
        {
            self.names.push(name.trim().to_owned());
        }
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; …`
    fn result(&mut self, text: &str) {
        let number = |what: &str| {
            let words: Vec<&str> = text.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
            let pair = words.windows(2).find(|pair| pair[1] == what);
            pair.and_then(|pair| pair[0].parse::<usize>().ok()).unwrap_or(0)
        };
        self.results += 1;
        self.passed += number("passed");
        let names = std::mem::take(&mut self.names);
        let unnamed = number("failed").saturating_sub(names.len());
        for name in names {
            let why =
                self.said.remove(&name).map_or_else(|| "it did not say why".to_owned(), |said| reason(&said));
            self.failed.push(Failed { name, why });
        }
        let nobody = Failed { name: "a test".to_owned(), why: "it is not named".to_owned() };
        self.failed.extend(std::iter::repeat_n(nobody, unnamed));
        self.said.clear();
        self.at = At::Elsewhere;
    }
}

/// What the panic said, in one line; else the last thing that was said.
fn reason(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let chosen: Vec<&str> = match panic {
        Some(index) => {
            let ends = |line: &&&str| !line.starts_with("note: ") && !line.starts_with("stack backtrace");
            lines[index..].iter().take_while(ends).copied().collect()
        }
        None => lines.last().copied().into_iter().collect(),
    };
    shortened(&chosen.join(" "))
}

/// Long texts are cut.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.line(line));
        tally
    }

    const FAILING: &str = "
running 3 tests
test one ... ok
test two ... FAILED
test three ... FAILED

failures:

---- two stdout ----

thread 'two' panicked at a/b.rs:3:5:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    three
    two

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn what_failed_is_named_with_what_its_panic_said() {
        let tally = tally(FAILING);
        assert_eq!((tally.passed, tally.results), (1, 1));
        let [three, two] = &tally.failed[..] else { panic!("{tally:?}") };
        assert_eq!((three.name.as_str(), three.why.as_str()), ("three", "it did not say why"));
        assert_eq!(
            two.why,
            "thread 'two' panicked at a/b.rs:3:5: assertion `left == right` failed left: 1 right: 2"
        );
    }

    #[test]
    fn the_results_of_several_executables_add_up() {
        let fine =
            "test result: ok. 7 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let tally = tally(&[fine, FAILING, fine].concat());
        assert_eq!((tally.passed, tally.failed.len(), tally.results), (15, 2, 3));
    }

    #[test]
    fn a_test_that_is_ignored_counts_neither_way() {
        let tally = tally("test result: ok. 0 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out");
        assert_eq!((tally.passed, tally.failed.len()), (0, 0));
    }

    #[test]
    fn a_failure_without_a_name_still_counts() {
        assert_eq!(tally("test result: FAILED. 0 passed; 1 failed;").failed.len(), 1);
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        assert_eq!(shortened(&"ü".repeat(501)), format!("{} …", "ü".repeat(500)));
        assert_eq!(shortened("short"), "short");
    }
}
