//! The host's edge: what the nftables rules of `inet roam` make of a packet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use roam_agent::translate::Rule;

use super::packet::Packet;

/// What leaves, in the order of the chain `leaving`: block, answers, heartbeats' answers, restrict, destination,
/// source. Nothing: dropped.
#[must_use]
pub fn leaving(rules: &BTreeSet<Rule>, mut packet: Packet) -> Option<Packet> {
    let (source, destination) = (packet.source, packet.destination);
    let mut out_source = None;
    let mut out_destination = None;
    let mut answer_to = None;
    for rule in rules {
        match *rule {
            Rule::Block { source: blocked, .. } if blocked == source => return None,
            Rule::NoHeartbeatAckOut(_) if packet.has_heartbeat_ack() && !packet.has_answer() => return None,
            Rule::Restrict { source: from, destination: to, .. }
                if from == source && to == destination && !packet.may_pass_restriction() =>
            {
                return None;
            }
            Rule::RestrictTo { destination: to, .. }
                if to == destination && !packet.may_pass_restriction() =>
            {
                return None;
            }
            Rule::OutSource { from, to, .. } if from == source => out_source = Some(to),
            Rule::OutDestination { from, to, .. } if from == destination => out_destination = Some(to),
            Rule::AnswerTo { from, to, .. } if from == destination && packet.has_answer() => {
                answer_to = Some(to)
            }
            _ => {}
        }
    }
    packet.destination = answer_to.or(out_destination).unwrap_or(destination);
    packet.source = out_source.unwrap_or(source);
    Some(packet)
}

/// What enters, in the order of the chain `entering`. Nothing: dropped.
#[must_use]
pub fn entering(rules: &BTreeSet<Rule>, mut packet: Packet) -> Option<Packet> {
    let abort = packet.has_abort();
    let (source, destination) = (packet.source, packet.destination);
    let map = |seen: IpAddr, from: IpAddr, to: IpAddr, now: &mut IpAddr| {
        if seen == from {
            *now = to;
        }
    };
    for rule in rules {
        match *rule {
            Rule::Guard(_) => return None,
            Rule::NoAbortIn(_) if abort => return None,
            Rule::InSource { from, to, .. } => map(source, from, to, &mut packet.source),
            Rule::InDestination { from, to, .. } => map(destination, from, to, &mut packet.destination),
            _ => {}
        }
    }
    Some(packet)
}
