//! Networks as they are: what users of neighbouring systems suffered from, one scenario each, with the agent at a host
//! whose network does just that.
//!
//! | file | what it holds |
//! |---|---|
//! | `stage` | two mobile hosts, the agent at one of them, an association between both |
//! | `arrival` | addresses that come before their routes, or are not to be used |
//! | `loss` | links and addresses that go, or seem to |
//! | `crowd` | much that does not matter |
//! | `others` | other programs change what is ours, or do the same as we |
//! | `silent` | networks that swallow packets |
//! | `backup` | links that are not alike |
//! | `absence` | the agent does not hear of everything |
//! | `families` | IPv4 and IPv6 by turns |
//! | `counts` | what is counted is true |
//! | `registered` | pool elements whose host changes networks |

mod absence;
mod arrival;
mod backup;
mod counts;
mod crowd;
mod families;
mod loss;
mod others;
mod registered;
mod silent;
pub(crate) mod stage;

use crate::registrar::{Round, Scenario};

pub use stage::Stage;

pub(crate) const NFT: (&str, &str) = ("nft", "nftables");

/// A scenario that every `check` plays.
pub(crate) const fn scenario(
    name: &'static str,
    shows: &'static str,
    rounds: &'static [Round<Stage>],
) -> Scenario<Stage> {
    Scenario { name, shows, needed: &[NFT], quick: true, measured: false, rounds }
}

/// All of them.
pub static ALL: [Scenario<Stage>; 20] = [
    scenario(
        "network-late-route",
        "An address comes two seconds before its route: nothing is tried before, and the move follows the route.",
        &[("", arrival::late_route)],
    ),
    scenario(
        "network-ipv6-states",
        "Tentative, duplicate, deprecated and temporary IPv6 addresses are not used, and a good one is.",
        &[("", arrival::ipv6_states)],
    ),
    scenario(
        "network-carrier",
        "The carrier goes and addresses and routes stay: the association moves to the other link.",
        &[("one at a time", loss::carrier), ("both at once", loss::carrier_of_one)],
    ),
    scenario(
        "network-link-down",
        "A link is taken down and up again, and nobody says that its routes are gone: they are not relied on.",
        &[("", loss::link_down)],
    ),
    scenario(
        "network-renewal",
        "An address is deleted and comes again at once, as when a lease is renewed: the peer hears nothing of it.",
        &[("", loss::renewal)],
    ),
    scenario(
        "network-two-uplinks",
        "Two uplinks without source routes: each address leaves by its own, by our rules or not at all.",
        &[("rules of ours", crowd::our_rules), ("no rules of ours", crowd::no_rules)],
    ),
    scenario(
        "network-many-routes",
        "A hundred thousand routes in another table cost the agent nothing.",
        &[("", crowd::many_routes)],
    ),
    scenario(
        "network-containers",
        "Fifty containers come and go: their interfaces are no paths, and nothing is decided.",
        &[("", crowd::containers)],
    ),
    scenario(
        "network-rule-deleted",
        "Somebody deletes our rules, routes and tables: they are put back, and a move works.",
        &[("", others::rules_deleted)],
    ),
    scenario(
        "network-second-manager",
        "The kernel is told to move associations by itself, and another agent is started: it is said, and one does it.",
        &[("", others::second_manager)],
    ),
    scenario(
        "network-blackhole",
        "A new network swallows everything: an association that works moves there only when it answers.",
        &[("", silent::from_the_start)],
    ),
    scenario(
        "network-silence",
        "A path dies without a word: the association moves to one that answers, and stays where none does.",
        &[("", silent::later)],
    ),
    scenario(
        "network-unconfirmed",
        "One of the peer's paths is never confirmed: a move goes by the other.",
        &[("", silent::heartbeats)],
    ),
    scenario(
        "network-backup",
        "A backup carries heartbeats, or nothing, while the primary link works; a link for nothing carries nothing ever.",
        &[("warm", backup::warm), ("cold", backup::cold), ("never", backup::never)],
    ),
    scenario(
        "network-unequal",
        "A cheaper link is returned to when it has lasted, and left at once when it goes.",
        &[("", backup::unequal)],
    ),
    scenario(
        "network-flaps",
        "A link comes and goes: after a few times the peer hears nothing of it any more.",
        &[("", backup::flaps)],
    ),
    scenario(
        "network-absence",
        "The agent's buffer runs over, or the agent is stopped for a while: it catches up.",
        &[("overrun", absence::overrun), ("stopped", absence::stopped)],
    ),
    scenario(
        "network-families",
        "An association goes from IPv6 to IPv4 and back, and from IPv4 to IPv6 where it began with IPv4 alone.",
        &[
            ("both known", families::both_known),
            ("agents at both ends", families::both_agents),
            ("one known", families::one_known),
        ],
    ),
    scenario(
        "network-counts",
        "Handovers, their gaps and ASCONFs are counted as they were seen on the wire and by the program.",
        &[("", counts::handovers)],
    ),
    scenario(
        "network-registration",
        "Addresses change faster than they can be registered, or only the backup reaches the registrar.",
        &[
            ("changes meanwhile", registered::change_meanwhile),
            ("by the backup alone", registered::by_backup_alone),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        crate::registrar::each_is_described(&ALL, "network-");
    }

    /// The rows of the table in the agent's NETWORKS.md: number, and what shows it.
    fn rows() -> Vec<(usize, Vec<String>)> {
        let table = include_str!("../../../agent/NETWORKS.md");
        let cells = table.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let rows = cells.filter_map(|cells| Some((cells.get(1)?.parse().ok()?, *cells.get(4)?)));
        let names = |shown: &str| shown.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        rows.map(|(number, shown)| (number, names(shown))).collect()
    }

    /// The text of all of the agent's sources and tests.
    fn sources(directory: &Path) -> String {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let text = |path: std::path::PathBuf| match path.is_dir() {
            true => sources(&path),
            false if path.extension().is_some_and(|it| it == "rs") => fs::read_to_string(path).unwrap(),
            false => String::new(),
        };
        entries.map(text).collect()
    }

    #[test]
    fn each_pain_is_in_the_table_and_what_is_said_to_show_it_exists() {
        let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent");
        let tests = sources(&agent.join("src")) + &sources(&agent.join("tests"));
        let rows = rows();
        assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
        for (number, shown) in rows {
            // What is refused has its reason below the table.
            assert!(!shown.is_empty() || number == 14, "row {number} is shown by nothing");
            for name in shown {
                let exists = match name.contains('_') {
                    true => tests.contains(&format!("fn {name}()")),
                    false => crate::scenario::play(&name).is_some(),
                };
                assert!(exists, "row {number}: there is no {name}");
            }
        }
    }

    #[test]
    fn every_scenario_of_networks_is_in_the_table() {
        let table = include_str!("../../../agent/NETWORKS.md");
        for scenario in &ALL {
            assert!(table.contains(&format!("`{}`", scenario.name)), "{}", scenario.name);
        }
    }
}
