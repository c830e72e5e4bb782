//! A rule as an element of one of the table's sets or maps.

use std::net::IpAddr;

use super::rule::{Pair, Rule};

/// An element as the kernel takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// The set or map.
    pub(super) set: &'static str,
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
    /// The element that stands for `rule`.
    pub(super) fn of(rule: &Rule) -> Self {
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
        Self { set, key, data: data.map(octets) }
    }
}

/// The set, and the element as `nft` reads it.
pub(super) fn text(rule: &Rule) -> (&'static str, String) {
    let (v4, v6, pair, addresses, data) = parts(rule);
    let set = if addresses.iter().any(IpAddr::is_ipv6) { v6 } else { v4 };
    let mut text = format!("{} . {}", pair.local_port, pair.peer_port);
    for address in addresses {
        text.push_str(&format!(" . {address}"));
    }
    if let Some(data) = data {
        text.push_str(&format!(" : {data}"));
    }
    (set, text)
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
        let element = Element::of(&rule());
        assert_eq!(element.set, "out_src4");
        assert_eq!(element.key, [0x1b, 0x59, 0, 0, 0x1b, 0x58, 0, 0, 10, 1, 0, 2]);
        assert_eq!(element.data.as_deref(), Some(&[10, 2, 0, 2][..]));
    }

    #[test]
    fn a_rule_of_ipv6_addresses_goes_to_the_sets_of_ipv6() {
        let address: IpAddr = "fd00::1".parse().expect("an address");
        let element = Element::of(&Rule::Restrict { pair: PAIR, source: address, destination: address });
        assert_eq!((element.set, element.key.len()), ("restrict6", 40));
    }

    #[test]
    fn the_text_for_nft_names_the_same_element() {
        assert_eq!(text(&rule()), ("out_src4", "7001 . 7000 . 10.1.0.2 : 10.2.0.2".to_owned()));
        assert_eq!(text(&Rule::Guard(PAIR)), ("guard", "7001 . 7000".to_owned()));
    }
}
