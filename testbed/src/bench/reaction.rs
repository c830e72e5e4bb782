//! How long it takes from an address event to the first ASCONF on the wire.

use std::time::Duration;

use anyhow::Result;

use super::Pair;
use crate::result::{Agent, Course};
use crate::scenario::{self, Binding, Ip, Options, Programs, Round, Scenario, Stack, Step};
use crate::topology::{A1, A2, B1, Host};

/// How often each is measured; the median counts.
const TIMES: usize = 3;
/// How long after an address event an ASCONF is waited for: several ticks of the kernel. Programs begin only after that
/// too, for an Add of an address that an association already has would be the end of it.
const WATCHED: Duration = Duration::from_secs(2);

/// A host without any address gets one; ours bound to one address, the kernel's to all.
pub(super) fn stranded(rtt_ms: f64) -> Result<Pair> {
    let gone = vec![Step::Down(vec![A1]), Step::Pass(Duration::from_secs(1))];
    let ours = median(rtt_ms, Agent::Roam, Binding::Explicit, &gone)?;
    Ok((ours, median(rtt_ms, Agent::AutoAsconf, Binding::Wildcard, &gone)?))
}

/// A host without any address gets one; both bound to all addresses.
pub(super) fn stranded_wildcard(rtt_ms: f64) -> Result<Pair> {
    let gone = vec![Step::Down(vec![A1]), Step::Pass(Duration::from_secs(1))];
    let ours = median(rtt_ms, Agent::Roam, Binding::Wildcard, &gone)?;
    Ok((ours, median(rtt_ms, Agent::AutoAsconf, Binding::Wildcard, &gone)?))
}

/// A host with an address gets another one; both bound to all addresses.
pub(super) fn second_address(rtt_ms: f64) -> Result<Pair> {
    let ours = median(rtt_ms, Agent::Roam, Binding::Wildcard, &[])?;
    Ok((ours, median(rtt_ms, Agent::AutoAsconf, Binding::Wildcard, &[])?))
}

fn median(rtt_ms: f64, agent: Agent, binding: Binding, before: &[Step]) -> Result<Option<f64>> {
    let steps = [Step::Up(vec![A1, B1]), Step::Pass(WATCHED), Step::StartPrograms]
        .into_iter()
        .chain(before.iter().cloned())
        .chain([Step::Up(vec![A2]), Step::Pass(WATCHED)])
        .collect();
    let scenario = Scenario {
        name: "reaction".to_owned(),
        shows: "How soon an address event is answered.".to_owned(),
        family: Ip::V4,
        programs: Programs::Traffic(1),
        loss_percent: 0.0,
        rate_kbit: None,
        quick: false,
        rounds: vec![Round {
            label: String::new(),
            client: binding,
            server: binding,
            server_stack: Stack::Kernel,
            agents: Host::ALL.to_vec(),
            registered: Host::ALL.to_vec(),
            without_nftables: Vec::new(),
            as_service: false,
            steps,
        }],
    };
    let options = Options { agent, rtt_ms, tell: false, ..Options::default() };
    let mut found = Vec::new();
    for _ in 0..TIMES {
        let outcome = scenario::run(&scenario, &options)?;
        match reaction(&outcome.course) {
            Some(ms) => {
                println!("  {agent}: {ms:.1} ms");
                found.push(ms);
            }
            None => println!("  {agent}: no ASCONF was seen ({})", outcome.result.why),
        }
    }
    found.sort_by(f64::total_cmp);
    // Half of them without an answer is no figure.
    Ok(if found.len() * 2 > TIMES { found.get(found.len() / 2).copied() } else { None })
}

/// From A's last address event to its first ASCONF after that, in milliseconds.
fn reaction(course: &Course) -> Option<f64> {
    let at_a =
        |kind: &'static str| course.happenings.iter().filter(move |it| it.host == "A" && it.kind == kind);
    let event = at_a("link").map(|event| event.at_ms).reduce(f64::max)?;
    // One packet is on the wire while the kernel's answer to the address event is on its way to the testbed.
    const SLACK_MS: f64 = 20.0;
    let asconf = at_a("wire")
        .filter(|seen| seen.what.starts_with("ASCONF ") && seen.at_ms > event - SLACK_MS)
        .map(|seen| seen.at_ms)
        .reduce(f64::min)?;
    Some((asconf - event).max(0.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Happening;

    fn course(happenings: &[(f64, &str, &str, &str)]) -> Course {
        let happenings = happenings
            .iter()
            .map(|&(at_ms, host, kind, what)| Happening {
                at_ms,
                host: host.to_owned(),
                kind: kind.to_owned(),
                what: what.to_owned(),
            })
            .collect();
        Course { happenings, ..Course::default() }
    }

    #[test]
    fn the_reaction_lasts_from_the_address_to_the_first_asconf_of_that_host() {
        let course = course(&[
            (10.0, "A", "link", "10.1.0.2 on a1 is gone"),
            (900.0, "A", "wire", "ASCONF 10.1.0.2 > 10.3.0.2: add 10.9.9.9"),
            (1000.0, "A", "link", "10.2.0.2 on a2 is usable"),
            (1003.0, "B", "wire", "ASCONF 10.3.0.2 > 10.1.0.2: add 10.4.0.2"),
            (1004.0, "A", "wire", "ASCONF-ACK 10.1.0.2 > 10.3.0.2"),
            (1012.5, "A", "wire", "ASCONF 10.2.0.2 > 10.3.0.2: add 10.2.0.2"),
            (1050.0, "A", "wire", "ASCONF 10.2.0.2 > 10.3.0.2: primary 10.2.0.2"),
        ]);
        assert_eq!(reaction(&course), Some(12.5));
    }

    #[test]
    fn without_an_asconf_there_is_no_reaction() {
        assert_eq!(reaction(&course(&[(1000.0, "A", "link", "10.2.0.2 on a2 is usable")])), None);
        assert_eq!(reaction(&Course::default()), None);
    }
}
