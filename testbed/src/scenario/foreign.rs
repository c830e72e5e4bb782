//! Programs that nobody here wrote: how they are started, and whether what they carried over came whole.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::plan::Sockets;
use super::programs::{SERVER_PORT, listed, registrar};
use super::{Input, Line};

/// How a program's sockets are told from others.
pub(super) fn sockets_of(line: &Line) -> Result<Sockets> {
    Ok(match line.port {
        Some(port) => Sockets::Ports(vec![port]),
        None => Sockets::Executable(executable(&line.program)?),
    })
}

/// Where a program is.
fn executable(name: &str) -> Result<PathBuf> {
    let found = if name.contains('/') {
        Some(PathBuf::from(name))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
    };
    let found = found.with_context(|| format!("{name} is not installed"))?;
    found.canonicalize().with_context(|| format!("the program {name}"))
}

/// A command line with its places filled in.
pub(super) fn filled(line: &str, local: &[IpAddr], peer: IpAddr, directory: &Path) -> String {
    line.replace("{local}", &listed(local))
        .replace("{peer}", &peer.to_string())
        .replace("{port}", &SERVER_PORT.to_string())
        .replace("{registrar}", &registrar(local[0]).to_string())
        .replace("{in}", &directory.join("in").display().to_string())
        .replace("{out}", &directory.join("out").display().to_string())
}

/// A file in which no block is like another, or numbered lines.
pub(super) fn write_input(path: &Path, input: Input) -> Result<()> {
    use rand::{RngExt as _, SeedableRng as _};
    let bytes = match input {
        Input::Unknown => return Ok(()),
        Input::File(octets) => {
            let mut bytes = vec![0; usize::try_from(octets)?];
            rand_chacha::ChaCha8Rng::seed_from_u64(octets).fill(&mut bytes[..]);
            bytes
        }
        Input::Lines(count) => {
            (0..count).map(|number| format!("line {number:05}\n")).collect::<String>().into()
        }
    };
    Ok(fs::write(path, bytes)?)
}

/// What of {in} is not in {out} as it should be.
pub(super) fn missing(input: Input, directory: &Path) -> Result<Option<String>> {
    if input == Input::Unknown {
        return Ok(None);
    }
    let (sent, received) =
        (fs::read(directory.join("in"))?, fs::read(directory.join("out")).unwrap_or_default());
    Ok(match input {
        Input::Lines(_) => lines_missing(&sent, &received),
        _ if sent == received => None,
        _ => Some(format!("{} octets were sent, {} received, and not the same", sent.len(), received.len())),
    })
}

/// Whether the lines of `received` that end with a line of `sent` have all of those, once and in order. Colours do not
/// count.
fn lines_missing(sent: &[u8], received: &[u8]) -> Option<String> {
    let received = String::from_utf8_lossy(received);
    let sent = String::from_utf8_lossy(sent);
    let number = |line: &str| {
        let line = line.trim_end().trim_end_matches("\u{1b}[0m");
        sent.lines().position(|one| line.ends_with(one))
    };
    let echoes: Vec<_> = received.lines().filter_map(number).collect();
    let wanted: Vec<_> = (0..sent.lines().count()).collect();
    (echoes != wanted)
        .then(|| format!("of {} lines {} came back, or not in order", wanted.len(), echoes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_a_command_line_are_filled_in() {
        let local = ["10.1.0.2".parse().unwrap()];
        let line =
            filled("x {local}:1 {peer}:{port} {out}", &local, "10.3.0.2".parse().unwrap(), Path::new("/d"));
        assert_eq!(line, "x 10.1.0.2:1 10.3.0.2:7000 /d/out");
    }

    #[test]
    fn the_program_of_a_command_line_is_found_through_the_path() {
        assert_eq!(executable("sh").unwrap(), Path::new("/bin/sh").canonicalize().unwrap());
        assert!(executable("no-such-program-here").is_err());
    }

    #[test]
    fn every_line_has_to_come_back_once_and_in_order() {
        let sent = b"line 1\nline 2\n";
        assert_eq!(lines_missing(sent, b"hello\nP1> line 1\n\x1b[34mP1> line 2\x1b[0m\n"), None);
        assert!(lines_missing(sent, b"line 2\nline 1\n").is_some());
        assert!(lines_missing(sent, b"line 1\nline 1\nline 2\n").is_some());
        assert!(lines_missing(sent, b"line 1\n").is_some());
    }
}
