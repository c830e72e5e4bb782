//! Man pages and completions, from the definitions that the programs parse their command lines with. What is prose stands in
//! `man/`; a line `.\" GENERATED ...` there is where the definitions come in.

use std::io;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Program, RoamArguments, RoamdArguments};
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
    let mut command = match of {
        Program::Roam => RoamArguments::command(),
        Program::Roamd => RoamdArguments::command(),
    };
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, out);
}

fn page(prose: &str) -> io::Result<String> {
    let mut text = String::new();
    for line in prose.lines() {
        text += &match line.strip_prefix(".\\\" GENERATED ") {
            Some("OPTIONS roam") => options(RoamArguments::command())?,
            Some("OPTIONS roamd") => options(RoamdArguments::command())?,
            Some("COMMANDS roam") => commands(&RoamArguments::command()),
            Some("DEFAULTS") => literal(SHIPPED),
            _ => line.replace("VERSION", env!("CARGO_PKG_VERSION")) + "\n",
        };
    }
    Ok(text)
}

fn options(command: Command) -> io::Result<String> {
    let mut bytes = Vec::new();
    Man::new(command.disable_help_subcommand(true)).render_options_section(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn commands(roam: &Command) -> String {
    let mut text = ".SH COMMANDS\n".to_owned();
    for command in roam.get_subcommands().filter(|command| !command.is_hide_set()) {
        let words: String =
            command.get_positionals().map(|it| format!(" \\fI{}\\fR", escaped(&value(it)))).collect();
        let about =
            command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        text += &format!(".TP\n\\fB{}\\fR{words}\n{}\n", escaped(command.get_name()), sentence(&about));
        let own = |it: &&Arg| !it.is_positional() && !it.is_global_set();
        let options: Vec<&Arg> = command.get_arguments().filter(own).collect();
        if options.is_empty() {
            continue;
        }
        text += ".RS\n";
        for option in options {
            let takes = option.get_action().takes_values();
            let value = if takes { format!(" \\fI{}\\fR", escaped(&value(option))) } else { String::new() };
            let long = escaped(&format!("--{}", option.get_long().unwrap_or_default()));
            let short = option.get_short().map_or_else(String::new, |short| format!("\\fB\\-{short}\\fR, "));
            let default: Vec<_> = option.get_default_values().iter().map(|it| it.to_string_lossy()).collect();
            let default = match default.is_empty() || !takes {
                true => String::new(),
                false => format!(" The default is {}.", escaped(&default.join(" "))),
            };
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            text += &format!(".TP\n{short}\\fB{long}\\fR{value}\n{}{default}\n", sentence(&help));
        }
        text += ".RE\n";
    }
    text
}

fn value(of: &Arg) -> String {
    let names = of.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
    if names.is_empty() { of.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

/// Text of a definition, which has its line breaks where the source has them.
fn sentence(text: &str) -> String {
    let text = escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if text.is_empty() || text.ends_with(['.', ':']) { text } else { text + "." }
}

/// Text as it stands in a file.
fn literal(text: &str) -> String {
    let lines = text.lines().map(|line| escaped(line) + "\n");
    format!(".nf\n{}.fi\n", lines.collect::<String>())
}

/// As roff shows it: no escapes, no requests, and dashes that can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn no_line_of_text_is_taken_for_a_request() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("'a \\fB --x"), "\\&'a \\efB \\-\\-x");
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
