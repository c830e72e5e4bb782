//! Man pages and completions of any program, from the definition that it parses its command line with. What is prose is
//! given; a line `.\" GENERATED ...` in it is where the definition comes in.

use std::io;

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;

/// A page: `GENERATED OPTIONS NAME` and `GENERATED COMMANDS NAME` in its prose are the options and the commands of that one of
/// the programs, `GENERATED DEFAULTS` is the configuration as it is shipped; VERSION is the product's.
///
/// # Errors
/// It asks for something else, or for another program.
pub fn page(prose: &str, programs: &[Command], shipped: &str) -> io::Result<String> {
    let mut text = String::new();
    for line in prose.lines() {
        let Some(wanted) = line.strip_prefix(".\\\" GENERATED ") else {
            text += &line.replace("VERSION", env!("CARGO_PKG_VERSION"));
            text.push('\n');
            continue;
        };
        let (what, name) = wanted.split_once(' ').unwrap_or((wanted, ""));
        let program = programs.iter().find(|program| program.get_name() == name);
        text += &match (what, program) {
            ("OPTIONS", Some(program)) => options(program.clone())?,
            ("COMMANDS", Some(program)) => commands(program),
            ("DEFAULTS", _) => literal(shipped),
            _ => return Err(io::Error::other(format!("nothing makes {wanted}"))),
        };
    }
    Ok(text)
}

/// The completions of a program for a shell.
pub fn completions(mut program: Command, shell: Shell, out: &mut dyn io::Write) {
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, out);
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

/// Text of a definition, which has its line breaks where the source has them, and no full stop at the end of a paragraph.
fn sentence(text: &str) -> String {
    let paragraph = |text: &str| {
        let text = escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "));
        if text.is_empty() || text.ends_with(['.', ':']) { text } else { text + "." }
    };
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join(" ")
}

/// Text as it stands in a file.
fn literal(text: &str) -> String {
    let lines = text.lines().map(|line| escaped(line) + "\n");
    format!(".nf\n{}.fi\n", lines.collect::<String>())
}

/// As roff shows it: no escapes, no requests, and dashes that can be copied.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_text_is_taken_for_a_request() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("'a \\fB --x"), "\\&'a \\efB \\-\\-x");
    }

    #[test]
    fn each_paragraph_of_a_definition_ends_with_a_full_stop() {
        assert_eq!(sentence("Have it\nstop\n\nIt stops."), "Have it stop. It stops.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn what_nothing_makes_is_an_error() {
        let asked = |line: &str| page(line, &[Command::new("one")], "");
        assert!(asked(".\\\" GENERATED OPTIONS one").is_ok());
        assert!(asked(".\\\" GENERATED OPTIONS two").is_err());
        assert!(asked(".\\\" GENERATED nonsense one").is_err());
    }
}
