//! Roles, costs, age and flaps.
#![expect(clippy::disallowed_methods, reason = "one clock reading is the origin of each test's own time")]

use std::sync::Arc;

use super::*;
use crate::config::Config;

const A: &str = "10.1.0.2";
const B: &str = "10.2.0.2";
const C: &str = "10.3.0.2";

fn standing(role: Role, standby: Standby, cost: u32) -> Standing {
    Standing { role, standby, cost, named: true }
}

struct Host {
    machine: Preference,
    now: Instant,
    standings: BTreeMap<IpAddr, Standing>,
    view: View,
}

impl Host {
    fn new() -> Self {
        let config = Config::default();
        let (standings, view) = (BTreeMap::new(), View::default());
        Self { machine: Preference::new(&config.agent), now: Instant::now(), standings, view }
    }

    fn with(mut self, address: &str, standing: Standing) -> Self {
        self.standings.insert(address.parse().unwrap(), standing);
        self
    }

    /// These have a dead link.
    fn kill(&mut self, dead: &[&str]) -> BTreeSet<IpAddr> {
        let dead: BTreeSet<IpAddr> = dead.iter().map(|address| address.parse().unwrap()).collect();
        for local in self.view.addresses.iter_mut().filter(|local| dead.contains(&local.address)) {
            local.verdict = Err(Unusable::NoCarrier);
        }
        self.machine.see(self.now, &self.view);
        self.machine.offer(self.now, &self.view).dead
    }

    fn see(&mut self, usable: &[&str]) -> Vec<(IpAddr, Verdict)> {
        let local = |(metric, text): (usize, &&str)| {
            let address = text.parse().unwrap();
            LocalAddress {
                address,
                prefix: 24,
                interface: "eth0".to_owned(),
                ifindex: 2,
                verdict: Ok(()),
                gateway: None,
                metric: metric as u32,
                routes: Arc::default(),
                standing: self.standings.get(&address).copied().unwrap_or_default(),
            }
        };
        self.view = View { addresses: usable.iter().enumerate().map(local).collect(), lost: 0 };
        self.machine.see(self.now, &self.view)
    }

    fn order(&mut self) -> Vec<String> {
        self.machine.offer(self.now, &self.view).usable.iter().map(ToString::to_string).collect()
    }

    fn after(&mut self, usable: &[&str]) -> Vec<String> {
        self.see(usable);
        self.order()
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.machine.see(self.now, &self.view.clone());
    }
}

#[test]
fn the_newest_address_comes_first_and_those_that_come_together_by_metric() {
    let mut host = Host::new();
    assert_eq!(host.after(&[B, A]), [B, A]);
    assert_eq!(host.after(&[B, A, C]), [C, B, A]);
    assert_eq!(host.after(&[A, C]), [C, A]);
    assert_eq!(host.after(&[B, A, C]), [B, C, A]);
    assert_eq!(host.machine.poll_timeout(), None);
}

#[test]
fn a_backup_comes_last_however_new_it_is() {
    let mut host = Host::new().with(B, standing(Role::Backup, Standby::Warm, 0));
    assert_eq!(host.after(&[A]), [A]);
    assert_eq!(host.after(&[A, B]), [A, B]);
    let offer = host.machine.offer(host.now, &host.view);
    assert_eq!(offer.warm, BTreeSet::from([B.parse().unwrap()]));
    assert_eq!(offer.cold, BTreeSet::new());
}

#[test]
fn a_better_link_is_returned_to_only_when_it_has_lasted() {
    let mut host = Host::new()
        .with(A, standing(Role::Primary, Standby::Warm, 1))
        .with(B, standing(Role::Primary, Standby::Warm, 9));
    assert_eq!(host.after(&[A, B]), [A, B], "both are there from the start");
    assert_eq!(host.after(&[B]), [B]);
    host.pass(5000);
    assert_eq!(host.after(&[A, B]), [B, A]);
    let due = host.machine.poll_timeout().unwrap();
    assert_eq!(due - host.now, Duration::from_secs(3));
    host.pass(2999);
    assert_eq!(host.order(), [B, A]);
    host.pass(1);
    assert_eq!(host.order(), [A, B]);
    assert_eq!(host.machine.poll_timeout(), None);
}

#[test]
fn what_is_alone_is_used_at_once() {
    let mut host = Host::new().with(B, standing(Role::Backup, Standby::Cold, 0));
    host.see(&[B]);
    host.pass(1000);
    assert_eq!(host.after(&[A]), [A]);
}

#[test]
fn an_address_that_comes_and_goes_is_used_last_until_it_stays() {
    let mut host = Host::new();
    host.see(&[B]);
    let mut told = Vec::new();
    let mut losses = 0;
    while told.is_empty() {
        host.pass(500);
        host.see(&[B, A]);
        host.pass(500);
        told = host.see(&[B]);
        losses += 1;
    }
    assert_eq!((losses, told.as_slice()), (5, [(A.parse().unwrap(), Verdict::Suppressed)].as_slice()));
    assert_eq!(host.after(&[A, B]), [B, A]);
    let due = host.machine.poll_timeout().unwrap();
    host.now = due - Duration::from_millis(100);
    assert_eq!(host.see(&[A, B]), []);
    host.now = due;
    assert_eq!(host.see(&[A, B]), [(A.parse().unwrap(), Verdict::Reused)]);
    assert_eq!(host.order(), [A, B]);
}

#[test]
fn a_host_that_moves_every_four_seconds_does_not_flap() {
    let mut host = Host::new();
    for _ in 0..50 {
        assert_eq!(host.see(&[A]), []);
        host.pass(2000);
        assert_eq!(host.see(&[B]), []);
        host.pass(2000);
    }
}

#[test]
fn no_penalty_lasts_for_more_than_half_a_minute() {
    let mut host = Host::new();
    for _ in 0..1000 {
        host.see(&[A]);
        host.pass(10);
        host.see(&[]);
    }
    host.pass(20_000);
    host.see(&[A, B]);
    assert_eq!(host.machine.poll_timeout(), None);
}

#[test]
fn only_an_address_that_was_usable_is_dead_with_its_link() {
    let mut host = Host::new();
    host.see(&[A]);
    assert_eq!(host.kill(&[A]), BTreeSet::from([A.parse().unwrap()]));
    host.pass(600_000);
    assert_eq!(host.kill(&[A]), BTreeSet::from([A.parse().unwrap()]), "for as long as it is there");
    let mut fresh = Host::new();
    fresh.see(&[B]);
    fresh.machine = Preference::new(&Config::default().agent);
    assert_eq!(fresh.kill(&[B]), BTreeSet::new(), "it never was");
}
