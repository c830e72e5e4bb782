//! The control socket, around a service loop that is played here.

use super::*;
use crate::driver::client;
use crate::enrp::Event;
use crate::monitor::{Happening, Side};
use crate::query::Query;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

struct Served {
    dir: tempfile::TempDir,
    desk: Desk,
    commands: mpsc::Receiver<Command>,
    /// Nobody answers what is asked here.
    asked: mpsc::Receiver<Query>,
}

fn served() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::bind(dir.path()).unwrap();
    let (queries, asked) = Queries::channel();
    let (sender, commands) = mpsc::channel(1);
    let desk = Desk::new(queries, sender, Feed::default());
    let served = desk.clone();
    tokio::spawn(async move { control.serve(served).await });
    Served { dir, desk, commands, asked }
}

impl Served {
    async fn ask(&self, request: &str) -> BufReader<UnixStream> {
        let mut stream = UnixStream::connect(self.dir.path().join(NAME)).await.unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// Somebody who looks on, and is known to.
    async fn monitor(&self) -> BufReader<UnixStream> {
        let before = self.desk.monitors.available_permits();
        let stream = self.ask("{\"request\":\"monitor\"}").await;
        tokio::time::timeout(LONG, async {
            while self.desk.monitors.available_permits() == before || self.desk.feed.lookers() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        stream
    }
}

async fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut text = String::new();
    tokio::time::timeout(LONG, stream.read_line(&mut text)).await.unwrap().unwrap();
    text
}

#[tokio::test]
async fn whoever_looks_on_hears_each_event_in_a_line_of_its_own() {
    let served = served();
    let mut stream = served.monitor().await;
    served.desk.feed.enrp(&Event::PeerDead { peer: 7 });
    served.desk.feed.registrar("reloaded", "the configuration was read again");
    let first: Happening = serde_json::from_str(&line(&mut stream).await).unwrap();
    assert_eq!((first.side, first.event.as_str(), first.registrar), (Side::Enrp, "peer_dead", Some(7)));
    assert!(first.to_string().ends_with("  registrar 0x00000007 does not answer"), "{first}");
    let second: Happening = serde_json::from_str(&line(&mut stream).await).unwrap();
    assert_eq!((second.side, second.event.as_str()), (Side::Registrar, "reloaded"));
}

#[tokio::test]
async fn who_does_not_read_events_is_dropped_and_neither_the_registrar_nor_others_wait() {
    let served = served();
    let mut slow = served.monitor().await;
    let mut quick = served.monitor().await;
    let mut told: u32 = 0;
    // More than the kernel and the feed hold; each one is made at once.
    tokio::time::timeout(LONG, async {
        while served.desk.monitors.available_permits() < MONITORS - 1 {
            for _ in 0..64 {
                told += 1;
                served.desk.feed.enrp(&Event::PeerSilent { peer: told });
            }
            for peer in told - 63..=told {
                let heard: Happening = serde_json::from_str(&line(&mut quick).await).unwrap();
                assert_eq!(heard.registrar, Some(peer), "the other one hears all");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the slow one is dropped");
    // It gets what was written, and then the end.
    let mut heard = 0;
    while !line(&mut slow).await.is_empty() {
        heard += 1;
    }
    assert!(heard < told, "{heard} of {told}");
}

#[tokio::test]
async fn only_so_many_look_on_at_a_time_and_they_leave_room_for_questions() {
    let mut served = served();
    let mut all = Vec::new();
    for _ in 0..MONITORS {
        all.push(served.monitor().await);
    }
    let mut refused = served.ask("{\"request\":\"monitor\"}").await;
    assert!(line(&mut refused).await.contains("too many clients look on"));
    drop(all.pop());
    tokio::time::timeout(LONG, async {
        while served.desk.monitors.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("one that has gone gives its place back");
    served.monitor().await;
    let mut drain = served.ask("{\"request\":\"drain\",\"timeout_ms\":1000}").await;
    let Some(Command::Drain { patience, answer }) = served.commands.recv().await else { panic!("no drain") };
    assert_eq!(patience, Duration::from_secs(1));
    answer.send(Drained::Done { handed_over: 3 }).unwrap();
    assert_eq!(line(&mut drain).await, "{\"outcome\":\"done\",\"handed_over\":3}\n");
}

#[tokio::test]
async fn the_registrar_stops_after_a_drain_though_who_asked_for_it_has_gone() {
    let mut served = served();
    drop(served.ask("{\"request\":\"drain\",\"timeout_ms\":1000}").await);
    let Some(Command::Drain { answer, .. }) = served.commands.recv().await else { panic!("no drain") };
    answer.send(Drained::TimedOut { handed_over: 3, left: 2 }).unwrap();
    tokio::time::timeout(LONG, served.desk.drained.notified()).await.expect("it stops");
}

#[tokio::test]
async fn a_drain_that_is_refused_stops_nothing() {
    let mut served = served();
    let mut drain = served.ask("{\"request\":\"drain\",\"timeout_ms\":1000}").await;
    let Some(Command::Drain { answer, .. }) = served.commands.recv().await else { panic!("no drain") };
    answer.send(Drained::Refused { why: "nobody is there".to_owned() }).unwrap();
    assert!(line(&mut drain).await.contains("nobody is there"));
    line(&mut drain).await;
    let stopped = tokio::time::timeout(Duration::ZERO, served.desk.drained.notified()).await;
    assert!(stopped.is_err());
    for timeout in ["0", "86400001", "18446744073709551615"] {
        let mut drain = served.ask(&format!("{{\"request\":\"drain\",\"timeout_ms\":{timeout}}}")).await;
        assert!(line(&mut drain).await.contains("at most a day"), "{timeout}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_client_says_why() {
    let served = served();
    for request in ["", "{}", "{\"request\":\"stop\"}", "{\"request\":\"drain\",\"x\":1}", "\u{0}"] {
        assert!(line(&mut served.ask(request).await).await.starts_with("{\"error\":"), "{request}");
    }
    let all: Vec<_> = futures::future::join_all((0..MONITORS).map(|_| served.monitor())).await;
    let dir = served.dir.path().to_owned();
    let told =
        tokio::task::spawn_blocking(move || client::monitor(&dir).unwrap().next().unwrap().unwrap_err());
    assert_eq!(told.await.unwrap().to_string(), "too many clients look on");
    drop(all);
}

/// A registrar with nothing in it, for what it says of itself.
fn answer(query: Query) {
    let settings = crate::config::Config::default();
    let now = std::time::Instant::now();
    let registrar = crate::machine::Registrar::new(now, settings.settings(1), settings.enrp_settings(1), 7);
    let around = crate::query::Surroundings {
        listening: &[],
        dropped_not_reading: 0,
        dropped_resolutions: 0,
        outstanding: &|_| 0,
    };
    query.answer(&registrar, now, &around);
}

#[tokio::test]
async fn what_cannot_be_answered_is_answered_by_the_reason_also_in_the_middle_of_a_dump() {
    // Two answers begin a dump: a summary and the peers.
    for answered in 0..=3 {
        let mut served = served();
        let dir = served.dir.path().to_owned();
        let dump = tokio::task::spawn_blocking(move || client::fetch_dump(&dir).unwrap_err());
        for _ in 0..answered {
            answer(served.asked.recv().await.unwrap());
        }
        served.asked.recv().await.unwrap();
        drop(served.asked);
        assert_eq!(dump.await.unwrap().to_string(), "it stops, and answers no more", "{answered}");
        let dir = served.dir.path().to_owned();
        let peers = tokio::task::spawn_blocking(move || client::fetch_peers(&dir).unwrap_err());
        assert_eq!(peers.await.unwrap().to_string(), "it stops, and answers no more");
    }
}
