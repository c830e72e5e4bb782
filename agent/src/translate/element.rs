//! A rule as an element of one of the table's sets or maps.

use std::net::IpAddr;

use super::rule::{Pair, Rule};

/// How packets are wrapped, each way with sets and maps of its own: nftables reads the ports of SCTP in UDP as plain
/// numbers, for which it has no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    /// SCTP in IP.
    InIp,
    /// SCTP in UDP (RFC 6951).
    InUdp,
}

impl Wrapped {
    /// The name of a rule's set; none: the rule does not exist for such packets. A SACK in UDP cannot be changed, since
    /// nftables does not compute SCTP's checksum there.
    fn set(self, rule: &Rule, name: &str) -> Option<String> {
        match (self, rule) {
            (Self::InIp, _) => Some(name.to_owned()),
            (Self::InUdp, Rule::NoGapsIn(_)) => None,
            (Self::InUdp, _) => Some(format!("u_{name}")),
        }
    }
}

/// An element as the kernel takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// The set or map.
    pub(super) set: String,
    /// The key: fields in network order, each padded to four octets.
    pub(super) key: Vec<u8>,
    /// What a map maps it to.
    pub(super) data: Option<Vec<u8>>,
}

/// A rule's parts: the set without the family's digit, whether it has one, the key's addresses, the mapped address.
fn parts(rule: &Rule) -> (&'static str, &'static str, Pair, Vec<IpAddr>, Option<IpAddr>) {
    match *rule {
        Rule::Guard(pair) => ("guard", "guard", pair, vec![], None),
        Rule::NoAbortIn(pair) => ("no_abort_in", "no_abort_in", pair, vec![], None),
        Rule::NoGapsIn(pair) => ("no_gaps_in", "no_gaps_in", pair, vec![], None),
        Rule::NoHeartbeatAckOut(pair) => ("no_heartbeat_ack_out", "no_heartbeat_ack_out", pair, vec![], None),
        Rule::Restrict { pair, source, destination } => {
            ("restrict4", "restrict6", pair, vec![source, destination], None)
        }
        Rule::RestrictTo { pair, destination } => {
            ("restrict_to4", "restrict_to6", pair, vec![destination], None)
        }
        Rule::Block { pair, source } => ("block4", "block6", pair, vec![source], None),
        Rule::OutSource { pair, from, to } => ("out_src4", "out_src6", pair, vec![from], Some(to)),
        Rule::OutDestination { pair, from, to } => ("out_dst4", "out_dst6", pair, vec![from], Some(to)),
        Rule::AnswerTo { pair, from, to } => ("answer4", "answer6", pair, vec![from], Some(to)),
        Rule::InSource { pair, from, to } => ("in_src4", "in_src6", pair, vec![from], Some(to)),
        Rule::InDestination { pair, from, to } => ("in_dst4", "in_dst6", pair, vec![from], Some(to)),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

impl Element {
    /// The element that stands for `rule` where packets are wrapped so; none: nothing does.
    pub(super) fn of(rule: &Rule, wrapped: Wrapped) -> Option<Self> {
        let (v4, v6, pair, addresses, data) = parts(rule);
        let mut key = Vec::with_capacity(40);
        for port in [pair.local_port, pair.peer_port] {
            key.extend_from_slice(&port.to_be_bytes());
            key.extend_from_slice(&[0, 0]);
        }
        let set = if addresses.iter().any(IpAddr::is_ipv6) { v6 } else { v4 };
        for address in addresses {
            key.extend_from_slice(&octets(address));
        }
        Some(Self { set: wrapped.set(rule, set)?, key, data: data.map(octets) })
    }
}

/// The set, and the element as `nft` reads it; none: nothing stands for the rule where packets are wrapped so.
pub(super) fn text(rule: &Rule, wrapped: Wrapped) -> Option<(String, String)> {
    let (v4, v6, pair, addresses, data) = parts(rule);
    let set = if addresses.iter().any(IpAddr::is_ipv6) { v6 } else { v4 };
    let mut text = format!("{} . {}", pair.local_port, pair.peer_port);
    for address in addresses {
        text.push_str(&format!(" . {address}"));
    }
    if let Some(data) = data {
        text.push_str(&format!(" : {data}"));
    }
    Some((wrapped.set(rule, set)?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: Pair = Pair { local_port: 7001, peer_port: 7000 };

    fn rule() -> Rule {
        Rule::OutSource { pair: PAIR, from: [10, 1, 0, 2].into(), to: [10, 2, 0, 2].into() }
    }

    #[test]
    fn a_key_is_its_fields_in_network_order_each_padded_to_four_octets() {
        let element = Element::of(&rule(), Wrapped::InIp).unwrap();
        assert_eq!(element.set, "out_src4");
        assert_eq!(element.key, [0x1b, 0x59, 0, 0, 0x1b, 0x58, 0, 0, 10, 1, 0, 2]);
        assert_eq!(element.data.as_deref(), Some(&[10, 2, 0, 2][..]));
    }

    #[test]
    fn a_rule_of_ipv6_addresses_goes_to_the_sets_of_ipv6() {
        let address: IpAddr = "fd00::1".parse().expect("an address");
        let rule = Rule::Restrict { pair: PAIR, source: address, destination: address };
        let element = Element::of(&rule, Wrapped::InIp).unwrap();
        assert_eq!((element.set.as_str(), element.key.len()), ("restrict6", 40));
    }

    #[test]
    fn the_text_for_nft_names_the_same_element() {
        let named = |rule, wrapped| text(rule, wrapped).unwrap();
        let (guard, rule) = (Rule::Guard(PAIR), rule());
        let element = "7001 . 7000 . 10.1.0.2 : 10.2.0.2".to_owned();
        assert_eq!(named(&rule, Wrapped::InIp), ("out_src4".to_owned(), element.clone()));
        assert_eq!(named(&rule, Wrapped::InUdp), ("u_out_src4".to_owned(), element));
        assert_eq!(named(&guard, Wrapped::InIp), ("guard".to_owned(), "7001 . 7000".to_owned()));
    }

    #[test]
    fn in_udp_the_same_key_is_in_a_set_of_its_own_and_sacks_stay_as_they_are() {
        let (in_ip, in_udp) =
            (Element::of(&rule(), Wrapped::InIp).unwrap(), Element::of(&rule(), Wrapped::InUdp).unwrap());
        assert_eq!(in_udp, Element { set: "u_out_src4".to_owned(), ..in_ip });
        assert_eq!(Element::of(&Rule::NoGapsIn(PAIR), Wrapped::InUdp), None);
    }
}
