//! `roam-testbed`: networks in namespaces, programs that send over them, hosts that move.
//!
//! Exit status: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use roam_testbed::sim::{computing, pools};
use roam_testbed::{bench, check, checkout, demo, guest, package, report, scenario, traffic};

/// Shows that SCTP associations live through every kind of handover, on the real kernel.
#[derive(Debug, Parser)]
#[command(name = "roam-testbed", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Both ends move at the same moment, without and with Roam.
    Demo(demo::Arguments),
    /// The scenarios and what each shows.
    List,
    /// Run scenarios.
    Run(scenario::command::Arguments),
    /// Figures of ours beside those of others.
    Bench(bench::Arguments),
    /// Run all tests and scenarios.
    Check(check::Arguments),
    /// Clusters of registrars with pool elements and pool users in which everything goes wrong, in virtual time.
    Simulate(pools::command::Arguments),
    /// Pools that compute, in virtual time: the policies by which it is chosen who computes what, compared.
    Compute(computing::command::Arguments),
    /// Runs as a table and as a page.
    Report(report::Arguments),
    /// Run a command in the guest, whose kernel has SCTP.
    Guest(guest::command::Arguments),
    /// Make Debian packages of the agent, the registrar and the testbed.
    Package(package::Arguments),
    /// Write the man pages and completions of the registrar and the testbed.
    #[command(hide = true)]
    Documents {
        /// Into directories below this one.
        directory: std::path::PathBuf,
    },
    /// Install the packages of a directory on this very host, use them, and remove them.
    #[command(hide = true)]
    TryPackages {
        /// Where they are.
        directory: std::path::PathBuf,
    },
    /// The same under a systemd of its own.
    #[command(hide = true)]
    TryUnits {
        /// Where they are.
        directory: std::path::PathBuf,
    },
    /// What is done beside that systemd.
    #[command(hide = true)]
    TryUnitsInside {
        /// Where they are.
        directory: std::path::PathBuf,
    },
    /// What `check` runs on a kernel with SCTP.
    #[command(hide = true)]
    Inside(check::Inside),
    /// What `check --soak` runs on a kernel with SCTP.
    #[command(hide = true)]
    Soak(scenario::soak::Arguments),
    /// A server that sends back what it gets, for `bench`.
    #[command(hide = true)]
    Echo {
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// Holds associations with a server and sends nothing, for `bench`.
    #[command(hide = true)]
    Hold {
        /// Its own address.
        local: std::net::IpAddr,
        /// Where the server listens.
        server: std::net::SocketAddr,
        /// How many.
        count: usize,
    },
    /// A registrar that lies, for the scenario of that name.
    #[command(hide = true)]
    Liar {
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// The built-in traffic program.
    #[command(hide = true, subcommand)]
    Traffic(traffic::Command),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        What::List => scenario::command::list(),
        What::Demo(arguments) => demo::run(&arguments),
        What::Run(arguments) => checkout::build_programs().and_then(|()| scenario::command::run(&arguments)),
        What::Bench(arguments) => checkout::build_programs().and_then(|()| bench::run(&arguments)),
        What::Check(arguments) => check::run(&arguments),
        What::Simulate(arguments) => pools::command::execute(&arguments),
        What::Compute(arguments) => computing::command::run_all(&arguments),
        What::Report(arguments) => report::run(&arguments),
        What::Guest(arguments) => guest::command::run(&arguments),
        What::Package(arguments) => package::run(&arguments),
        What::Documents { directory } => package::documents::write(&directory, Arguments::command())
            .map(|()| ExitCode::SUCCESS)
            .map_err(anyhow::Error::from),
        What::TryPackages { directory } => package::trial::run(&directory),
        What::TryUnits { directory } => package::systemd::run(&directory),
        What::TryUnitsInside { directory } => package::systemd::inside(&directory),
        What::Inside(arguments) => check::inside(&arguments),
        What::Soak(arguments) => scenario::soak::run(&arguments),
        What::Echo { address } => bench::registrar::echo(address).map(|()| ExitCode::SUCCESS),
        What::Hold { local, server, count } => {
            bench::agent::hold(local, server, count).map(|()| ExitCode::SUCCESS)
        }
        What::Liar { address } => scenario::liar::run(address).map(|()| ExitCode::SUCCESS),
        What::Traffic(command) => traffic::run(&command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("roam-testbed: {error:#}");
        ExitCode::FAILURE
    })
}
