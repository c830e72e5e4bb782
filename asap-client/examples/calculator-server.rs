//! An element of a pool that calculates jobs of a given size.
//!
//! `calculator-server REGISTRAR:PORT ADDRESS POOL [capacity=N] [places=N] [plain]`: the registrar's address, and this host's
//! own; calculations in a second (1000000), and jobs at a time, who share them. Start some with much and some with little,
//! kill any of them, or end it with SIGTERM when you want your host back: `calculator-client` has its jobs done.
//!
//! Messages and state are those of rsplib's CalcApp service. The cookies are sealed, which rsplib's are not: with `plain`,
//! which is for pools with elements or users of rsplib's, they are not either, and believed as they come.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use asap_client::computing::{Pace, calculator::Calculation};
use asap_client::driver::computing::{Element, serve};
use asap_client::driver::service::{self, Service};

#[path = "common/mod.rs"]
mod common;

/// How long the registrar may take to let it go.
const LEAVE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = common::Arguments::read()?;
    let capacity = Some(arguments.value("capacity")?.unwrap_or(1_000_000));
    let mut element = Element { pace: Pace { capacity, ..Pace::default() }, ..Element::default() };
    element.places = arguments.value("places")?.unwrap_or(element.places);
    let config = service::Config::new(arguments.pool.clone(), arguments.cookies());
    arguments.end()?;
    let service = Service::bind(&[SocketAddr::new(arguments.own, 0)], config)?;
    println!("element {:#010x} serves at port {}", service.id(), service.port());
    let done = serve::<Calculation>(service, &arguments.registrar, element, common::wanted_back()).await;
    arguments.registrar.close(LEAVE).await;
    println!("{done:?}");
    Ok(())
}
