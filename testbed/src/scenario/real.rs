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
pub(super) fn each_kind(binding: Binding) -> Vec<Round> {
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
    // The terminal shows only the first of several lines in a message, and sends what it reads at once in one: each line
    // waits until the one before has come back. Nor does it see the end of a pipe: it is ended after the last line.
    let client = format!(
        "{{ while read -r line; do echo \"$line\"; until grep -qs \"$line\" {{out}}; do sleep 0.05; done; \
         done < {{in}}; kill \"$(cat {{out}}.pid)\"; }} | \
         sh -c 'echo $$ > {{out}}.pid; exec rspterminal {COMMON} > {{out}}'"
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
