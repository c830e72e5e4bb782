//! An element of a pool that works on packages, for users of rsplib's (`scriptingclient`).
//!
//! `scripting-server REGISTRAR:PORT ADDRESS POOL [places=N] [most=OCTETS] [seconds=N] [run]`: the registrar's address, and
//! this host's own; packages at a time (1), octets of a package and of what it makes (16777216 each), and how long a package
//! is worked on (1; with `run` at most so long, then 60).
//!
//! A package is given back as it came, unless there is the word `run`. **With `run`, it is an archive (tar, gzip) whose
//! program `ssrun` is executed with the rights of this element, whatever it is**: for pools that only those can reach who may
//! do that anyway. It works in a directory of its own, which is removed, and is given the name of the file that it has to
//! make; time, processor time and sizes are limited.
#![expect(clippy::disallowed_methods, reason = "a program of its own reads the clock")]

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use asap_client::computing::scripting::{Desk, Message, PPID, Reason, Step};
use asap_client::driver::service::{self, SendError, Service, Session};
use asap_client::session::service::Cookies;
use asap_client::wire::Policy;
use tokio::process::Command;
use tokio::sync::Semaphore;

#[path = "common/mod.rs"]
mod common;

/// How long the registrar may take to let it go.
const LEAVE: Duration = Duration::from_secs(2);

/// How long a user waits that is sent on.
const PAUSE: Duration = Duration::from_millis(200);

/// What a package's program is run by: its limits are processor time in seconds and a file's size in KiB.
const SCRIPT: &str = "ulimit -t $1 && ulimit -f $2 && tar xzf package.data && exec ./ssrun made.data";

/// How packages are worked on.
struct Work {
    most: usize,
    time: Duration,
    runs: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = common::Arguments::read()?;
    let places = Arc::new(Semaphore::new(arguments.value("places")?.unwrap_or(1)));
    let runs = arguments.has("run");
    let time = Duration::from_secs(arguments.value("seconds")?.unwrap_or(if runs { 60 } else { 1 }));
    let work = Arc::new(Work { most: arguments.value("most")?.unwrap_or(1 << 24), time, runs });
    arguments.end()?;
    let mut config = service::Config::new(arguments.pool.clone(), Cookies::Plain);
    // A user says nothing before it has heard that it may.
    config.service.greets = true;
    let mut service = Service::bind(&[SocketAddr::new(arguments.own, 0)], config)?;
    service.join(&arguments.registrar, Policy::RoundRobin, None);
    println!("element {:#010x} serves at port {}", service.id(), service.port());
    let serve = async {
        while let Some(user) = service.accept().await {
            tokio::spawn(attend(user, Arc::clone(&places), Arc::clone(&work)));
        }
    };
    tokio::select! {
        () = serve => {}
        () = common::wanted_back() => {}
    }
    service.leave();
    arguments.registrar.close(LEAVE).await;
    Ok(())
}

async fn attend(user: Session, places: Arc<Semaphore>, work: Arc<Work>) {
    let served = match places.try_acquire() {
        Ok(_place) => serve(&user, &work).await,
        Err(_) => {
            let full = Message::NotReady { reason: Reason::FullyLoaded, name: name() };
            let said = say(&user, &full).await;
            tokio::time::sleep(PAUSE).await;
            said.map_err(Into::into)
        }
    };
    match served {
        Ok(()) => user.end().await,
        Err(error) => println!("session {}: {error}", user.id()),
    }
}

fn name() -> Vec<u8> {
    format!("process {}", std::process::id()).into_bytes()
}

async fn say(user: &Session, message: &Message) -> Result<(), SendError> {
    user.send_with(message.encode(), PPID, false).await
}

/// Serves one user, until its package is worked on and what that made is given, or the user is gone.
async fn serve(user: &Session, work: &Work) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut desk = Desk::new(work.most);
    say(user, &Message::Ready { name: name() }).await?;
    while let Some(message) = user.recv().await {
        match desk.take(Message::decode(&message.octets)?)? {
            None => {}
            Some(Step::Say(message)) => say(user, &message).await?,
            Some(Step::Work { package, environment }) => {
                say(user, &Message::Status(0)).await?;
                println!("session {}: a package of {} octets", user.id(), package.len());
                let made = work.on(package, environment);
                let (status, made) = beside(user, &mut desk, made).await?;
                println!("session {}: exit status {status}, {} octets", user.id(), made.len());
                for message in desk.finish(status, &made) {
                    say(user, &message).await?;
                }
                return Ok(());
            }
        }
    }
    Err("the user is gone".into())
}

/// Listens to the user while its package is worked on.
async fn beside<T>(
    user: &Session,
    desk: &mut Desk,
    work: impl Future<Output = T>,
) -> Result<T, Box<dyn Error + Send + Sync>> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            message = user.recv() => {
                let message = message.ok_or("the user is gone")?;
                if let Some(Step::Say(message)) = desk.take(Message::decode(&message.octets)?)? {
                    say(user, &message).await?;
                }
            }
        }
    }
}

impl Work {
    /// Works on a package: the exit status, and what it made.
    async fn on(&self, package: Vec<u8>, environment: Option<Vec<u8>>) -> (u32, Vec<u8>) {
        if !self.runs {
            tokio::time::sleep(self.time).await;
            return (0, package);
        }
        self.run(&package, environment.as_deref()).await.unwrap_or_else(|error| {
            println!("it could not be run: {error}");
            (1, Vec::new())
        })
    }

    async fn run(
        &self,
        package: &[u8],
        environment: Option<&[u8]>,
    ) -> Result<(u32, Vec<u8>), std::io::Error> {
        let directory = tempfile::tempdir()?;
        let file = |name: &str| directory.path().join(name);
        fs::write(file("package.data"), package)?;
        if let Some(environment) = environment {
            fs::write(file("environment.data"), environment)?;
        }
        let limits = [self.time.as_secs(), (self.most / 1024) as u64].map(|limit| limit.to_string());
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .args(limits)
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let Ok(ended) = tokio::time::timeout(self.time, child.wait()).await else {
            return Ok((124, Vec::new()));
        };
        let made = fs::metadata(file("made.data")).ok().filter(|made| made.is_file());
        let fits = made.is_some_and(|made| made.len() <= self.most as u64);
        Ok((status(ended?), if fits { fs::read(file("made.data"))? } else { Vec::new() }))
    }
}

/// An exit status as a shell tells it.
fn status(ended: ExitStatus) -> u32 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u32::try_from(code).ok()).unwrap_or(1)
}
