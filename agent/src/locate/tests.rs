use std::path::Path;

use asap_client::wire::{PoolElement, Transport};

use super::*;

fn config(text: &str) -> Config {
    let text = format!("{text}\n[registrars]\nstatic = [\"192.0.2.1:3863\"]\n");
    Config::parse(Path::new("test.toml"), &text).unwrap()
}

fn element(id: u32, port: u16, last: &[u8]) -> PoolElement {
    let addresses = last.iter().map(|last| [10, 0, 0, *last].into()).collect();
    PoolElement {
        id,
        home: 1,
        life: 300,
        user: Transport::Sctp { port, use_: wire::TransportUse::DataOnly, addresses },
        policy: Policy::RoundRobin,
        asap: None,
    }
}

fn ips(last: &[u8]) -> Vec<IpAddr> {
    last.iter().map(|last| [10, 0, 0, *last].into()).collect()
}

fn ids(locate: &Locate) -> Vec<u32> {
    locate.elements().iter().map(|report| report.id).collect()
}

#[tokio::test]
async fn an_element_keeps_its_identifier_when_the_daemon_is_killed_and_not_when_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let config = config("[[element]]\nhandle = \"a\"\nport = 7\n[[element]]\nhandle = \"a\"\nport = 8\n");
    let journal = Journal::open(directory.path()).unwrap();
    let first = Locate::start(&config, &journal).unwrap();
    let before = ids(&first);
    assert_eq!(before.len(), 2);
    assert_ne!(before[0], before[1]);
    drop((first, journal));
    let journal = Journal::open(directory.path()).unwrap();
    let second = Locate::start(&config, &journal).unwrap();
    assert_eq!(ids(&second), before);
    second.stop().await;
    assert_eq!(journal.pending(), []);
}

#[tokio::test]
async fn the_identifier_of_an_element_that_is_configured_no_more_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    journal.record(Entry::Element { handle: "old".to_owned(), id: 9 }).unwrap();
    let _locate = Locate::start(&config(""), &journal).unwrap();
    assert_eq!(journal.pending(), []);
}

#[tokio::test]
async fn an_element_says_why_it_is_not_registered() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let mut locate = Locate::start(&config("[[element]]\nhandle = \"a\"\nport = 7\n"), &journal).unwrap();
    assert_eq!(locate.elements()[0].why, "no program listens");
    let program = Program { port: 7, executable: None };
    locate.follow(&[], std::slice::from_ref(&program));
    assert_eq!(locate.elements()[0].why, "the host has no usable address");
    locate.follow(&ips(&[1]), &[program]);
    assert_eq!(locate.elements()[0].why, "no registrar has answered yet");
    let (handle, id) = (handle("a").unwrap(), locate.elements[0].id);
    locate.take(Event::Home { registrar: vec!["192.0.2.1:3863".parse().unwrap()] });
    let why = vec![Cause::bare(Cause::LACK_OF_RESOURCES)];
    locate.take(Event::Rejected { handle: handle.clone(), id, causes: why });
    assert_eq!(locate.elements()[0].why, "refused by the registrar: lack of resources (0x6)");
    locate.take(Event::Registered { handle, id, addresses: ips(&[1]), warnings: vec![] });
    let report = &locate.elements()[0];
    assert_eq!((report.registered, &report.addresses), (true, &ips(&[1])));
    assert!(report.confirmed_ms.is_some_and(|ago| ago < 60_000) && report.life_ms == 300_000, "{report:?}");
    locate.follow(&ips(&[1]), &[]);
    let report = &locate.elements()[0];
    assert!(!report.registered && report.confirmed_ms.is_none());
}

#[test]
fn a_program_fits_by_port_and_executable_where_they_are_given() {
    let elements = config(
        "[[element]]\nhandle = \"a\"\nport = 7\n\
         [[element]]\nhandle = \"b\"\nexecutable = \"/bin/x\"\n\
         [[element]]\nhandle = \"c\"\nport = 7\nexecutable = \"/bin/x\"\n",
    )
    .elements;
    let fitting = |port, executable: Option<&str>| -> Vec<String> {
        let program = Program { port, executable: executable.map(PathBuf::from) };
        elements
            .iter()
            .filter(|element| fits(element, &program))
            .map(|element| element.handle.clone())
            .collect()
    };
    assert_eq!(fitting(7, Some("/bin/x")), ["a", "b", "c"]);
    assert_eq!(fitting(8, Some("/bin/x")), ["b"]);
    assert_eq!(fitting(7, None), ["a"]);
    assert!(fitting(8, None).is_empty());
}

