//! Others that change addresses and routes, packet filters, translation.

use super::{Check, Facts};

const GROUP: &str = "network";

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![nft(facts)];
    checks.extend(managers(facts));
    checks.push(translations(facts));
    checks
}

fn nft(facts: &Facts) -> Check {
    if facts.network.nft {
        return Check::ok(GROUP, "nftables", "the program nft is there");
    }
    let text = "the program nft is missing: both ends of an association cannot move at once, and not every move works";
    Check::fail(GROUP, "nftables", text, "apt install nftables")
}

fn managers(facts: &Facts) -> Vec<Check> {
    let network = &facts.network;
    let mut checks = Vec::new();
    if network.network_manager {
        checks.push(Check::ok(
            GROUP,
            "network-manager",
            "NetworkManager manages the interfaces; it leaves roamd's rules and tables alone",
        ));
    }
    if network.networkd && network.networkd_tolerant {
        checks.push(Check::ok(GROUP, "networkd", "systemd-networkd leaves roamd's rules and routes alone"));
    } else if network.networkd {
        let text = "systemd-networkd deletes rules and routes that are not its own whenever it starts or a link changes; roamd puts its own back each time";
        let mend = "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n' > /etc/systemd/networkd.conf.d/roam.conf && systemctl restart systemd-networkd";
        checks.push(Check::warn(GROUP, "networkd", text, mend));
    }
    checks
}

fn translations(facts: &Facts) -> Check {
    let network = &facts.network;
    if let Some(first) = network.translations.first() {
        let text = format!(
            "this host's packet filter translates addresses (`{first}`): associations through it cannot be moved, and those of this host only if it leaves them alone"
        );
        return Check::warn(
            GROUP,
            "translation",
            text,
            "nft list ruleset  # let SCTP pass: `meta l4proto sctp return` before it",
        );
    }
    if network.conntrack {
        return Check::ok(GROUP, "translation", "connections are tracked here, and no addresses translated");
    }
    Check::ok(GROUP, "translation", "no addresses are translated here")
}
