//! rsplib's own programs (Debian: rsplib-services, rsplib-tools) at our registrar.

use super::world::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::through(&[], "10.0.0.1:3863", name, arguments)
    }

    fn through(wrapper: &[&str], registrar: &str, name: &str, arguments: &[&str]) -> Self {
        let words = [wrapper, &[name]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["-asapannounce=off", "-poolhandle=EchoPool", "-logcolor=off"])
            .arg(format!("-registrar={registrar}"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(
            child
                .unwrap_or_else(|error| panic!("{name} (apt install rsplib-services rsplib-tools): {error}")),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn rsplibs_echo_service_registers_here_and_its_terminal_finds_it() {
    let world = World::new("[asap]\nkeep_alive_interval = \"200ms\"\nkeep_alive_timeout = \"2s\"\n");
    let server = Program::start("rspserver", &["-echo", "-identifier=0xe1", "-rereginterval=1000"]);
    let dump = world.until(|dump| !dump.pools.is_empty());
    let element = &dump.pools[0].elements[0];
    assert_eq!((dump.pools[0].handle.as_str(), element.id), ("EchoPool", 0xe1));

    let mut terminal = Program::start("rspterminal", &[]);
    let mut input = terminal.0.stdin.take().unwrap();
    let output = BufReader::new(terminal.0.stdout.take().unwrap());
    input.write_all(b"a line to be echoed\n").unwrap();
    let echoed = output.split(b'\n').map(Result::unwrap).find(|line| {
        let line = String::from_utf8_lossy(line);
        line.contains("a line to be echoed")
    });
    assert!(echoed.is_some());
    let dump =
        world.until(|dump| dump.counters.keep_alives_answered >= 5 && dump.counters.registrations >= 3);
    assert_eq!(dump.counters.keep_alives_missed, 0, "{dump}");
    assert!(dump.counters.resolutions > 0, "{dump}");

    kill(Pid::from_raw(server.0.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let dump = world.until(|dump| dump.pools.is_empty());
    assert_eq!(dump.counters.keep_alives_missed, 0, "{dump}");
}

/// rsplib's echo service on a host.
fn serve(host: &Host) -> Program {
    let arguments = ["-echo", "-identifier=0xe1", "-rereginterval=1000"];
    Program::through(&["ip", "netns", "exec", &host.name], &host.registrar, "rspserver", &arguments)
}

#[test]
fn rsplibs_element_that_turns_up_at_another_address_is_let_in_when_where_it_was_is_silent() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\n");
    let (before, after) = (Host::new(1), Host::new(2));
    let _first = serve(&before);
    let at = |last: [u8; 4]| {
        world.until(move |dump| {
            let mut elements = dump.pools.iter().flat_map(|pool| &pool.elements);
            elements.next().is_some_and(|element| element.addresses == [std::net::IpAddr::from(last)])
        })
    };
    at([10, 1, 0, 2]);
    sh("ip link set v1 down");
    let _second = serve(&after);
    let dump = at([10, 2, 0, 2]);
    assert_eq!(dump.pools[0].elements.len(), 1, "it is one and the same");
    assert!(dump.counters.keep_alives >= 1, "the old one was asked: {dump}");
}
