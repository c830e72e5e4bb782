//! `roam-testbed`: networks in namespaces, programs that send over them, hosts that move.
//!
//! Exit status: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use roam_testbed::{scenario, traffic};

/// Shows that SCTP associations live through every kind of handover, on the real kernel.
#[derive(Debug, Parser)]
#[command(name = "roam-testbed", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The scenarios and what each shows.
    List,
    /// Run scenarios.
    Run(scenario::command::Arguments),
    /// The built-in traffic program.
    #[command(hide = true, subcommand)]
    Traffic(traffic::Command),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        What::List => scenario::command::list(),
        What::Run(arguments) => scenario::command::run(&arguments),
        What::Traffic(command) => traffic::run(&command),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("roam-testbed: {error:#}");
        ExitCode::FAILURE
    })
}
