//! Why an address or an association is, or is not, used.

use std::net::IpAddr;

use super::Daemon;
use crate::control::{
    AddressReport, AssociationReport, AssociationState, ExplainReport, Failure, FailureCode, Target,
};
use crate::net::Unusable;

impl Daemon {
    /// What is known of the target, with the last decisions about it.
    ///
    /// # Errors
    /// Nothing is, nor was anything decided about it.
    pub(super) fn explain(&self, target: Target, last: usize) -> Result<ExplainReport, Failure> {
        let associations: Vec<AssociationReport> =
            self.association_reports().into_iter().filter(|report| target.concerns(report)).collect();
        let all = self.address_reports();
        let of_target = |report: &AddressReport| match target {
            Target::Address(address) => report.address == address,
            Target::Association { .. } => associations.iter().any(|it| it.local.contains(&report.address)),
        };
        let addresses: Vec<AddressReport> = all.into_iter().filter(of_target).collect();
        let decisions = self.story.0.about(last.min(crate::decisions::CAPACITY), |it| target.decided(it));
        if associations.is_empty() && addresses.is_empty() && decisions.is_empty() {
            return Err(Failure::new(FailureCode::NotFound, unknown(target)));
        }
        let why = match target {
            Target::Address(address) => why_address(address, &addresses, &associations, &self.host.held()),
            Target::Association { .. } => why_associations(&associations),
        };
        let decisions = decisions.iter().map(|decision| (**decision).clone()).collect();
        Ok(ExplainReport { target: target.to_string(), why, addresses, associations, decisions })
    }
}

fn unknown(target: Target) -> String {
    match target {
        Target::Address(address) => format!(
            "{address} is no address of this host or of a peer, and nothing was decided about it; `roam addresses` lists those that are"
        ),
        Target::Association { .. } => format!(
            "there is no association {target} that roamd may look after, and nothing was decided about one; `roam associations` lists those that are"
        ),
    }
}

fn why_address(
    address: IpAddr,
    addresses: &[AddressReport],
    associations: &[AssociationReport],
    held: &[IpAddr],
) -> String {
    let users = associations.iter().filter(|report| report.local.contains(&address)).count();
    let peers = associations.iter().filter(|report| report.peer.contains(&address)).count();
    if let Some(usable) = addresses.iter().find(|report| report.usable) {
        let family =
            |report: &AssociationReport| report.peer.iter().any(|peer| peer.is_ipv6() == address.is_ipv6());
        return match users {
            0 if associations.is_empty() => {
                format!("usable ({}), and no association has it", usable.why)
            }
            0 if !associations.iter().any(family) => {
                format!("usable ({}), but no peer has its family", usable.why)
            }
            users => format!("usable ({}), and used by {}", usable.why, plural(users, "association")),
        };
    }
    let lost = addresses.iter().find(|report| !matches!(report.reason, None | Some(Unusable::Held)));
    let holds = "held on the loopback interface for associations that still need it as a source";
    match (lost, held.contains(&address)) {
        (Some(report), false) => return format!("not used for associations: {}", report.why),
        (Some(report), true) => return format!("not used for associations: {}; {holds}", report.why),
        (None, true) => return format!("this host has lost it; {holds}"),
        (None, false) => {}
    }
    match (peers, users) {
        (0, 0) => "this host does not have it any more".to_owned(),
        (0, users) => {
            let has = if users == 1 { "has" } else { "have" };
            format!(
                "this host does not have it any more; {} still {has} it listed",
                plural(users, "association")
            )
        }
        (peers, _) => format!("an address of the peer of {}", plural(peers, "association")),
    }
}

fn why_associations(associations: &[AssociationReport]) -> String {
    match associations {
        [] => "it has ended, or is no longer looked after".to_owned(),
        [one] => {
            let state = match one.state {
                AssociationState::Settled => "settled: it uses a usable address and nothing is under way",
                AssociationState::Stranded => "stranded",
                AssociationState::Moving => "being moved",
                AssociationState::Unmanageable => "not looked after",
            };
            if one.why.is_empty() { state.to_owned() } else { format!("{state}: {}", one.why) }
        }
        several => format!("{} fit", plural(several.len(), "association")),
    }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(reason: Option<Unusable>) -> AddressReport {
        AddressReport {
            address: "10.2.0.2".parse().unwrap(),
            prefix: 24,
            interface: "u1".into(),
            usable: reason.is_none(),
            why: reason.as_ref().map_or("by way of 10.2.0.1".into(), ToString::to_string),
            reason,
            gateway: None,
            table: None,
        }
    }

    fn association(local: &str, peer: &str) -> AssociationReport {
        AssociationReport {
            pid: 1,
            executable: None,
            local_port: 7001,
            peer_port: 7000,
            binding: None,
            local: vec![local.parse().unwrap()],
            peer: vec![peer.parse().unwrap()],
            state: AssociationState::Settled,
            why: String::new(),
            add_ip: Some(true),
            in_state_ms: 0,
            moves: 0,
            last_move_ms: None,
        }
    }

    #[test]
    fn the_sentence_tells_whether_an_address_is_used_and_why() {
        let it: IpAddr = "10.2.0.2".parse().unwrap();
        let (own, other) = (association("10.2.0.2", "10.3.0.2"), association("10.1.0.2", "10.2.0.2"));
        for (addresses, associations, held, says) in [
            (vec![address(None)], vec![own.clone()], vec![], "used by 1 association"),
            (vec![address(None)], vec![own.clone(), own.clone()], vec![], "used by 2 associations"),
            (vec![address(None)], vec![], vec![], "no association has it"),
            (vec![address(Some(Unusable::NoCarrier))], vec![own.clone()], vec![], "no carrier"),
            (vec![address(Some(Unusable::Held))], vec![own.clone()], vec![it], "has lost it; held on"),
            (
                vec![address(Some(Unusable::Held)), address(Some(Unusable::LinkDown))],
                vec![],
                vec![it],
                "is down; held on",
            ),
            (vec![], vec![own], vec![], "does not have it any more; 1 association still has"),
            (vec![], vec![other], vec![], "the peer of 1 association"),
            (vec![], vec![], vec![], "does not have it any more"),
        ] {
            let why = why_address(it, &addresses, &associations, &held);
            assert!(why.contains(says), "{why:?} should say {says:?}");
        }
    }
}
