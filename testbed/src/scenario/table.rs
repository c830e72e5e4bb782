//! The scenarios.

use std::time::Duration;

use super::{Binding, Ip, Programs, Round, Scenario, Stack, Step};
use crate::topology::{A1, A1B, A2, B1, B2, Host, Place};
use Binding::{Explicit, Several, Wildcard};
use Step::{
    Down, KillAgent, Outage, Pass, Recover, SameAtRegistrar, StartAgent, StartLiar, StartPrograms,
    StartRegistrar, StopLiar, StopRegistrar, Up,
};

/// The scenarios that the README's table compares with the kernel alone.
pub const MAIN_SIX: [&str; 6] = [
    "make-before-break",
    "break-before-make-client",
    "break-before-make-server",
    "break-before-make-wildcard",
    "simultaneous",
    "simultaneous-wildcard",
];

/// How long both networks are there in make-before-break.
const OVERLAP: Duration = Duration::from_secs(1);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    for plain in basic() {
        let mut v6 = plain.clone();
        v6.name += "-ipv6";
        v6.shows = format!("{} Over IPv6, with duplicate address detection.", plain.shows);
        v6.family = Ip::V6;
        all.extend([plain, v6]);
    }
    // Each kind first in its plain form, then over IPv6.
    all.sort_by_key(|scenario| scenario.family == Ip::V6);
    all.extend(special());
    let through = super::sessions::through(&all);
    all.extend(through);
    all
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

pub(super) fn round(client: Binding, server: Binding, steps: Vec<Step>) -> Round {
    let (label, both) = (String::new(), Host::ALL.to_vec());
    let server_stack = Stack::Kernel;
    let without_nftables = Vec::new();
    Round {
        label,
        client,
        server,
        server_stack,
        agents: both.clone(),
        registered: both,
        without_nftables,
        as_service: false,
        steps,
    }
}

pub(super) fn scenario(name: &str, shows: &str, rounds: Vec<Round>) -> Scenario {
    Scenario {
        name: name.to_owned(),
        shows: shows.to_owned(),
        family: Ip::V4,
        programs: Programs::Traffic(1),
        loss_percent: 0.0,
        rate_kbit: None,
        quick: true,
        rounds,
    }
}

pub(super) fn labelled(label: &str, round: Round) -> Round {
    Round { label: label.to_owned(), ..round }
}

/// The programs start, then this happens.
pub(super) fn started(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    [Up(vec![A1, B1]), StartPrograms].into_iter().chain(steps).collect()
}

pub(super) fn make_before_break(from: Place, to: Place) -> Vec<Step> {
    vec![Up(vec![to]), Pass(OVERLAP), Down(vec![from]), Recover]
}

pub(super) fn break_before_make(from: &[Place], to: &[Place]) -> Vec<Step> {
    vec![Down(from.to_vec()), Outage, Up(to.to_vec()), Recover]
}

pub(super) fn simultaneous() -> Vec<Step> {
    break_before_make(&[A1, B1], &[A2, B2])
}

/// Those that there also are over IPv6.
fn basic() -> Vec<Scenario> {
    let client_moves = || started(break_before_make(&[A1], &[A2]));
    let two_addresses = [Up(vec![A1, A1B, B1]), StartPrograms]
        .into_iter()
        .chain(break_before_make(&[A1, A1B], &[A2]))
        .collect();
    vec![
        scenario(
            "make-before-break",
            "The client's host gets a second address before its first one goes: no message is even late.",
            vec![round(Explicit, Explicit, started(make_before_break(A1, A2)))],
        ),
        scenario(
            "break-before-make-client",
            "The client's host loses its only address and gets another one a second later.",
            vec![round(Explicit, Explicit, client_moves())],
        ),
        scenario(
            "break-before-make-server",
            "The server's host loses its only address and gets another one a second later.",
            vec![round(Explicit, Explicit, started(break_before_make(&[B1], &[B2])))],
        ),
        scenario(
            "break-before-make-wildcard",
            "Programs that bound no address: the client's host loses its only one and gets another one a second later.",
            vec![round(Wildcard, Wildcard, client_moves())],
        ),
        scenario(
            "break-before-make-two-addresses",
            "A client bound to two addresses loses both at once; its host comes back with a third.",
            vec![round(Several, Explicit, two_addresses)],
        ),
        scenario(
            "simultaneous",
            "Both hosts lose their only address at the same moment and come back with another one: neither knows where \
             the other is.",
            vec![round(Explicit, Explicit, started(simultaneous()))],
        ),
        scenario(
            "simultaneous-wildcard",
            "Both hosts move at the same moment, and their programs bound no address.",
            vec![round(Wildcard, Wildcard, started(simultaneous()))],
        ),
        scenario(
            "simultaneous-mixed",
            "Both hosts move at the same moment; one program bound an address, the other none, each end in turn.",
            vec![
                labelled(
                    "explicit client, wildcard server",
                    round(Explicit, Wildcard, started(simultaneous())),
                ),
                labelled(
                    "wildcard client, explicit server",
                    round(Wildcard, Explicit, started(simultaneous())),
                ),
            ],
        ),
    ]
}

