//! Running a program with a time limit, its standard output passed through and read line by line.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::{self, Waited};

/// Lines of a file that grows.
struct Tail {
    file: File,
    rest: Vec<u8>,
}

impl Tail {
    /// The whole lines that are new.
    fn lines(&mut self) -> Vec<String> {
        // What cannot be read now is read next time.
        let _ = self.file.read_to_end(&mut self.rest);
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// Runs the program; gives its exit status, none if it took too long and was killed.
///
/// # Errors
/// It cannot be started, or interrupted.
pub(super) fn stream(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<Option<ExitStatus>> {
    // A file, not a pipe: something that a test left behind may hold it open for as long as it likes.
    let output = tempfile::NamedTempFile::new()?;
    let mut tail = Tail { file: output.reopen()?, rest: Vec::new() };
    let mut child =
        command.stdout(output.reopen()?).spawn().with_context(|| format!("{:?}", command.get_program()))?;
    let mut pass = || {
        for text in tail.lines() {
            println!("{text}");
            line(&text);
        }
    };
    let waited = clock::until("", limit, || {
        pass();
        child.try_wait().transpose()
    });
    let status = match waited {
        Ok(status) => Some(status?),
        Err(why) => {
            let _ = child.kill();
            let _ = child.wait();
            if why == Waited::Interrupted {
                return Err(why.into());
            }
            None
        }
    };
    pass();
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Option<ExitStatus>, Vec<String>) {
        let mut lines = Vec::new();
        let status =
            stream(Command::new("sh").args(["-c", script]), limit, |line| lines.push(line.to_owned()));
        (status.unwrap(), lines)
    }

    #[test]
    fn every_line_arrives_and_the_status_too() {
        let (status, lines) = shell("echo a; printf 'b\\nc\\n'; exit 3", Duration::from_secs(60));
        assert_eq!((status.unwrap().code(), lines), (Some(3), ["a", "b", "c"].map(str::to_owned).into()));
    }

    #[test]
    fn what_takes_too_long_is_ended_and_keeps_its_lines() {
        let (status, lines) = shell("echo a; exec sleep 600", Duration::from_millis(500));
        assert_eq!((status, lines), (None, vec!["a".to_owned()]));
    }

    #[test]
    fn something_left_behind_with_the_output_open_holds_nothing_up() {
        let (status, _) = shell("sleep 5 & echo a", Duration::from_secs(4));
        assert!(status.is_some_and(|status| status.success()));
    }
}
