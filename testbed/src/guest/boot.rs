//! Booting the guest and running one command in it.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use super::packages::{program, search_path};
use super::{INSIDE, Options};
use crate::clock::{self, Waited};

/// Modules loaded before the command runs; nftables loads the rest on demand.
const MODULES: [&str; 7] = ["sctp", "sctp_diag", "veth", "dummy", "sch_netem", "nf_tables", "af_packet"];

/// A chain at every hook of the network stack. The kernel begins to look into a hook with the first chain of any
/// namespace and ceases with the last, by patching its code while it runs; on an emulated processor with several cores
/// that was seen to crash it once in some thousand times (`int3` in `ip_rcv`). With these it is done once, here.
const HOOKS: &str = "add table inet hooks_in_use
add chain inet hooks_in_use prerouting { type filter hook prerouting priority 0; }
add chain inet hooks_in_use input { type filter hook input priority 0; }
add chain inet hooks_in_use forward { type filter hook forward priority 0; }
add chain inet hooks_in_use output { type filter hook output priority 0; }
add chain inet hooks_in_use postrouting { type filter hook postrouting priority 0; }
";

/// Boots the kernel, runs the command as root, and returns its exit status.
pub(super) fn boot(kernel: &Kernel, options: &Options, command: &[OsString]) -> Result<i32> {
    let own;
    let share = match &options.share {
        Some(path) => {
            fs::create_dir_all(path)?;
            path.as_path()
        }
        None => {
            own = tempfile::tempdir()?;
            own.path()
        }
    };
    let share = share.canonicalize()?;
    fs::write(share.join(".guest"), script(kernel, command)?)?;
    // Software emulation now and then fails to boot; a command that has not started may be tried again.
    for attempt in 0..3 {
        for file in [".status", ".started"] {
            let _ = fs::remove_file(share.join(file));
        }
        let ended = emulate(kernel, options, &share)?;
        if let Ok(status) = fs::read_to_string(share.join(".status")) {
            return status.trim().parse().context("the guest's exit status");
        }
        if share.join(".started").exists() {
            if ended == Ended::TooLong {
                eprintln!("testbed: the guest took longer than {} s", options.limit.as_secs());
                return Ok(124);
            }
            break;
        }
        if attempt < 2 {
            eprintln!("testbed: the guest did not boot; once more");
        }
    }
    let console = fs::read_to_string(share.join(".console")).unwrap_or_default();
    if let Some(begin) = console.lines().position(is_crash) {
        let course: Vec<&str> = console.lines().skip(begin).collect();
        eprintln!("testbed: the guest's kernel crashed:\n{}", course.join("\n"));
        bail!("the guest's kernel crashed: {}", course.into_iter().take(6).collect::<Vec<_>>().join("\n"))
    }
    let tail: Vec<&str> = console.lines().rev().take(8).collect();
    bail!(
        "the guest ended without a word; its console's last lines:\n{}",
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    )
}

/// Does a kernel that can no longer go on say this first?
fn is_crash(line: &str) -> bool {
    ["BUG: ", "Oops", "general protection fault", "Kernel panic"].iter().any(|word| line.contains(word))
}

/// What the guest's first process does after the file systems are there.
fn script(kernel: &Kernel, command: &[OsString]) -> Result<Vec<u8>> {
    let quoted = |text: &[u8]| {
        let mut quoted = vec![b'\''];
        for &byte in text {
            match byte {
                b'\'' => quoted.extend_from_slice(b"'\\''"),
                byte => quoted.push(byte),
            }
        }
        quoted.push(b'\'');
        quoted
    };
    let mut script = Vec::new();
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    for (name, value) in [("PATH", search_path()), ("HOME", home)] {
        script.write_all(format!("export {name}=").as_bytes())?;
        script.write_all(&quoted(value.as_bytes()))?;
        script.push(b'\n');
    }
    writeln!(script, "export TERM=dumb {INSIDE}=1")?;
    if let Ok(filter) = std::env::var("RUST_LOG") {
        writeln!(script, "export RUST_LOG='{}'", filter.replace('\'', ""))?;
    }
    script.write_all(b"mkdir -p /dev/pts /dev/shm /run/netns\nmount -t devpts devpts /dev/pts\nmount -t tmpfs tmpfs /dev/shm\nmount --bind /host")?;
    script.write_all(&quoted(kernel.modules.as_os_str().as_bytes()))?;
    script.write_all(b" /lib/modules\nexec </dev/null >/dev/ttyS0 2>&1\nstty -F /dev/ttyS0 -onlcr 2>/dev/null\nip link set lo up\n")?;
    writeln!(
        script,
        "for m in {}; do modprobe $m 2>/dev/null || echo \"testbed: the guest's kernel has no module $m\"; done",
        MODULES.join(" ")
    )?;
    write!(script, "! command -v nft >/dev/null || nft -f - <<'END'\n{HOOKS}END\n")?;
    let directory = std::env::current_dir()?;
    for hidden in hidden(&directory, &std::env::current_exe()?) {
        let name = quoted(hidden.as_os_str().as_bytes());
        script.write_all(b"mkdir -p ")?;
        script.write_all(&name)?;
        script.write_all(b"\nmount --bind /host")?;
        script.write_all(&name)?;
        script.push(b' ');
        script.write_all(&name)?;
        script.push(b'\n');
    }
    script.write_all(b"touch /share/.started\ncd ")?;
    script.write_all(&quoted(directory.as_os_str().as_bytes()))?;
    script.push(b'\n');
    for word in command {
        script.write_all(&quoted(word.as_bytes()))?;
        script.push(b' ');
    }
    script.write_all(b"\necho $? > /share/.status\nsync\necho o > /proc/sysrq-trigger\nsleep 10\n")?;
    Ok(script)
}