/// Both lose their address at once; one comes back later than the other, each end in turn.
fn late(name: &str, by: Duration) -> Scenario {
    let (seconds, milliseconds) = (by.as_secs(), by.as_millis());
    let words = if seconds > 0 { format!("{seconds} s") } else { format!("{milliseconds} ms") };
    let order = |first: Place, second: Place| {
        let steps = [Down(vec![A1, B1]), Outage, Up(vec![first]), Pass(by), Up(vec![second]), Recover];
        round(Explicit, Explicit, started(steps))
    };
    let shows = format!(
        "Both hosts move at the same moment, and one comes back {words} after the other, each end in turn."
    );
    scenario(
        name,
        &shows,
        vec![labelled("client first", order(A2, B2)), labelled("server first", order(B2, A2))],
    )
}

fn special() -> Vec<Scenario> {
    let mut all = vec![
        late("simultaneous-late-50ms", ms(50)),
        late("simultaneous-late-300ms", ms(300)),
        late("simultaneous-late-2s", ms(2000)),
        one_registered(),
        scenario(
            "long-outage",
            "The client's host is without any address for 30 seconds; its association is back as quickly as after one.",
            vec![round(
                Explicit,
                Explicit,
                started([Down(vec![A1]), Pass(Duration::from_secs(30)), Up(vec![A2]), Recover]),
            )],
        ),
        wildcard_phases(),
        ten_moves(),
        Scenario {
            programs: Programs::Traffic(20),
            ..scenario(
                "twenty-associations",
                "Twenty associations of one server move at once, when both hosts do.",
                vec![
                    round(Explicit, Explicit, started(simultaneous())),
                    round(Wildcard, Wildcard, started(simultaneous())),
                ],
            )
        },
        already_running(),
        swap(),
        lying_registrar(),
        scenario(
            "registrar-away",
            "Both hosts move while the registrar is away; when it is back, the association goes on.",
            vec![round(
                Explicit,
                Explicit,
                started([
                    Down(vec![A1, B1]),
                    StopRegistrar,
                    Outage,
                    Up(vec![A2, B2]),
                    Pass(ms(3000)),
                    StartRegistrar,
                    Recover,
                ]),
            )],
        ),
        daemon_killed(),
        as_a_service(),
        carried_along(),
        Scenario {
            loss_percent: 5.0,
            ..scenario(
                "lossy",
                "Every kind of handover on links that lose 5 % of the packets in each direction.",
                vec![
                    labelled(
                        "make-before-break",
                        round(Explicit, Explicit, started(make_before_break(A1, A2))),
                    ),
                    labelled(
                        "break-before-make",
                        round(Explicit, Explicit, started(break_before_make(&[A1], &[A2]))),
                    ),
                    labelled("simultaneous", round(Explicit, Explicit, started(simultaneous()))),
                    labelled("simultaneous, wildcard", round(Wildcard, Wildcard, started(simultaneous()))),
                ],
            )
        },
        foreign_peer(),
    ];
    all.extend(super::real::all());
    all.extend(super::sessions::all());
    all
}

/// Nothing that the daemon does takes more than its unit for systemd gives it.
fn as_a_service() -> Scenario {
    let confined = |label: &str, binding, steps| Round {
        as_service: true,
        ..labelled(label, round(binding, binding, started(steps)))
    };
    scenario(
        "least-privilege",
        "The daemons run as a user of their own with no other rights than their unit gives them, and the programs as \
         root: each kind of handover.",
        vec![
            confined("make-before-break", Explicit, make_before_break(A1, A2)),
            confined("break-before-make", Explicit, break_before_make(&[A1], &[A2])),
            confined("simultaneous", Explicit, simultaneous()),
            confined("simultaneous, wildcard", Wildcard, simultaneous()),
        ],
    )
}

