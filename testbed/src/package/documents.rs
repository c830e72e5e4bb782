//! The man pages and completions of the registrar and of the testbed. Those of the agent's programs they write themselves.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use roam_agent::cli::manual;
use roam_registrar::cli as registrar;

/// The testbed's page.
const PAGE: (&str, &str) = ("roam-testbed.1", include_str!("../../man/roam-testbed.1"));

/// The shells, each with what the name of its file begins and ends with, and its directory's name.
pub(super) const SHELLS: [(Shell, &str, &str, &str); 3] =
    [(Shell::Bash, "bash", "", ""), (Shell::Zsh, "zsh", "_", ""), (Shell::Fish, "fish", "", ".fish")];

/// Writes them into `man` and the shells' directories below this one.
///
/// # Errors
/// They cannot be written.
pub fn write(place: &Path, testbed: Command) -> io::Result<()> {
    let programs = [registrar::Cli::command(), testbed];
    let man = place.join("man");
    fs::create_dir_all(&man)?;
    for (name, prose) in registrar::PAGES.into_iter().chain([PAGE]) {
        fs::write(man.join(name), manual::page(prose, &programs, registrar::SHIPPED)?)?;
    }
    for (shell, directory, prefix, suffix) in SHELLS {
        let directory = place.join(directory);
        fs::create_dir_all(&directory)?;
        for program in &programs {
            let mut text = Vec::new();
            manual::completions(program.clone(), shell, &mut text);
            fs::write(directory.join(format!("{prefix}{}{suffix}", program.get_name())), text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrar_and_testbed_have_pages_and_completions_that_tell_of_their_commands() {
        let place = tempfile::tempdir().unwrap();
        let testbed = Command::new("roam-testbed")
            .subcommand(Command::new("simulate").about("Clusters"))
            .subcommand(Command::new("inside").hide(true));
        write(place.path(), testbed).unwrap();
        let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        let page = read("man/roam-registrar.8");
        for wanted in ["\\fBdrain\\fR", "\\fB\\-\\-timeout\\fR", "\\-\\-check\\-config", ".SH COMMANDS"] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
        assert!(!page.contains("GENERATED") && !page.contains("VERSION"));
        assert!(read("man/registrar.toml.5").contains("\n#identifier = 1\n"));
        let page = read("man/roam-testbed.1");
        assert!(page.contains("\\fBsimulate\\fR\nClusters.") && !page.contains("inside"), "{page}");
        for name in ["bash/roam-registrar", "zsh/_roam-registrar", "fish/roam-registrar.fish"] {
            assert!(read(name).contains("drain"), "{name}");
        }
        assert!(read("bash/roam-testbed").contains("simulate"));
    }
}
