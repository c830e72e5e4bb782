//! Everything goes wrong at random, and then right again: however it went, every element that lives is known
//! everywhere, with one home, and none that is gone.

use std::time::Duration;

use super::cluster::{Cluster, Host};

fn step(cluster: &mut Cluster) {
    let registrars = cluster.nodes.len() as u64;
    let number = usize::try_from(cluster.draw(registrars)).unwrap();
    let elements = cluster.elements.len() as u64;
    let element = usize::try_from(cluster.draw(elements)).unwrap();
    match cluster.draw(10) {
        0 if cluster.alive(Host::Registrar(number)) => {
            let silent = cluster.draw(2) == 0;
            cluster.crash(number, silent);
        }
        0 | 1 if !cluster.alive(Host::Registrar(number)) => {
            // Half of them choose a new identifier, as by default; half keep theirs.
            if cluster.draw(2) == 0 {
                cluster.nodes[number].settings.server += 0x100;
            }
            cluster.boot(number);
        }
        2 | 3 => {
            let registrars = (0..cluster.nodes.len()).map(Host::Registrar);
            let hosts: Vec<_> = registrars.chain((0..cluster.elements.len()).map(Host::Element)).collect();
            let groups: Vec<_> =
                hosts.iter().map(|host| (*host, u8::try_from(cluster.draw(2)).unwrap())).collect();
            cluster.partition(&groups);
        }
        4 | 5 => cluster.heal(),
        6 if cluster.elements.len() < 12 => {
            cluster.element(number);
        }
        7 if cluster.draw(3) == 0 => {
            let silent = cluster.draw(2) == 0;
            match cluster.draw(2) {
                0 => cluster.kill(element, silent),
                _ => cluster.deregister(element),
            }
        }
        8 if cluster.elements[element].is_wanted() => cluster.try_registrar(element, number),
        _ => cluster.loss = [0, 0, 30, 5][usize::try_from(cluster.draw(4)).unwrap()],
    }
    let pause = [1, 10, 50, 200, 1000, 2500, 6000][usize::try_from(cluster.draw(7)).unwrap()];
    cluster.pass(Duration::from_millis(pause));
}

/// How much was put to the test.
#[derive(Debug, Default)]
struct Seen {
    takeovers: u64,
    resyncs: u64,
    purged: u64,
    conceded: u64,
    refused: u64,
}

fn run(seed: u64, seen: &mut Seen) {
    let registrars = 2 + usize::try_from(seed % 4).unwrap();
    let mut cluster = match seed % 8 < 4 {
        true => Cluster::of(registrars, seed),
        false => Cluster::around_one(registrars, seed),
    };
    for at in 0..registrars {
        cluster.element(at);
    }
    for _ in 0..25 {
        step(&mut cluster);
    }
    cluster.heal();
    cluster.loss = 0;
    for number in 0..registrars {
        if !cluster.alive(Host::Registrar(number)) && (number == 0 || cluster.draw(2) == 0) {
            cluster.boot(number);
        }
    }
    cluster.pass(Duration::from_secs(40));
    cluster.assert_whole(&format!("seed {seed}"));
    for node in cluster.nodes.iter().filter_map(|node| node.registrar.as_ref()) {
        let counters = node.enrp().counters();
        seen.takeovers += counters.takeovers;
        seen.resyncs += counters.resyncs;
        seen.purged += counters.purged;
        seen.conceded += counters.conceded;
        seen.refused += counters.updates_refused;
    }
}

/// One seed alone, or how many: `ROAM_SEED=17`, `ROAM_SEEDS=5000`.
#[test]
fn however_it_went_every_living_element_has_one_home_and_every_registrar_knows_it() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seeds = match number("ROAM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ROAM_SEEDS").unwrap_or(if cfg!(debug_assertions) { 60 } else { 500 }),
    };
    let mut seen = Seen::default();
    let many = seeds.end - seeds.start >= 100;
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| run(seed, &mut seen));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("ROAM_SEED={seed} shows it again");
            std::panic::resume_unwind(panic);
        }
    }
    println!("{seen:?}");
    let all = [seen.takeovers, seen.resyncs, seen.purged, seen.conceded, seen.refused];
    assert!(!many || all.iter().all(|count| *count > 10), "{seen:?}");
}
