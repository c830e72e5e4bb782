//! The daemon, its rights, its configuration, what it says itself.

use super::{Check, Daemon, Facts};
use crate::control::{AssociationReport, AssociationState, StatusReport};

const GROUP: &str = "service";

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![configuration(facts)];
    match &facts.daemon {
        Daemon::Silent { why, elsewhere } => checks.push(silent(why, *elsewhere)),
        Daemon::Running { status, associations, lacks } => {
            checks.push(Check::ok(
                GROUP,
                "running",
                format!("roamd {} runs (process {})", status.version, status.pid),
            ));
            checks.push(version(status));
            checks.push(rights(lacks));
            checks.extend(problems(status));
            checks.push(overruns(status));
            checks.push(managed(associations));
        }
    }
    checks.push(suspended(facts));
    checks
}

fn configuration(facts: &Facts) -> Check {
    match &facts.configuration {
        None => Check::ok(GROUP, "configuration", "the configuration on disk is valid"),
        Some(error) => Check::fail(
            GROUP,
            "configuration",
            format!("the configuration on disk has a mistake: {error}"),
            "roamd --check-config",
        ),
    }
}

fn silent(why: &str, elsewhere: bool) -> Check {
    if elsewhere {
        let text = "a roamd runs in this network namespace, with another runtime directory";
        return Check::fail(GROUP, "running", text, "roam --runtime-dir DIR doctor");
    }
    Check::fail(GROUP, "running", why.split(';').next().unwrap_or(why), "systemctl start roamd")
}

fn version(status: &StatusReport) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if status.version == ours {
        return Check::ok(GROUP, "version", format!("roam and roamd are both of version {ours}"));
    }
    let text = format!("roam is of version {ours}, roamd of {}", status.version);
    Check::warn(GROUP, "version", text, "systemctl restart roamd")
}

/// What it takes to borrow the sockets of other users' programs, a separate switch.
const ADOPTION: [&str; 2] = ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];

fn rights(lacks: &[String]) -> Check {
    if lacks.is_empty() {
        return Check::ok(GROUP, "rights", "roamd may do all that it needs");
    }
    let names = lacks.join(" ");
    let mend = format!(
        "systemctl edit roamd  # [Service] AmbientCapabilities={names} CapabilityBoundingSet={names}"
    );
    if lacks.iter().all(|name| ADOPTION.contains(&name.as_str())) {
        let text = format!("roamd lacks {names}: programs of other users have to hand their sockets over");
        return Check::warn(
            GROUP,
            "rights",
            text,
            format!("{mend} SystemCallFilter=pidfd_open pidfd_getfd kcmp"),
        );
    }
    Check::fail(GROUP, "rights", format!("roamd lacks {names}: what needs it is not done"), mend)
}

/// A problem's text has what mends it behind its last semicolon.
fn problems(status: &StatusReport) -> Vec<Check> {
    if status.problems.is_empty() {
        return vec![Check::ok(GROUP, "problems", "roamd tells of no problem")];
    }
    let check = |problem: &String| {
        let (text, mend) = problem.rsplit_once("; ").unwrap_or((problem, "roam status"));
        Check::fail(GROUP, "problems", text, mend.trim_matches('`'))
    };
    status.problems.iter().map(check).collect()
}

fn overruns(status: &StatusReport) -> Check {
    let count = status.network.overruns;
    if count == 0 {
        return Check::ok(GROUP, "overruns", "no change of the network was missed");
    }
    let text = format!(
        "the kernel's reports of the network were lost {count} times for want of room; everything was looked at again each time"
    );
    Check::warn(GROUP, "overruns", text, "ip monitor all  # shows what comes so often")
}

fn managed(associations: &[AssociationReport]) -> Check {
    let of = |state| associations.iter().filter(move |it| it.state == state);
    if let Some(first) = of(AssociationState::Unmanageable).next() {
        let count = of(AssociationState::Unmanageable).count();
        let named = format!("{}:{}-{}", first.pid, first.local_port, first.peer_port);
        let text = format!(
            "{count} of {} associations cannot be moved; the first one, {named}: {}",
            associations.len(),
            first.why
        );
        return Check::warn(
            GROUP,
            "associations",
            text,
            format!("roam explain {named}  # then start its program anew"),
        );
    }
    let stranded = of(AssociationState::Stranded).count();
    if stranded > 0 {
        let text = format!("{stranded} of {} associations have no usable address", associations.len());
        return Check::warn(GROUP, "associations", text, "roam addresses  # tells why");
    }
    Check::ok(GROUP, "associations", format!("{} associations are looked after", associations.len()))
}

fn suspended(facts: &Facts) -> Check {
    let seconds = facts.suspended.as_secs();
    match facts.suspends {
        Some(count) if count > 0 || seconds > 0 => {
            let text =
                format!("the host was suspended {count} times, for {seconds} s in all, since it was started");
            Check::ok(GROUP, "suspended", text)
        }
        None if seconds > 0 => Check::ok(
            GROUP,
            "suspended",
            format!("the host was suspended for {seconds} s since it was started"),
        ),
        _ => Check::ok(GROUP, "suspended", "the host was not suspended since it was started"),
    }
}
