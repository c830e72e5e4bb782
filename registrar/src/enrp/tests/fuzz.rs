//! Sequences of messages from clients and from other registrars, damaged: the books agree after every one, and what is
//! sent can be read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::cluster::enrp_settings;
use crate::fuzz::{Case, Draw, Target, cases, fuzz};
use crate::machine::{Input, Output, Registrar};
use crate::made;
use crate::vectors::vectors;
use crate::{Association, asap, enrp};

/// The registrar of the vectors that is sent to there.
const OWN: u32 = 0x55aa_00ff;

/// The registrars of the vectors that send there, the first over association 0, the other over 1.
const OTHERS: [u32; 2] = [0xabcd_1234, 0x0102_0304];

/// What a piece does: its first octet says what, its second to which association.
const PASS: u8 = 0;
const CLIENT_UP: u8 = 1;
const CLIENT_DOWN: u8 = 2;
const CLIENT_SAYS: u8 = 3;
const PEER_UP: u8 = 4;
const PEER_DOWN: u8 = 5;
const PEER_SAYS: u8 = 6;

struct World {
    now: Instant,
    registrar: Registrar,
}

impl World {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        let asap = asap::Settings { server: OWN, ..asap::Settings::default() };
        let limits =
            enrp::Limits { peers: 4, elements_per_peer: 5, pools: 4, claims: 2, ..Default::default() };
        let settings = enrp::Settings { limits, suggest_takeovers: true, ..enrp_settings(OWN) };
        Self { now, registrar: Registrar::new(now, asap, settings, 7) }
    }

    fn give(&mut self, input: Input) {
        self.registrar.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.registrar.poll_output() {
            match output {
                Output::Asap(asap::Output::Send { bytes, .. }) => {
                    asap_client::wire::decode(&bytes).unwrap();
                }
                Output::Enrp(enrp::Output::Send { bytes, .. } | enrp::Output::Announce { bytes }) => {
                    assert_eq!(enrp::wire::decode(&bytes).unwrap().message.sender, OWN);
                }
                Output::Enrp(enrp::Output::Connect { remote })
                | Output::Asap(asap::Output::Connect { remote }) => assert!(remote.len() <= 5000),
                _ => {}
            }
        }
        self.registrar.asap().check();
        let enrp = self.registrar.enrp();
        assert!(enrp.peers().count() <= enrp.settings().limits.peers);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.registrar.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.registrar.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn step(&mut self, piece: &[u8]) {
        let [what, who, rest @ ..] = piece else { return };
        // A place for each, that is not used for both protocols.
        let number = u64::from(who % 3);
        let association = Association(number);
        let bytes = rest.to_vec();
        match what % 9 {
            PASS => {
                let ms = u64::from(*who) * u64::from(*who);
                self.pass(Duration::from_millis(ms));
            }
            CLIENT_UP => {
                let from: IpAddr = [192, 0, 2, 10 + who % 2].into();
                let addresses = vec![from, "2001:db8::10".parse().unwrap()];
                self.give(Input::Asap(asap::Input::Up { association, from, port: 40_000, addresses }));
            }
            CLIENT_DOWN => self.give(Input::Asap(asap::Input::Down { association })),
            CLIENT_SAYS => {
                let ppid = asap_client::wire::PPID;
                self.give(Input::Asap(asap::Input::Message { association, ppid, bytes }));
            }
            PEER_UP => {
                let addresses = vec![SocketAddr::new([192, 0, 2, 1 + who % 3].into(), 9901)];
                self.give(Input::Enrp(enrp::Input::Up { association, addresses }));
            }
            PEER_DOWN => self.give(Input::Enrp(enrp::Input::Down { association })),
            _ => {
                let ppid = enrp::wire::PPID;
                let space = self.registrar.handlespace();
                let elements = space.homes().flat_map(|home| space.of_home(home).map(move |key| (home, key)));
                let before: Vec<_> = elements.collect();
                let sender = bytes.get(4..8).and_then(|id| Some(u32::from_be_bytes(id.try_into().ok()?)));
                self.give(Input::Enrp(enrp::Input::Message { association, ppid, bytes }));
                for (home, key) in before {
                    let there = self.registrar.handlespace().get(key).is_some();
                    assert!(there || sender == Some(home), "{sender:x?} removed an element of {home:#x}");
                }
            }
        }
    }
}

/// A message as it should be, of a client or of another registrar.
fn made(draw: Draw<'_>) -> Vec<u8> {
    let who = draw(2);
    let number = u8::try_from(who).unwrap_or(0);
    if draw(3) == 0 {
        return [vec![CLIENT_SAYS, number], made::by_client(draw)].concat();
    }
    let servers = [OTHERS[0], OTHERS[1], OWN];
    [vec![PEER_SAYS, number], made::by_registrar(OTHERS[who], OWN, &servers, draw)].concat()
}

/// Which counters moved, and roughly how far.
fn run(case: &[Vec<u8>]) -> u64 {
    let mut world = World::new();
    for piece in case {
        world.step(piece);
    }
    let mut hasher = DefaultHasher::new();
    let all = serde_json::to_value(world.registrar.enrp().counters()).unwrap();
    for (name, value) in all.as_object().unwrap() {
        if !["messages", "updates_sent"].contains(&name.as_str()) {
            value.as_u64().unwrap_or(0).min(2).hash(&mut hasher);
        }
    }
    world.registrar.asap().counters().keep_alives.min(2).hash(&mut hasher);
    hasher.finish()
}

/// Each vector, said by the registrar that says it there, while the element of the vectors is registered here or there.
fn known() -> Vec<Case> {
    let vectors = vectors();
    let say = |what: u8, who: u8, octets: &[u8]| [&[what, who], octets].concat();
    let registration = say(CLIENT_SAYS, 0, &vectors["ASAP_REGISTRATION"]);
    let presence = say(PEER_SAYS, 0, &vectors["ENRP_PRESENCE"]);
    let begin = [vec![CLIENT_UP, 0], vec![PEER_UP, 0], presence];
    let of_enrp = vectors.iter().filter(|(name, _)| name.starts_with("ENRP_"));
    let cases = of_enrp.flat_map(|(_, octets)| {
        let said = say(PEER_SAYS, u8::from(octets[4..8] != [0xab, 0xcd, 0x12, 0x34]), octets);
        let then = vec![said, vec![PASS, 40], vec![PEER_DOWN, 0], vec![PASS, 60]];
        let registered = [&begin[..], &[registration.clone(), vec![PEER_UP, 1]], &then].concat();
        [[&begin[..], &then].concat(), registered]
    });
    let mut cases: Vec<Case> = cases.collect();
    // Another element for the pool that is there: one that fits it, and one of another policy.
    let mut other = vectors["ENRP_HANDLE_UPDATE ADD"].clone();
    let (id, policy) = (35, other.len() - 16 - 1);
    assert_eq!((other[id], other[policy]), (0x4d, 1), "the vector's identifier, and Round Robin");
    for (at, value) in [(id, 0x4e), (policy, 3)] {
        other[at] = value;
        let said = [registration.clone(), say(PEER_SAYS, 0, &other), vec![PASS, 40]];
        cases.push([&begin[..], &said].concat());
    }
    cases
}

#[test]
fn fuzz_whatever_registrars_and_clients_do_in_whatever_order_the_books_agree() {
    let kept = cases(include_str!("../../../tests/corpus/registrar.txt"));
    fuzz(Target {
        name: "the registrar among its peers",
        corpus: known().into_iter().chain(kept).collect(),
        before: 2,
        made: &made,
        rounds: 1000,
        run: &run,
    });
}
