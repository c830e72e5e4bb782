//! The man pages and completions of `roam` and `roamd`. The prose stands in `man/`.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Program, RoamArguments, RoamdArguments, manual};
use crate::config::SHIPPED;

/// The pages: name of the file, and the prose.
const PAGES: [(&str, &str); 3] = [
    ("roam.1", include_str!("../../man/roam.1")),
    ("roamd.8", include_str!("../../man/roamd.8")),
    ("agent.toml.5", include_str!("../../man/agent.toml.5")),
];

/// Writes the man pages into a directory, which is made if need be; returns their names.
///
/// # Errors
/// It cannot be written.
pub fn write_man_pages(directory: &Path) -> io::Result<Vec<&'static str>> {
    std::fs::create_dir_all(directory)?;
    for (name, prose) in PAGES {
        std::fs::write(directory.join(name), page(prose)?)?;
    }
    Ok(PAGES.iter().map(|(name, _)| *name).collect())
}

/// The completions of a program for a shell.
pub fn completions(of: Program, shell: Shell, out: &mut dyn io::Write) {
    let program = match of {
        Program::Roam => RoamArguments::command(),
        Program::Roamd => RoamdArguments::command(),
    };
    manual::completions(program, shell, out);
}

fn page(prose: &str) -> io::Result<String> {
    manual::page(prose, &[RoamArguments::command(), RoamdArguments::command()], SHIPPED)
}

#[cfg(test)]
mod tests {
    use super::super::manual::escaped;
    use super::*;
    use clap::Arg;

    fn made(name: &str) -> String {
        let (_, prose) = PAGES.iter().find(|(page, _)| *page == name).unwrap();
        page(prose).unwrap()
    }

    #[test]
    fn the_page_of_roam_tells_of_every_command_and_option() {
        let page = made("roam.1");
        let roam = RoamArguments::command();
        for command in roam.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = escaped(command.get_name());
            assert!(page.contains(&format!(".TP\n\\fB{name}\\fR")), "{name}");
            for option in command.get_arguments().filter_map(Arg::get_long) {
                let option = escaped(&format!("--{option}"));
                assert!(page.contains(&format!("\\fB{option}\\fR")), "{name} {option}");
            }
        }
        assert!(page.contains("\\fB\\-\\-check\\fR\n"), "a flag has no value");
        for code in ["0", "1", "2", "3", "4", "8", "10"] {
            assert!(page.contains(&format!(".TP\n.B {code}\n")), "{code}");
        }
        assert!(!page.contains("GENERATED") && !page.contains("VERSION") && !page.contains("completions"));
    }

    #[test]
    fn the_page_of_roamd_tells_of_every_option() {
        let page = made("roamd.8");
        for option in RoamdArguments::command().get_arguments().filter_map(Arg::get_long) {
            assert!(page.contains(&escaped(&format!("--{option}"))), "{option}");
        }
    }

    #[test]
    fn the_page_of_the_configuration_shows_the_shipped_file() {
        let page = made("agent.toml.5");
        assert!(page.contains("\n#poll = \"250ms\"\n") && page.contains("[[manage]]"), "{page}");
        assert!(page.contains("\n#nice = \\-15\n"), "{page}");
    }

    #[test]
    fn every_shell_gets_completions_for_both_programs() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            for (program, words) in
                [(Program::Roam, ["explain", "registered"]), (Program::Roamd, ["check-config", "effective"])]
            {
                let mut out = Vec::new();
                completions(program, shell, &mut out);
                let text = String::from_utf8(out).unwrap();
                assert!(words.iter().all(|word| text.contains(word)), "{program:?} {shell}");
            }
        }
    }
}
