//! What a link does to packets: delay, loss and rate by netem at the router's end of each veth pair.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::netns::Namespace;

/// The conditions of all links of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// The round trip between any two hosts, in milliseconds.
    pub rtt_ms: f64,
    /// Packets lost on their way, in percent, each direction for itself.
    pub loss_percent: f64,
    /// The rate of each link toward its host, in kbit/s; unlimited if none.
    pub rate_kbit: Option<u32>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { rtt_ms: 20.0, loss_percent: 0.0, rate_kbit: None }
    }
}

impl Conditions {
    /// The `tc` command for one interface of the router. A packet passes one such interface on its way.
    pub fn command(&self, interface: &str) -> String {
        let mut line =
            format!("qdisc replace dev {interface} root netem limit 10000 delay {}us", self.rtt_ms * 500.0);
        if self.loss_percent > 0.0 {
            line += &format!(" loss {}%", self.loss_percent);
        }
        if let Some(rate) = self.rate_kbit {
            line += &format!(" rate {rate}kbit");
        }
        line
    }
}

/// Hands lines to a program with `-batch -`, such as `ip` or `tc`, inside a namespace.
///
/// # Errors
/// The program is not there or refuses a line; the error has its words.
pub fn batch(namespace: &Namespace, program: &str, lines: &[String]) -> io::Result<()> {
    let mut child = namespace.enter(|| {
        let mut command = Command::new(program);
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map_err(|cause| io::Error::new(cause.kind(), format!("{program}: {cause}")))
    })?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all((lines.join("\n") + "\n").as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_takes_half_of_the_round_trip() {
        let conditions = Conditions { rtt_ms: 20.0, loss_percent: 5.0, rate_kbit: Some(4000) };
        assert_eq!(
            conditions.command("ra1"),
            "qdisc replace dev ra1 root netem limit 10000 delay 10000us loss 5% rate 4000kbit"
        );
    }
}
