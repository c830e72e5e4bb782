//! What is under which path.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::*;
use crate::dump::{Dump, Over};

#[tokio::test]
async fn the_page_is_complete_without_a_script() {
    let served = Served::new();
    served.register(pool("echo"), element(0x17, Policy::WeightedRoundRobin { weight: 42 })).await;
    served
        .step(|registrar| {
            say(registrar, &Message::HandleResolution { subscribe: true, handle: pool("echo"), items: None });
            say(registrar, &Message::EndpointKeepAliveAck { handle: pool("echo"), id: 0x17 });
        })
        .await;
    let page = served.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for shown in [
        "<!DOCTYPE html>",
        "Registrar 0x0000abcd",
        "10.0.0.9:3863",
        ">echo</a>",
        "0x00000017",
        "sctp 10.0.0.1:7000",
        "WRR weight 42",
        "in service",
        "<dt>Pools</dt><dd>1</dd>",
        "<dt>Pool elements</dt><dd>1</dd>",
        "<dt>Associations</dt><dd>1</dd>",
        "<dt>Subscriptions</dt><dd>1</dd>",
        "<td>Registrations accepted, new ones and renewals</td><td class=\"n\">1</td>",
        " s</span> ago",
        "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>",
    ] {
        assert!(page.body.contains(shown), "{shown} is not in {}", page.body);
    }
    assert!(
        page.body.contains("<td class=\"n\" data-step=\"-1\" data-seconds=\"299\">299 s</td>"),
        "{}",
        page.body
    );
    assert_eq!(page.body.matches("http-equiv").count(), 1, "only without a script it loads itself anew");
}

#[tokio::test]
async fn users_over_tcp_are_told_from_those_over_sctp() {
    let served = Served::new();
    served
        .step(|registrar| {
            let from = "10.0.0.5:40000".parse().unwrap();
            asap(registrar, Input::Connected { association: Association(2), from });
        })
        .await;
    let page = served.get("/").await.body;
    assert!(page.contains("<dt>Associations</dt><dd>2</dd>"), "{page}");
    assert!(page.contains("<dt>of them users over TCP</dt><dd>1</dd>"), "{page}");
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.contains("\nroam_registrar_associations_over_tcp 1\n"), "{metrics}");
    let text = served.get("/dump").await.body;
    let dump: Dump = serde_json::from_str(&text).unwrap();
    let over: Vec<_> = dump.associations.iter().map(|dump| dump.over).collect();
    assert_eq!(over, [Over::Sctp, Over::Tcp]);
    assert!(text.contains("\"over\":\"sctp\"") && text.contains("\"over\":\"tcp\""), "{text}");
    let shown = dump.to_string();
    let lines: Vec<_> = shown.lines().filter(|line| line.contains(" over TCP")).collect();
    assert!(matches!(lines[..], [line] if line.contains("10.0.0.5 port 40000")), "{shown}");
}

#[tokio::test]
async fn hostile_handles_are_shown_and_do_nothing() {
    let served = Served::new();
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</style><!--",
        "&lt;b&gt;",
    ];
    for (id, handle) in (1..).zip(hostile) {
        served.register(pool(handle), element(id, Policy::RoundRobin)).await;
    }
    served.register(pool(b"\xff\xfe\n\ndata: x"), element(9, Policy::RoundRobin)).await;
    let page = served.get("/").await.body;
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(
        !page.contains("<img") && !page.contains("<!--") && !page.contains("=x onerror=alert(1)>"),
        "{page}"
    );
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&amp;lt;b&amp;gt;"),
        "{page}"
    );
    assert!(page.contains("0xfffe0a0a646174613a2078"), "octets that are no text are shown as digits");
    // Inside an attribute nothing ends it: the links are encoded.
    for link in page.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        assert!(link.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?=%&;._-".contains(&b)), "{link}");
    }
    let of_one = served.get("/?pool=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_eq!(of_one.status, 200);
    assert_eq!(of_one.body.matches("<script").count(), 1);
    assert!(of_one.body.contains("<h2>Pool &lt;script&gt;alert(1)&lt;/script&gt;</h2>"));
    let nowhere = served.get("/?pool=%3Cscript%3Enowhere").await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(nowhere.body.matches("<script").count(), 1);
    let dump: Dump = serde_json::from_str(&served.get("/dump").await.body).unwrap();
    assert!(dump.pools.iter().any(|pool| pool.handle == hostile[0]));
}

fn ids(page: &str) -> Vec<u32> {
    let rows = page.split("<tr><td>0x").skip(1);
    rows.map(|row| u32::from_str_radix(&row[..8], 16).unwrap()).collect()
}

