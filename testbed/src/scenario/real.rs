//! Scenarios with real programs that nobody here wrote.

use super::programs::SERVER_PORT;
use super::table::{break_before_make, labelled, make_before_break, round, scenario, simultaneous, started};
use super::{Binding, Foreign, Input, Line, Programs, Round, Scenario};
use crate::topology::{A1, A2, B1, B2};

/// Programs that scenarios of this name need, and Debian's packages that have them.
pub(super) fn needed(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "socat" | "socat-wildcard" => &[("socat", "socat")],
        "rspterminal" => &[("rspserver", "rsplib-services"), ("rspterminal", "rsplib-tools")],
        _ => &[],
    }
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        socat("socat", Binding::Explicit, "bound to addresses", ",bind={local}"),
        socat("socat-wildcard", Binding::Wildcard, "bound to none", ""),
        rspterminal(),
    ]
}

/// One round for each kind of handover.
fn each_kind(binding: Binding) -> Vec<Round> {
    vec![
        labelled("make-before-break", round(binding, binding, started(make_before_break(A1, A2)))),
        labelled("sender moves", round(binding, binding, started(break_before_make(&[A1], &[A2])))),
        labelled("receiver moves", round(binding, binding, started(break_before_make(&[B1], &[B2])))),
        labelled("simultaneous", round(binding, binding, started(simultaneous()))),
    ]
}

fn socat(name: &str, binding: Binding, words: &str, bind: &str) -> Scenario {
    let line = |command: String, port: Option<u16>| Line {
        command: format!("exec {command}"),
        program: "socat".into(),
        port,
    };
    Scenario {
        programs: Programs::Foreign(Foreign {
            client: line(format!("socat -u OPEN:{{in}} SCTP4:{{peer}}:{{port}}{bind}"), None),
            server: line(
                format!("socat -u SCTP4-LISTEN:{{port}}{bind} OPEN:{{out}},creat"),
                Some(SERVER_PORT),
            ),
            input: Input::File(3_000_000),
        }),
        rate_kbit: Some(4000),
        ..scenario(
            name,
            &format!(
                "socat, {words}, carries a file over SCTP through every kind of handover: it arrives whole, and the \
                 rate comes back."
            ),
            each_kind(binding),
        )
    }
}

fn rspterminal() -> Scenario {
    const COMMON: &str = "-asapannounce=off -registrar={registrar} -poolhandle=EchoPool -logcolor=off";
    // The terminal ends with its input, which lasts until the last line has come back.
    let client = format!(
        "{{ while read -r line; do echo \"$line\"; last=$line; sleep 0.05; done < {{in}}; \
         until grep -q \"$last\" {{out}}; do sleep 0.1; done; }} | rspterminal {COMMON} > {{out}}"
    );
    let server = format!("exec rspserver -echo -local={{local}}:{{port}} {COMMON}");
    Scenario {
        programs: Programs::Foreign(Foreign {
            client: Line { command: client, program: "rspterminal".into(), port: None },
            server: Line { command: server, program: "rspserver".into(), port: Some(SERVER_PORT) },
            input: Input::Lines(100),
        }),
        ..scenario(
            "rspterminal",
            "rsplib's terminal and its echo service, over their own registrations, through every kind of handover.",
            each_kind(Binding::Explicit),
        )
    }
}
