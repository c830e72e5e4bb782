//! A user that has a picture computed by a pool, and does not mind what becomes of the elements.
//!
//! `fractal-client REGISTRAR:PORT ADDRESS POOL FILE.png=out [width=400] [height=300] [iterations=200] [x=0.7] [y=0]
//! [extent=3] [exponent=2] [rows=10] [sessions=8]`: the registrar's address, and this host's own; the size in points, the
//! middle and the length of a row in the plane; how many rows are computed by an element at a time, and how many elements
//! compute at a time. How far it is, it shows on standard error.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use asap_client::computing::fractal::{Algorithm, Band, Canvas, View};
use asap_client::driver::computing::{Crew, Told, compute};

#[path = "common/mod.rs"]
mod common;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = common::Arguments::read()?;
    let file: String = arguments.value("file")?.ok_or("file=NAME.png, where the picture goes")?;
    let size = (arguments.value("width")?.unwrap_or(400), arguments.value("height")?.unwrap_or(300));
    let middle = (arguments.value("x")?.unwrap_or(0.7), arguments.value("y")?.unwrap_or(0.0));
    let extent = arguments.value("extent")?.unwrap_or(3.0);
    let iterations = arguments.value("iterations")?.unwrap_or(200);
    let algorithm = arguments.value("exponent")?.map_or(Algorithm::Mandelbrot, Algorithm::Power);
    let rows = arguments.value("rows")?.unwrap_or(10);
    let mut crew = Crew::new(arguments.pool.clone());
    crew.sessions = arguments.value("sessions")?.unwrap_or(crew.sessions);
    arguments.end()?;

    let mut canvas = Canvas::new(View::new(size, middle, extent, iterations, algorithm)?)?;
    let progress = Arc::new(Progress::new(u64::from(size.0) * u64::from(size.1)));
    let begin = Instant::now();
    let telling = Arc::clone(&progress);
    let bands = compute(&arguments.registrar, crew, canvas.bands(rows), move |band, told| {
        telling.tell(band, told);
    });
    let bands = bands.await?;
    bands.iter().for_each(|band| canvas.put(band));
    save(&file, size, &canvas.colours())?;
    let repeated: u64 = bands.iter().map(Band::repeated).sum();
    let (points, losses) = (progress.whole, progress.losses.load(Ordering::Relaxed));
    let continued = progress.continued.load(Ordering::Relaxed);
    println!(
        "{points} points in {:.1} s; {losses} times an element was lost, {continued} times another went on from a cookie, \
         {repeated} points came twice",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// How far the picture is.
struct Progress {
    whole: u64,
    /// Points that are known, by the first row of their band.
    known: Mutex<BTreeMap<u32, usize>>,
    shown: AtomicU64,
    losses: AtomicU64,
    continued: AtomicU64,
}

impl Progress {
    fn new(whole: u64) -> Self {
        let (known, shown, losses, continued) = Default::default();
        Self { whole, known, shown, losses, continued }
    }

    fn tell(&self, band: &Band, told: Told) {
        match told {
            Told::Lost { element, why } => {
                self.losses.fetch_add(1, Ordering::Relaxed);
                eprintln!("rows from {}: element {element:#010x} is lost: {why}", band.first());
            }
            Told::At { restored: true, .. } => {
                self.continued.fetch_add(1, Ordering::Relaxed);
            }
            Told::At { .. } | Told::Again => {}
            Told::Came | Told::Done => self.show(band),
        }
    }

    fn show(&self, band: &Band) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(band.first(), band.known());
        let points: usize = known.values().sum();
        let percent = points as u64 * 100 / self.whole.max(1);
        if self.shown.swap(percent, Ordering::Relaxed) != percent {
            eprintln!("{percent} %: {points} of {} points", self.whole);
        }
    }
}

fn save(file: &str, (width, height): (u32, u32), colours: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(file)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(colours)?;
    Ok(writer.finish()?)
}