#[tokio::test]
async fn a_large_handlespace_is_shown_in_pages_each_element_once() {
    let served = Served::new();
    served
        .step(|registrar| {
            for id in 1..=450 {
                let handle = pool(["a", "b&<", "c"][if id <= 10 { 0 } else { 1 + id as usize % 2 }]);
                register(registrar, handle, element(id, Policy::RoundRobin));
            }
        })
        .await;
    for (start, all) in
        [("/", (1..=450).collect::<Vec<u32>>()), ("/?pool=c", (11..=449).step_by(2).collect())]
    {
        let (mut target, mut seen, mut pages) = (start.to_owned(), Vec::new(), 0);
        loop {
            let page = served.get(&target).await;
            assert_eq!(page.status, 200);
            let shown = ids(&page.body);
            assert!(shown.len() <= 200);
            let says = format!("{} of {} pool elements are shown", shown.len(), all.len());
            assert!(page.body.contains(&says), "{says}");
            seen.extend(shown);
            pages += 1;
            let Some((before, _)) = page.body.split_once("\" rel=\"next\"") else { break };
            target = before.rsplit_once("href=\"").unwrap().1.replace("&amp;", "&");
        }
        seen.sort_unstable();
        assert_eq!(seen, all);
        assert_eq!(pages, all.len().div_ceil(200));
    }
    assert_eq!(ids(&served.get("/?after=a").await.body).len(), 200);
    assert!(ids(&served.get("/?after=c").await.body).is_empty());
}

#[tokio::test]
async fn a_query_that_cannot_be_meant_is_a_bad_request() {
    let served = Served::new();
    for target in ["/?pool=", "/?element=1", "/events?pool=x&element=y"] {
        assert_eq!(served.get(target).await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn the_dump_is_that_of_the_command_read_in_slices() {
    let served = Served::new();
    let empty: Dump = serde_json::from_str(&served.get("/dump").await.body).unwrap();
    assert_eq!((empty.pools.len(), empty.associations.len()), (0, 1));
    let before = served.slices.load(Ordering::Relaxed);
    served
        .step(|registrar| {
            for id in 1..=3000 {
                register(registrar, pool(format!("pool {}", id % 7)), element(id, Policy::Random));
            }
            for id in 2..=200 {
                let from = IpAddr::from([10, 0, 1, 1]);
                asap(
                    registrar,
                    Input::Up { association: Association(id), from, port: 1, addresses: vec![from] },
                );
            }
        })
        .await;
    let answer = served.get("/dump").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let dump: Dump = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((dump.identifier, dump.dropped_not_reading, dump.counters.registrations), (0xabcd, 5, 3000));
    assert_eq!(dump.dropped_resolutions, 6);
    assert_eq!(
        dump.pools.iter().map(|pool| pool.handle.as_str()).collect::<Vec<_>>(),
        ["pool 0", "pool 1", "pool 2", "pool 3", "pool 4", "pool 5", "pool 6"]
    );
    let mut all: Vec<_> =
        dump.pools.iter().flat_map(|pool| &pool.elements).map(|element| element.id).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=3000).collect::<Vec<_>>());
    let associations: Vec<_> = dump.associations.iter().map(|dump| dump.association.0).collect();
    assert_eq!(associations, (1..=200).collect::<Vec<_>>());
    assert_eq!((dump.associations[0].elements, dump.associations[0].outstanding_octets), (3000, 7));
    let slices = served.slices.load(Ordering::Relaxed) - before;
    assert!(
        slices >= 3000_usize.div_ceil(64) + 200_usize.div_ceil(64),
        "{slices}: it was read in large pieces"
    );
}

/// One metric family.
#[derive(Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    help: String,
    samples: Vec<(String, f64)>,
}

/// Reads OpenMetrics text as strictly as its specification has it.
fn families(text: &str) -> BTreeMap<String, Family> {
    let text = text.strip_suffix("# EOF\n").expect("the end is marked");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        assert!(!line.is_empty(), "empty lines are not allowed");
        if let Some(metadata) = line.strip_prefix("# ") {
            let parts: Vec<_> = metadata.splitn(3, ' ').collect();
            if current != parts[1] {
                current = parts[1].to_owned();
                assert!(!families.contains_key(&current), "{current} is interleaved");
            }
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "{line} comes late");
            match parts[0] {
                "TYPE" => family.kind = parts[2].to_owned(),
                "UNIT" => family.unit = Some(parts[2].to_owned()),
                "HELP" => family.help = parts[2].to_owned(),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        let family = families.get_mut(&current).expect("a family before its samples");
        let suffix = name.strip_prefix(&current).expect("a sample of the family");
        let allowed = match family.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            "gauge" => "",
            other => panic!("{other}"),
        };
        assert_eq!(suffix, allowed, "{line}");
        family.samples.push((sample.to_owned(), value.parse().unwrap()));
    }
    for (name, family) in &families {
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
        assert!(family.help.ends_with('.') && !family.help.ends_with(".."), "{name}: {}", family.help);
        assert!(family.unit.as_ref().is_none_or(|unit| name.ends_with(&format!("_{unit}"))), "{name}");
        assert_eq!(family.samples.len(), 1, "{name}");
    }
    families
}

