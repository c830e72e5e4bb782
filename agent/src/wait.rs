//! `roam wait`: until the daemon answers and what is asked for holds.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::control::protocol::{Reply, Request};
use crate::control::{Client, ClientError, StatusReport};

/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// So many usable addresses at least.
    pub paths: usize,
    /// Every pool element is registered.
    pub registered: bool,
    /// No association is stranded or being moved.
    pub settled: bool,
}

impl Conditions {
    /// What does not hold yet, in words.
    pub fn missing(&self, status: &StatusReport) -> Vec<String> {
        let mut missing = Vec::new();
        if status.usable_addresses < self.paths {
            missing.push(format!("{} of {} addresses usable", status.usable_addresses, self.paths));
        }
        for element in status.elements.iter().filter(|element| self.registered && !element.registered) {
            missing.push(format!("element {} not registered ({})", element.handle, element.why));
        }
        if self.settled && status.stranded + status.moving > 0 {
            missing.push(format!("{} associations stranded, {} moving", status.stranded, status.moving));
        }
        missing
    }
}

/// How the waiting ended.
#[derive(Debug)]
pub enum Waited {
    /// All holds.
    Holds(Box<StatusReport>),
    /// The time is over, and this is what does not hold.
    TimedOut(Vec<String>),
}

/// Waits. A daemon that does not run (yet) is waited for, too.
///
/// # Errors
/// The daemon speaks another version.
#[expect(clippy::disallowed_methods, reason = "roam owns its clock")]
pub fn wait(directory: &Path, conditions: Conditions, timeout: Duration) -> Result<Waited, ClientError> {
    let end = Instant::now() + timeout;
    let mut client = None;
    loop {
        let missing = match look(&mut client, directory) {
            Ok(status) => match conditions.missing(&status) {
                missing if missing.is_empty() => return Ok(Waited::Holds(status)),
                missing => missing,
            },
            Err(error @ ClientError::Protocol(_)) => return Err(error),
            Err(error) => {
                client = None;
                vec![error.to_string()]
            }
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Waited::TimedOut(missing));
        }
        std::thread::sleep(INTERVAL.min(left));
    }
}

fn look(client: &mut Option<Client>, directory: &Path) -> Result<Box<StatusReport>, ClientError> {
    if client.is_none() {
        *client = Some(Client::connect(directory)?);
    }
    match client.as_mut().map(|client| client.ask(Request::Status)) {
        Some(Ok(Reply::Status(status))) => Ok(status),
        Some(Err(error)) => Err(error),
        _ => Err(ClientError::Protocol("another answer than was asked for".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ElementReport;

    #[test]
    fn each_condition_is_missed_by_itself_and_none_is_always_met() {
        let element = ElementReport {
            handle: "robot-1".into(),
            id: 1,
            port: 1,
            registered: false,
            addresses: vec![],
            confirmed_ms: None,
            life_ms: 300_000,
            why: "no registrar has answered yet".into(),
        };
        let status = StatusReport {
            usable_addresses: 1,
            stranded: 1,
            elements: vec![element],
            ..StatusReport::default()
        };
        let none = Conditions::default();
        assert_eq!(none.missing(&status), Vec::<String>::new());
        assert_eq!(Conditions { paths: 1, ..none }.missing(&status), Vec::<String>::new());
        assert_eq!(Conditions { paths: 2, ..none }.missing(&status), ["1 of 2 addresses usable"]);
        let missing = Conditions { registered: true, ..none }.missing(&status);
        assert_eq!(missing, ["element robot-1 not registered (no registrar has answered yet)"]);
        let missing = Conditions { settled: true, ..none }.missing(&status);
        assert_eq!(missing, ["1 associations stranded, 0 moving"]);
    }
}