/// The end with the higher port, which alone may be mute, moves without nftables.
fn swap() -> Scenario {
    let without = |label: &str, hosts: &[Host], steps: Vec<Step>| Round {
        without_nftables: hosts.to_vec(),
        ..labelled(label, round(Explicit, Explicit, steps))
    };
    let moves = |host: Host| match host {
        Host::A => [break_before_make(&[A1], &[A2]), break_before_make(&[A2], &[A1])].concat(),
        Host::B => break_before_make(&[B1], &[B2]),
    };
    scenario(
        "break-before-make-client-swap",
        "nftables is not installed: the client's host moves there and back by socket options alone; where only the \
         client's host is without it, the server's moves, too.",
        vec![
            without("neither host has nftables", &Host::ALL, started(moves(Host::A))),
            without(
                "the client's host has no nftables",
                &[Host::A],
                started([moves(Host::A), moves(Host::B)].concat()),
            ),
        ],
    )
}

/// Whatever a registrar says, an association goes only where its peer has answered.
fn lying_registrar() -> Scenario {
    let steps = [StopRegistrar, StartLiar, Pass(ms(2000))]
        .into_iter()
        .chain(break_before_make(&[A1], &[A2]))
        .chain([Down(vec![A2, B1]), Outage, Up(vec![A1, B2]), Pass(ms(3000))])
        .chain([StopLiar, StartRegistrar, Recover]);
    scenario(
        "lying-registrar",
        "A registrar names other hosts in place of the peers, among them one that forges answers and sends ABORT, and \
         talks nonsense: the client's host moves all the same; both hosts move, and the association lives until the \
         truth comes.",
        vec![round(Explicit, Explicit, started(steps))],
    )
}

fn one_registered() -> Scenario {
    let only =
        |host: Host| Round { registered: vec![host], ..round(Explicit, Explicit, started(simultaneous())) };
    scenario(
        "simultaneous-one-registered",
        "Both hosts move at the same moment, and only one of them is in the registrar's book, each end in turn.",
        vec![labelled("only the client's", only(Host::A)), labelled("only the server's", only(Host::B))],
    )
}

/// The kernel gathers address events for half a second.
fn wildcard_phases() -> Scenario {
    let mut steps = Vec::new();
    for (phase, (from, to)) in (0..5).zip([(A1, A2), (A2, A1)].into_iter().cycle()) {
        steps.extend([Down(vec![from]), Pass(ms(1000 + phase * 100)), Up(vec![to]), Recover]);
    }
    scenario(
        "wildcard-phases",
        "Programs that bound no address: the client's host is offline for 1.0, 1.1 to 1.4 s in turn, so that its address \
         comes anywhere in the half second for which the kernel gathers such events. The slowest counts.",
        vec![round(Wildcard, Wildcard, started(steps))],
    )
}

fn ten_moves() -> Scenario {
    let mut steps = Vec::new();
    for (a, a_next, b, b_next) in [(A1, A2, B1, B2), (A2, A1, B2, B1)] {
        steps.extend(break_before_make(&[a], &[a_next]));
        steps.extend(break_before_make(&[b], &[b_next]));
        steps.extend(make_before_break(a_next, a));
        steps.extend(make_before_break(b_next, b));
        steps.extend(break_before_make(&[a, b], &[a_next, b_next]));
    }
    scenario(
        "ten-moves",
        "One association lives through ten handovers of all kinds in a row.",
        vec![round(Explicit, Explicit, started(steps))],
    )
}

fn already_running() -> Scenario {
    let steps = |moves: Vec<Step>| {
        let begin = [Up(vec![A1, B1]), StartPrograms, StartAgent(Host::A), StartAgent(Host::B), Recover];
        Round { agents: Vec::new(), ..round(Explicit, Explicit, begin.into_iter().chain(moves).collect()) }
    };
    scenario(
        "already-running",
        "The association is older than the daemons: they find it, and it lives through both hosts' moves.",
        vec![
            labelled("break-before-make", steps(break_before_make(&[A1], &[A2]))),
            labelled("simultaneous", steps(simultaneous())),
        ],
    )
}