/// Of the working directory and the directory in which this program was built, those that the guest's own /tmp and
/// /run would hide, the outer one alone where one is in the other.
fn hidden(directory: &Path, program: &Path) -> Vec<PathBuf> {
    // target/PROFILE/roam-testbed: the whole target directory, since tests lie deeper.
    let built = program.ancestors().nth(2).filter(|built| built.parent().is_some());
    let mut found: Vec<&Path> = [Some(directory), built].into_iter().flatten().collect();
    let own = |path: &Path| path.starts_with("/tmp") || path.starts_with("/run");
    found.retain(|path| path.parent().is_some_and(own));
    found.sort();
    found.dedup_by(|inner, outer| inner.starts_with(*outer));
    found.into_iter().map(Path::to_owned).collect()
}

#[derive(PartialEq, Eq)]
enum Ended {
    ByItself,
    TooLong,
}

/// Ends the emulator with this process; if this process is killed, setpriv's signal does it.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn emulate(kernel: &Kernel, options: &Options, share: &Path) -> Result<Ended> {
    let device = |path: &Path| path.display().to_string().replace(',', ",,");
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    if options.by_instructions {
        command.args(["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off", "-smp", "1"]);
        // A string instruction counts once for each of its repetitions. Where the processor promises that it moves octets
        // quickly (ERMS), the kernel clears and copies memory octet by octet, and each would count 2 ns: twenty and more
        // times what it takes. Without the promise it does so by words.
        command.args(["-cpu", "max,-erms,-fsrm"]);
    } else {
        command.args(["-accel", "tcg,thread=multi", "-smp", &options.cpus.to_string(), "-cpu", "max"]);
    }
    command.args(["-display", "none", "-nodefaults", "-no-reboot"]);
    command.args(["-m", &options.memory.to_string()]);
    command.args(["-serial", "stdio", "-serial", &format!("file:{}", device(&share.join(".console")))]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&kernel.initrd);
    command.args(["-append", "console=ttyS1 panic=-1 quiet mitigations=off"]);
    command.args(["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"]);
    command.args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"]);
    command.args(["-fsdev", &format!("local,id=share,path={},security_model=none", device(share))]);
    command.args(["-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
    if options.beside_others {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
    }
    let mut emulator = Emulator(command.spawn().context("qemu-system-x86_64")?);
    let lines = emulator.0.stdout.take().map(|output| {
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                println!("{}", String::from_utf8_lossy(&line));
            }
        })
    });
    let ended = watch(&mut emulator, options);
    drop(emulator);
    if let Some(lines) = lines {
        let _ = lines.join();
    }
    ended
}

/// Waits for its end.
fn watch(emulator: &mut Emulator, options: &Options) -> Result<Ended> {
    match clock::until("the guest", options.limit, || emulator.0.try_wait().transpose()) {
        Ok(status) => status.map(|_| Ended::ByItself).context("the emulator"),
        Err(Waited::TooLong { .. }) => Ok(Ended::TooLong),
        Err(interrupted) => Err(interrupted.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_that_the_guests_own_directories_would_hide_is_shown_again() {
        let of = |directory: &str, program: &str| hidden(Path::new(directory), Path::new(program));
        assert!(of("/home/me/roam", "/home/me/roam/target/guest/roam-testbed").is_empty());
        assert_eq!(of("/tmp/roam", "/tmp/roam/target/guest/roam-testbed"), [Path::new("/tmp/roam")]);
        let both = of("/tmp/roam", "/run/target/guest/roam-testbed");
        assert_eq!(both, [Path::new("/run/target"), Path::new("/tmp/roam")]);
        // /tmp itself stays the guest's own.
        assert!(of("/tmp", "/usr/bin/roam-testbed").is_empty());
    }
}
