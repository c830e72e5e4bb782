//! A simulation of two planners, two kernels' rules for SCTP addresses and a registrar: every interleaving of two
//! moving hosts, seeded, in virtual time.
//!
//! | file | what it models |
//! |---|---|
//! | `kernel/` | Linux's SCTP, as far as addresses go; each rule names the kernel's function |
//! | `edge` | the nftables rules of the agent |
//! | `host` | the daemon: carries out the planner's actions, tells it what it sees |
//! | `world` | networks, registrar, clock |
//! | `scenario` | what happens in half a minute, drawn from a seed |
//! | `life` | what happens in days |
//! | `seeds` | many seeds side by side |
//!
//! Beside it stand two others: `pools/`, clusters of registrars, and `computing/`, pools that compute.
//!
//! A run comes to rest at some time: both ends have usable addresses, the registrar can be reached. Ten seconds later
//! the association has to be alive and whole. A run that fails is repeated, with all that happens in it, by
//! `ROAM_SIM_SEED=<seed> cargo test -p roam-testbed ten_thousand -- --nocapture`; more seeds than the test's are played
//! by `ROAM_SIM_SEEDS=10000..200000 cargo test --release -p roam-testbed ten_thousand`.

pub mod computing;
pub mod edge;
pub mod host;
pub mod kernel;
pub mod life;
pub mod packet;
pub mod pools;
pub mod scenario;
mod seeds;
pub mod world;

#[cfg(test)]
mod tests;

pub use packet::{Chunk, MS, Packet, SECOND, Time};
pub use scenario::{ANYTHING, Ability, Kind, Moves};
pub use world::World;

/// Runs what a seed stands for.
///
/// # Errors
/// What is wrong with the association at the end.
pub fn run(seed: u64, kind: Kind) -> Result<(), String> {
    simulate(seed, kind, false).0
}

/// Runs what a seed stands for and tells all that happens.
pub fn replay(seed: u64, kind: Kind) -> (Result<(), String>, Vec<String>) {
    let (result, world) = simulate(seed, kind, true);
    (result, world.trace.unwrap_or_default())
}

fn simulate(seed: u64, kind: Kind, trace: bool) -> (Result<(), String>, World) {
    let (mut world, rest) = scenario::world(seed, kind, trace);
    world.run(rest + scenario::CALM);
    let result = judge(&world);
    (result, world)
}

/// Alive, and every message delivered once and in order.
fn judge(world: &World) -> Result<(), String> {
    let kernels = || world.hosts.iter().map(|host| &host.kernel).enumerate();
    if let Some((end, why)) = kernels().find_map(|(end, kernel)| Some((end, kernel.dead.as_ref()?))) {
        return Err(format!("the association of end {end} died: {why}"));
    }
    for (end, kernel) in kernels() {
        if let Some(wrong) = &kernel.wrong {
            return Err(format!("end {end}: {wrong}"));
        }
        let sent = world.sent[1 - end];
        if kernel.delivered != sent {
            let states: Vec<_> = world
                .hosts
                .iter()
                .map(|host| {
                    let planner = host.planner.as_ref();
                    format!(
                        "\n  {:?} interfaces {:?}\n  {}\n  rules {:?}",
                        planner.map(|planner| planner.state()),
                        host.kernel.interfaces,
                        host.kernel.describe(),
                        host.rules
                    )
                })
                .collect();
            let text = states.join("");
            return Err(format!("end {end} got {} of {sent} messages:{text}", kernel.delivered));
        }
    }
    Ok(())
}
