//! A user that has a job of a given size calculated by a pool, in parts, and does not mind what becomes of the elements.
//!
//! `calculator-client REGISTRAR:PORT ADDRESS POOL [size=10000000] [parts=10] [sessions=8]`: the registrar's address, and this
//! host's own; how many calculations, in how many parts, and how many of them at a time.

use std::error::Error;
use std::time::Instant;

use asap_client::computing::calculator::Order;
use asap_client::driver::computing::{Crew, Told, compute};

#[path = "common/mod.rs"]
mod common;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = common::Arguments::read()?;
    let size = arguments.value("size")?.unwrap_or(10_000_000);
    let parts = arguments.value("parts")?.unwrap_or(10);
    let mut crew = Crew::new(arguments.pool.clone());
    crew.sessions = arguments.value("sessions")?.unwrap_or(crew.sessions);
    arguments.end()?;
    let begin = Instant::now();
    let tell = |order: &Order, told: Told| match told {
        Told::At { element, restored } => {
            let how = if restored { "goes on" } else { "begins" };
            println!("job {}: {how} at element {element:#010x}", order.job());
        }
        Told::Lost { element, why } => {
            println!("job {}: element {element:#010x} is lost: {why}", order.job())
        }
        Told::Again => println!("job {}: asked for again", order.job()),
        Told::Done => println!("job {}: {} calculations", order.job(), order.size()),
        Told::Came => {}
    };
    let orders = compute(&arguments.registrar, crew, Order::split(size, parts), tell).await?;
    let done: u64 = orders.iter().filter(|order| order.is_done()).map(Order::size).sum();
    println!("{done} calculations in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
