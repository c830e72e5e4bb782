//! SCTP, its module and its settings.

use super::{Check, Facts};

const GROUP: &str = "kernel";

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![sctp(facts)];
    if facts.kernel.sctp {
        checks.push(at_start(facts));
        checks.push(switch(facts, "addip-enable", "net.sctp.addip_enable", facts.kernel.addip));
        checks.push(auth(facts));
        checks.push(auto_asconf(facts));
        checks.push(scope_policy(facts));
        checks.push(diag(facts));
        checks.extend(encapsulation(facts));
    }
    checks
}

fn sctp(facts: &Facts) -> Check {
    let kernel = &facts.kernel;
    if kernel.sctp {
        return Check::ok(GROUP, "sctp", format!("SCTP is there (kernel {})", kernel.release));
    }
    if let Some((file, line)) = kernel.blacklisted.first() {
        let file = file.display();
        let text = format!("the kernel's SCTP is not loaded, and {file} keeps it from being: `{line}`");
        let mend = format!("sed -i 's/^{line}$/# &/' {file} && modprobe sctp");
        return Check::fail(GROUP, "sctp", text, mend);
    }
    let text = format!(
        "no SCTP socket can be made (kernel {}): its module is not loaded, or not installed",
        kernel.release
    );
    Check::fail(GROUP, "sctp", text, "modprobe sctp")
}

fn at_start(facts: &Facts) -> Check {
    if facts.kernel.loaded_at_start {
        return Check::ok(GROUP, "module-at-start", "SCTP is loaded when the host starts");
    }
    let text = "nothing loads SCTP when the host starts, and a sandboxed roamd may not";
    Check::warn(GROUP, "module-at-start", text, "echo sctp > /etc/modules-load.d/sctp.conf")
}

fn switch(facts: &Facts, name: &str, setting: &str, value: Option<bool>) -> Check {
    let mend = format!("sysctl -w {setting}=1");
    match (value, facts.daemon.is_running()) {
        (Some(true), _) => Check::ok(GROUP, name, format!("{setting} is on")),
        (Some(false), true) => {
            let text =
                format!("{setting} is off: programs that start now get associations that cannot be moved");
            Check::fail(GROUP, name, text, mend)
        }
        (Some(false), false) => {
            let text = format!(
                "{setting} is off: roamd switches it on at its start, but programs that run already have sockets without it"
            );
            Check::warn(GROUP, name, text, mend)
        }
        (None, _) => {
            Check::warn(GROUP, name, format!("{setting} cannot be read"), format!("sysctl {setting}"))
        }
    }
}

fn auth(facts: &Facts) -> Check {
    let kernel = &facts.kernel;
    if kernel.auth != Some(true) && kernel.addip_noauth == Some(true) {
        let text = "addresses are changed without authentication (net.sctp.addip_noauth_enable): whoever sees an association can move it";
        let mend = "sysctl -w net.sctp.auth_enable=1 net.sctp.addip_noauth_enable=0";
        return Check::warn(GROUP, "auth-enable", text, mend);
    }
    switch(facts, "auth-enable", "net.sctp.auth_enable", kernel.auth)
}

fn auto_asconf(facts: &Facts) -> Check {
    if facts.kernel.auto_asconf != Some(true) {
        return Check::ok(GROUP, "auto-asconf", "the kernel leaves address changes to roamd");
    }
    let text = "the kernel changes the addresses of wildcard sockets, too (net.sctp.default_auto_asconf): roamd switches it off for those that it looks after";
    Check::warn(GROUP, "auto-asconf", text, "sysctl -w net.sctp.default_auto_asconf=0")
}

fn scope_policy(facts: &Facts) -> Check {
    const MEND: &str = "sysctl -w net.sctp.addr_scope_policy=1";
    let warn = |text: &str| Check::warn(GROUP, "address-scope", text, MEND);
    match facts.kernel.scope_policy {
        Some(0) => warn(
            "peers are told all addresses, also those that they cannot reach (net.sctp.addr_scope_policy is 0)",
        ),
        Some(3) => warn("peers are told link-local addresses, too (net.sctp.addr_scope_policy is 3)"),
        _ => Check::ok(GROUP, "address-scope", "peers are told addresses that they may reach"),
    }
}

fn diag(facts: &Facts) -> Check {
    if facts.kernel.diag {
        return Check::ok(GROUP, "sctp-diag", "the kernel lists associations by sock_diag");
    }
    let text =
        "the kernel does not list associations by sock_diag: roamd reads /proc/net/sctp, which tells less";
    Check::warn(GROUP, "sctp-diag", text, "modprobe sctp_diag")
}

fn encapsulation(facts: &Facts) -> Option<Check> {
    let (listens, sends) = facts.kernel.udp;
    match (listens, sends) {
        (0, 0) => None,
        (0, sends) => Some(Check::fail(
            GROUP,
            "udp-encapsulation",
            format!("packets are sent in UDP to port {sends}, but none are taken: answers get lost"),
            format!("sysctl -w net.sctp.udp_port={sends}"),
        )),
        (listens, _) => {
            Some(Check::ok(GROUP, "udp-encapsulation", format!("packets in UDP are taken at port {listens}")))
        }
    }
}
