//! Our structures and numbers against the kernel's header on this machine, by way of its C compiler.

use std::fmt::Write as _;
use std::process::Command;

use sctp_sys::abi::{LAYOUTS, NUMBERS};

const HELP: &str = "this test needs a C compiler and the kernel's headers (on Debian: apt-get install gcc linux-libc-dev); CC names another compiler";

#[test]
fn our_layouts_and_numbers_are_those_of_the_kernels_header() {
    let mut program = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <stdint.h>\n#include <sys/socket.h>\n#include <linux/sctp.h>\n\
         #define F(T, f) printf(\"%s.%s %zu %zu\\n\", #T, #f, offsetof(T, f), sizeof(((T *)0)->f))\n\
         int main(void) {\n",
    );
    let mut expected = String::new();
    for layout in LAYOUTS.iter().copied().flatten() {
        writeln!(program, "printf(\"%s %zu\\n\", \"{0}\", sizeof({0}));", layout.name).unwrap();
        writeln!(expected, "{} {}", layout.name, layout.size).unwrap();
        for (field, offset, size) in layout.fields {
            writeln!(program, "F({}, {field});", layout.name).unwrap();
            writeln!(expected, "{}.{field} {offset} {size}", layout.name).unwrap();
        }
    }
    for (name, value) in NUMBERS {
        writeln!(program, "printf(\"%s %d\\n\", \"{name}\", (int)({name}));").unwrap();
        writeln!(expected, "{name} {value}").unwrap();
    }
    program.push_str("return 0;\n}\n");

    let dir = tempfile::tempdir().unwrap();
    let (source, binary) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(&compiler)
        .arg("-o")
        .arg(&binary)
        .arg(&source)
        .output()
        .unwrap_or_else(|e| panic!("{compiler}: {e}; {HELP}"));
    assert!(
        compiled.status.success(),
        "{compiler} refused the program; {HELP}\n{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let ran = Command::new(&binary).output().unwrap();
    let got = String::from_utf8(ran.stdout).unwrap();
    let different: Vec<_> =
        expected.lines().zip(got.lines()).filter(|(ours, theirs)| ours != theirs).collect();
    assert!(different.is_empty(), "ours and the header's differ: {different:#?}");
    assert_eq!(expected.lines().count(), got.lines().count());
    assert!(got.lines().count() > 300, "all of them are compared");
}

#[test]
fn every_layout_and_number_of_the_reference_is_there() {
    let size = |name: &str| {
        LAYOUTS
            .iter()
            .copied()
            .flatten()
            .find(|l| l.name.ends_with(name))
            .unwrap_or_else(|| panic!("{name}"))
            .size
    };
    for (name, octets) in [
        ("sctp_rtoinfo", 16),
        ("sctp_assocparams", 20),
        ("sctp_setpeerprim", 132),
        ("sctp_prim", 132),
        ("sctp_paddrparams", 156),
        ("sctp_paddrinfo", 152),
        ("sctp_status", 176),
        ("sctp_sack_info", 12),
        ("sctp_assoc_value", 8),
        ("sctp_paddrthlds_v2", 144),
        ("sctp_udpencaps", 144),
        ("sctp_event", 8),
        ("sctp_initmsg", 8),
        ("sctp_sndrcvinfo", 32),
        ("sctp_sndinfo", 16),
        ("sctp_rcvinfo", 28),
        ("sctp_assoc_stats", 256),
        ("sctp_info", 368),
        ("sctp_paddr_change", 148),
    ] {
        assert_eq!(size(name), octets, "{name}");
    }
    let number = |name: &str| NUMBERS.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name}")).1;
    for (name, value) in [
        ("SCTP_SOCKOPT_BINDX_ADD", 100),
        ("SCTP_SOCKOPT_BINDX_REM", 101),
        ("SCTP_SOCKOPT_CONNECTX3", 111),
        ("SCTP_EVENT", 127),
        ("SCTP_ASCONF_SUPPORTED", 128),
        ("SCTP_AUTH_SUPPORTED", 129),
        ("SCTP_SEND_FAILED_EVENT", 0x800d),
    ] {
        assert_eq!(number(name), value, "{name}");
    }
}
