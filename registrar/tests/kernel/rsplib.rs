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
        let child = Command::new(name)
            .args(["-asapannounce=off", "-registrar=10.0.0.1:3863", "-poolhandle=EchoPool", "-logcolor=off"])
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