fn daemon_killed() -> Scenario {
    let again = [StartAgent(Host::A), StartAgent(Host::B), Recover];
    let killed = [KillAgent(Host::A), KillAgent(Host::B)];
    let during = |label: &str, before: Vec<Step>, after: Vec<Step>| {
        let steps = before.into_iter().chain(killed.clone()).chain(after).chain(again.clone());
        labelled(label, round(Explicit, Explicit, started(steps)))
    };
    scenario(
        "daemon-killed",
        "Both daemons are killed with SIGKILL in the middle of each kind of handover; the next ones clean up and carry on.",
        vec![
            during(
                "make-before-break",
                vec![Up(vec![A2]), Pass(ms(20))],
                vec![Pass(ms(300)), Down(vec![A1])],
            ),
            during("offline", vec![Down(vec![A1]), Pass(ms(500))], vec![Pass(ms(500)), Up(vec![A2])]),
            during("client", vec![Down(vec![A1]), Outage, Up(vec![A2]), Pass(ms(15))], vec![]),
            during("server", vec![Down(vec![B1]), Outage, Up(vec![B2]), Pass(ms(15))], vec![]),
            during("simultaneous", vec![Down(vec![A1, B1]), Outage, Up(vec![A2, B2]), Pass(ms(60))], vec![]),
        ],
    )
}

fn carried_along() -> Scenario {
    let moves = [simultaneous(), make_before_break(A2, A1), make_before_break(B2, B1)];
    let steps = moves.into_iter().flat_map(|steps| [steps, vec![SameAtRegistrar, Recover]].concat());
    scenario(
        "registrar-carried-along",
        "Both hosts move at the same moment, and then one after the other: each daemon's association to the registrar \
         moves, too, and is the same after every handover.",
        vec![round(Explicit, Explicit, started(steps))],
    )
}

fn foreign_peer() -> Scenario {
    let alone = |label: &str, client: Binding, moves: Vec<Step>| Round {
        agents: vec![Host::A],
        // The peer is not to be found anywhere, so there is no need of a registrar.
        registered: Vec::new(),
        ..labelled(label, round(client, Explicit, started(moves)))
    };
    let usrsctp = |label: &str, client: Binding, moves: Vec<Step>| Round {
        server_stack: Stack::Usrsctp,
        ..alone(label, client, moves)
    };
    scenario(
        "foreign-peer",
        "The other end has no agent: an ordinary Linux host whose kernel knows Add-IP, and a program on usrsctp, a stack \
         in user space. No registrar is there.",
        vec![
            alone("make-before-break", Explicit, make_before_break(A1, A2)),
            alone("break-before-make", Explicit, break_before_make(&[A1], &[A2])),
            alone("break-before-make, wildcard", Wildcard, break_before_make(&[A1], &[A2])),
            usrsctp("usrsctp, make-before-break", Explicit, make_before_break(A1, A2)),
            usrsctp("usrsctp, break-before-make", Explicit, break_before_make(&[A1], &[A2])),
            usrsctp("usrsctp, break-before-make, wildcard", Wildcard, break_before_make(&[A1], &[A2])),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_a_sentence() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|scenario| &scenario.name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in &all {
            assert!(scenario.shows.ends_with('.'), "{}", scenario.name);
            assert!(!scenario.rounds.is_empty(), "{}", scenario.name);
        }
        assert!(MAIN_SIX.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn every_round_starts_its_programs_once_and_ends_with_a_recovery() {
        for scenario in all() {
            for round in &scenario.rounds {
                let starts = round.steps.iter().filter(|step| **step == StartPrograms).count();
                assert_eq!((starts, round.steps.last()), (1, Some(&Recover)), "{}", scenario.name);
            }
        }
    }

    #[test]
    fn no_step_takes_away_what_is_not_there() {
        for scenario in all() {
            for round in &scenario.rounds {
                let mut there = BTreeSet::new();
                for step in &round.steps {
                    match step {
                        Up(places) => {
                            assert!(places.iter().all(|place| there.insert(*place)), "{}", scenario.name)
                        }
                        Down(places) => {
                            assert!(places.iter().all(|place| there.remove(place)), "{}", scenario.name)
                        }
                        _ => {}
                    }
                }
                assert!(there.len() >= 2);
            }
        }
    }
}
