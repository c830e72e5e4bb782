//! The event stream.

use super::*;

/// A client of the event stream.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    async fn of(served: &Served, target: &str) -> Self {
        let stream = served.ask(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        let mut events = Self { stream, text: String::new() };
        let head = events.until("\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"),
            "{head}"
        );
        events
    }

    /// Reads until `wanted` has come; all up to it.
    async fn until(&mut self, wanted: &str) -> String {
        tokio::time::timeout(LONG, async {
            loop {
                if let Some(at) = self.text.find(wanted) {
                    let rest = self.text.split_off(at + wanted.len());
                    return std::mem::replace(&mut self.text, rest);
                }
                self.read().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{wanted:?} did not come"))
    }

    async fn read(&mut self) {
        let mut buffer = vec![0; 65_536];
        let n = self.stream.read(&mut buffer).await.unwrap();
        assert!(n > 0, "the stream has ended");
        self.text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
}

#[tokio::test]
async fn an_event_stream_begins_with_everything_and_goes_on_with_what_changes() {
    let served = Served::new();
    served.register(pool("<echo>"), element(0x11, Policy::RoundRobin)).await;
    let mut events = Events::of(&served, "/events").await;
    let first = events.until("event: elements").await;
    assert!(
        first.contains("event: numbers\ndata: <dl>") && first.contains("event: counters\ndata: "),
        "{first}"
    );
    let shown = events.until("\n\n").await;
    assert!(
        shown.contains("&lt;echo&gt;") && shown.contains("0x00000011") && !shown.contains("<echo>"),
        "{shown}"
    );
    served.register(pool("<echo>"), element(0x22, Policy::RoundRobin)).await;
    let changed = events.until("event: elements").await;
    assert!(changed.contains("<dt>Pool elements</dt><dd>2</dd>"), "{changed}");
    assert!(events.until("\n\n").await.contains("0x00000022"));
}

#[tokio::test]
async fn an_event_stream_of_one_pool_tells_nothing_of_others() {
    let served = Served::new();
    served.register(pool("a"), element(1, Policy::RoundRobin)).await;
    served.register(pool("b"), element(2, Policy::RoundRobin)).await;
    let mut events = Events::of(&served, "/events?pool=b").await;
    events.until("event: elements").await;
    let shown = events.until("\n\n").await;
    assert!(shown.contains("0x00000002") && !shown.contains("0x00000001"), "{shown}");
}

#[tokio::test]
async fn nothing_is_told_while_nothing_changes_though_time_passes() {
    let served = Served::new();
    served.register(pool("a"), element(1, Policy::RoundRobin)).await;
    let mut events = Events::of(&served, "/events").await;
    // The rates come once they are known, and stay.
    events.until("event: elements").await;
    while !events.until("event: counters").await.is_empty() {
        let counters = events.until("\n\n").await;
        if counters.contains("<td class=\"n\">0.0</td>") && !counters.contains(">0.2<") {
            break;
        }
    }
    events.text.clear();
    assert!(
        tokio::time::timeout(Duration::from_millis(2500), events.read()).await.is_err(),
        "{}",
        events.text
    );
    served.register(pool("a"), element(2, Policy::RoundRobin)).await;
    events.until("0x00000002").await;
}

#[tokio::test]
async fn many_changes_are_told_at_most_once_a_second() {
    let served = Served::new();
    let mut events = Events::of(&served, "/events").await;
    events.until("event: elements").await;
    let (mut told, mut id) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        id += 1;
        served.register(pool("a"), element(id, Policy::RoundRobin)).await;
        if tokio::time::timeout(Duration::from_millis(20), events.read()).await.is_ok() {
            told += events.text.matches("event: elements").count();
            events.text.clear();
        }
    }
    let most = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    assert!((1..=most).contains(&told), "{told} times in {:?} with {id} changes", start.elapsed());
}

#[tokio::test]
async fn all_who_look_at_the_same_share_one_rendering() {
    let served = Served::new();
    served.register(pool("a"), element(1, Policy::RoundRobin)).await;
    let mut all = Vec::new();
    for _ in 0..30 {
        let mut events = Events::of(&served, "/events").await;
        events.until("event: elements").await;
        events.until("\n\n").await;
        all.push(events);
    }
    let before = served.slices.load(Ordering::Relaxed);
    let start = Instant::now();
    served.register(pool("a"), element(2, Policy::RoundRobin)).await;
    for events in &mut all {
        assert!(events.until("event: elements").await.contains("<dt>Pool elements</dt><dd>2</dd>"));
        events.until("0x00000002").await;
    }
    let looks = served.slices.load(Ordering::Relaxed) - before;
    let most = usize::try_from(start.elapsed().as_secs()).unwrap() + 2;
    assert!((1..=most).contains(&looks), "{looks} looks in {:?} for 30", start.elapsed());
    // Who comes later has what is shown now, with the times of now.
    let mut late = Events::of(&served, "/events").await;
    late.until("0x00000002").await;
    // When all have gone, nobody asks any more.
    drop((all, late));
    let start = Instant::now();
    loop {
        let before = served.slices.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        if served.slices.load(Ordering::Relaxed) == before {
            break;
        }
        assert!(start.elapsed() < LONG, "it is still asked");
    }
}
