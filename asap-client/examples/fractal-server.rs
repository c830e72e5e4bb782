//! An element of a pool that computes pictures.
//!
//! `fractal-server REGISTRAR:PORT ADDRESS POOL [capacity=N] [places=N] [telling=MS] [plain]`: the registrar's address, and
//! this host's own; iterations in a second (without it, as many as it can), pictures at a time, and milliseconds after which
//! what was computed is told at the latest. Start as many as you like, kill any of them, or end it with SIGTERM when you want
//! your host back: `fractal-client` gets the same picture.
//!
//! Messages and state are those of rsplib's fractal generator. The cookies are sealed, which rsplib's are not: with `plain`,
//! which is for pools with elements or users of rsplib's, they are not either, and believed as they come.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use asap_client::computing::{Pace, fractal::Fractal};
use asap_client::driver::computing::{Element, serve};
use asap_client::driver::service::{self, Service};

#[path = "common/mod.rs"]
mod common;

/// How long the registrar may take to let it go.
const LEAVE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = common::Arguments::read()?;
    let mut element = Element::default();
    let telling = arguments.value("telling")?.map_or(element.pace.telling, Duration::from_millis);
    element.pace = Pace { capacity: arguments.value("capacity")?, telling, ..element.pace };
    element.places = arguments.value("places")?.unwrap_or(element.places);
    let config = service::Config::new(arguments.pool.clone(), arguments.cookies());
    arguments.end()?;
    let service = Service::bind(&[SocketAddr::new(arguments.own, 0)], config)?;
    println!("element {:#010x} serves at port {}", service.id(), service.port());
    let done = serve::<Fractal>(service, &arguments.registrar, element, common::wanted_back()).await;
    arguments.registrar.close(LEAVE).await;
    println!("{done:?}");
    Ok(())
}
