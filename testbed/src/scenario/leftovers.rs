//! What a daemon that has stopped must not have left on its host.

use std::io;
use std::process::Command;

use crate::netns::Namespace;

/// Shows where roamd puts anything: addresses on lo, rules, routes, and, where there is a tool for it, nftables.
const LOOK: &str = "ip -o addr show dev lo && ip rule && ip -6 rule && ip route show table all \
                    && ip -6 route show table all && if command -v nft >/dev/null; then nft list tables; fi";

/// What is left there, a line each.
///
/// # Errors
/// It cannot be looked up.
pub(crate) fn of(host: &Namespace) -> io::Result<Vec<String>> {
    let output = host.enter(|| Command::new("sh").args(["-c", LOOK]).output())?;
    if !output.status.success() {
        return Err(io::Error::other(format!(
            "what is left on the host cannot be looked up: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(among(&String::from_utf8_lossy(&output.stdout)))
}

/// Those lines that tell of something that roamd has put there: it marks rules and routes with 7600 and 76.
fn among(lines: &str) -> Vec<String> {
    let is_ours = |line: &&str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let follows = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
        let address =
            words.iter().position(|word| ["inet", "inet6"].contains(word)).map(|at| words.get(at + 1));
        match address {
            Some(address) if words.contains(&"lo") => !matches!(address, Some(&"127.0.0.1/8" | &"::1/128")),
            _ => words.first() == Some(&"7600:") || follows("proto", "76") || follows("inet", "roam"),
        }
    };
    lines.lines().filter(is_ours).map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_addresses_rules_routes_and_tables_are_found_and_nothing_else() {
        let others = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
                      1: lo    inet6 ::1/128 scope host noprefixroute \\       valid_lft forever\n\
                      0:\tfrom all lookup local\n32766:\tfrom all lookup main\n\
                      local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1\n\
                      default via 10.1.0.1 dev a1 proto static metric 100\n\
                      table inet filter\n";
        assert_eq!(among(others), [""; 0]);
        let ours = "1: lo    inet 10.1.0.2/32 scope global roam\\       valid_lft forever\n\
                    1: lo    inet6 fd00:1::2/128 scope global nodad \\       valid_lft forever\n\
                    7600:\tfrom 10.2.0.2 lookup 7600\n\
                    default via 10.2.0.1 dev a2 table 7600 proto 76\n\
                    table inet roam\n";
        assert_eq!(among(&format!("{others}{ours}")).len(), 5);
    }
}