#[test]
fn a_peer_is_where_its_elements_are_that_have_its_port() {
    let peers = config("[[peer]]\nhandle = \"p\"\nport = 7\n[[peer]]\nhandle = \"p\"\n").peers;
    let elements = [element(1, 7, &[1, 2]), element(2, 8, &[3]), element(3, 7, &[2, 4])];
    let with_port = place(&peers[0], &elements);
    assert_eq!((with_port.port, with_port.addresses), (Some(7), ips(&[1, 2, 4])));
    let any = place(&peers[1], &elements);
    assert_eq!((any.port, any.addresses), (None, ips(&[1, 2, 3, 4])));
    assert_eq!(place(&peers[0], &[]).addresses, ips(&[]));
}

#[tokio::test]
async fn every_entry_with_the_handle_hears_of_a_change_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let config = config("[[peer]]\nhandle = \"p\"\nport = 7\n[[peer]]\nhandle = \"q\"\n");
    let mut locate = Locate::start(&config, &journal).unwrap();
    locate.pool(&handle("p").unwrap(), &[element(1, 7, &[1])]);
    locate.pool(&handle("p").unwrap(), &[element(1, 7, &[1])]);
    locate.pool(&handle("q").unwrap(), &[element(1, 9, &[5])]);
    locate.pool(&handle("p").unwrap(), &[element(1, 7, &[2])]);
    let mut told = Vec::new();
    for _ in 0..3 {
        let Located { handle, port, addresses } = locate.next().await;
        told.push((handle, port, addresses));
    }
    assert_eq!(
        told,
        [
            ("p".to_owned(), Some(7), ips(&[1])),
            ("q".to_owned(), Some(9), ips(&[5])),
            ("p".to_owned(), Some(7), ips(&[2])),
        ]
    );
    assert!(locate.news.is_empty());
    assert_eq!(locate.located().count(), 2);
}

#[tokio::test]
async fn another_configuration_touches_only_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let old = config(
        "[[element]]\nhandle = \"a\"\nport = 7\n[[element]]\nhandle = \"b\"\nport = 8\n[[peer]]\nhandle = \"p\"\n",
    );
    let mut locate = Locate::start(&old, &journal).unwrap();
    let program = Program { port: 7, executable: None };
    locate.follow(&ips(&[1]), &[program]);
    locate.pool(&handle("p").unwrap(), &[element(1, 9, &[9])]);
    let before = ids(&locate);
    let new = config(
        "[[element]]\nhandle = \"c\"\nport = 9\n[[element]]\nhandle = \"a\"\nport = 7\n[[peer]]\nhandle = \"q\"\n[[peer]]\nhandle = \"p\"\n",
    );
    locate.reconfigure(&old, &new).unwrap();
    let reports = locate.elements();
    assert_eq!(reports.iter().map(|it| it.handle.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(reports[1].id, before[0], "it stays registered as it is");
    assert!(!before.contains(&reports[0].id));
    assert_eq!(reports[1].why, "no registrar has answered yet", "its program is still known");
    assert_eq!(locate.located().map(|it| it.handle.as_str()).collect::<Vec<_>>(), ["p"]);
    assert_eq!(journal.pending().len(), 2);
}

#[tokio::test]
async fn with_other_registrars_the_elements_join_as_new_ones_and_without_any_there_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let old = config("[[element]]\nhandle = \"a\"\nport = 7\n");
    let mut locate = Locate::start(&old, &journal).unwrap();
    let before = ids(&locate);
    let mut new = old.clone();
    new.registrars.fixed = vec!["192.0.2.2:3863".parse().unwrap()];
    locate.reconfigure(&old, &new).unwrap();
    let after = ids(&locate);
    assert_eq!((after.len(), journal.pending().len()), (1, 1));
    assert_ne!(after, before);
    locate.reconfigure(&new, &Config::default()).unwrap();
    assert_eq!((ids(&locate), journal.pending()), (vec![], vec![]));
    locate.reconfigure(&Config::default(), &new).unwrap();
    assert_eq!(ids(&locate).len(), 1);
}