#[tokio::test]
async fn the_metrics_are_open_metrics_and_have_every_counter() {
    let before = SystemTime::now();
    let served = Served::new();
    served.register(pool("echo"), element(1, Policy::RoundRobin)).await;
    served.register(pool("echo"), element(2, Policy::RoundRobin)).await;
    served
        .step(|registrar| {
            say(registrar, &Message::HandleResolution { subscribe: true, handle: pool("echo"), items: None });
        })
        .await;
    let answer = served.get("/metrics").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
    let families = families(&answer.body);
    let value = |name: &str| families[name].samples[0].1;
    let counters = serde_json::to_value(crate::asap::Counters::default()).unwrap();
    for name in counters.as_object().unwrap().keys() {
        assert_eq!(families[&format!("roam_registrar_{name}")].kind, "counter");
    }
    let counters = serde_json::to_value(enrp::Counters::default()).unwrap();
    for name in counters.as_object().unwrap().keys() {
        assert_eq!(families[&format!("roam_registrar_enrp_{name}")].kind, "counter");
    }
    assert_eq!(value("roam_registrar_registrations"), 2.0);
    assert_eq!(value("roam_registrar_resolutions"), 1.0);
    assert_eq!(value("roam_registrar_dropped_not_reading"), 5.0);
    assert_eq!(value("roam_registrar_dropped_resolutions"), 6.0);
    for (gauge, expected) in [
        ("pools", 1.0),
        ("elements", 2.0),
        ("associations", 1.0),
        ("subscriptions", 1.0),
        ("own_elements", 2.0),
    ] {
        let name = format!("roam_registrar_{gauge}");
        assert_eq!((families[&name].kind.as_str(), value(&name)), ("gauge", expected), "{name}");
    }
    assert_eq!(families["process_start_time_seconds"].unit.as_deref(), Some("seconds"));
    let since_start = value("process_start_time_seconds")
        - before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((-1.0..60.0).contains(&since_start), "{since_start}");
}

#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let served = Served::new();
    assert_eq!(served.get("/healthz").await.status, 200);
    assert_eq!(served.get("/readyz").await.status, 200);
    // The service loop ends.
    served.machine.abort();
    let start = Instant::now();
    while served.get("/healthz").await.status != 503 {
        assert!(start.elapsed() < LONG);
    }
    for target in ["/readyz", "/metrics", "/"] {
        assert_eq!(served.get(target).await.status, 503, "{target}");
    }
}

#[tokio::test]
async fn a_registrar_is_ready_when_it_has_synchronised_and_not_before() {
    let addresses = vec!["10.0.0.2:9901".parse().unwrap()];
    let other = enrp::Contact { addresses, ..enrp::Contact::default() };
    let served = Served::around(64, Patience { head: LONG, write: LONG }, vec![other]);
    assert_eq!(served.get("/healthz").await.status, 200);
    let unready = served.get("/readyz").await;
    assert_eq!((unready.status, unready.body.as_str()), (503, "not in service: synchronising\n"));
    assert!(served.get("/").await.body.contains("<dt>State</dt><dd>synchronising</dd>"));
    assert!(served.get("/metrics").await.body.contains("\nroam_registrar_ready 0\n"));
    // Its mentor is looked for as long as that is to be tried, and then it is alone.
    served
        .step(|registrar| {
            registrar.handle_timeout(Instant::now() + registrar.enrp().settings().mentor_discovery);
        })
        .await;
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    assert!(served.get("/").await.body.contains("<dt>State</dt><dd>in service</dd>"));
    assert!(served.get("/metrics").await.body.contains("\nroam_registrar_ready 1\n"));
}

#[tokio::test]
async fn what_is_asked_for_under_another_hosts_name_is_refused() {
    let served = Served::new();
    for target in ["/", "/metrics", "/dump", "/events", "/healthz", "/nothing"] {
        let answer = served.answer(&format!("GET {target} HTTP/1.1\r\nHost: rebound.example\r\n\r\n")).await;
        assert_eq!(answer.status, 421, "{target}");
        assert!(answer.header("content-security-policy").is_some());
    }
    let address = served.address;
    for host in [address.to_string(), format!("localhost:{}", address.port()), "test".to_owned()] {
        let answer = served.answer(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn only_what_is_there_is_answered_and_only_to_get_and_head() {
    let served = Served::new();
    for target in ["/", "/metrics", "/healthz", "/readyz", "/dump", "/events"] {
        let head = served.answer(&format!("HEAD {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{target}");
        if target != "/events" {
            let get = served.get(target).await;
            assert!(!get.body.is_empty());
            assert_eq!(get.header("content-type"), head.header("content-type"), "{target}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
            let refusal = served.answer(&format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
            assert_eq!(
                (refusal.status, refusal.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {target}"
            );
        }
    }
    for target in ["/nothing", "/metrics/", "/../etc/passwd", "//", "*"] {
        assert_eq!(served.get(target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let served = Served::new();
    for target in ["/", "/metrics", "/dump", "/nothing", "/?pool=", "/healthz"] {
        let answer = served.get(target).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{target}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("script-src 'sha256-"),
            "{policy}"
        );
    }
}
