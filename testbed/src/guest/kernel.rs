//! Getting the guest's kernel: Debian's package, unpacked into the cache, and an initial RAM disk that mounts this
//! machine's file system.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use super::packages::{apt, find, program, require};

/// A kernel series, as `6.12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series(String);

impl Default for Series {
    fn default() -> Self {
        Self("6.12".to_owned())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('.') {
            Some((major, minor)) if number(major) && number(minor) => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is no kernel series; allowed: two numbers, as 6.12 or 6.1")),
        }
    }
}

/// A kernel ready to boot.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) modules: PathBuf,
}

/// Modules that the initial RAM disk needs.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Has the kernel of the series ready in the cache.
pub(super) fn prepare(series: &Series) -> Result<Kernel> {
    require(&[
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
        ("gzip", "gzip"),
        ("xz", "xz-utils"),
        ("depmod", "kmod"),
        ("ip", "iproute2"),
        ("tc", "iproute2"),
        ("nft", "nftables"),
        ("setpriv", "util-linux"),
    ])?;
    let cache = cache_directory()?.join(series.to_string());
    let done = cache.join("initrd");
    let ready =
        || done.exists() && fs::read_to_string(cache.join("initrd.d/init")).is_ok_and(|init| init == INIT);
    if !ready() {
        // Several may want it at once; the first makes it, the others wait.
        fs::create_dir_all(cache_directory()?)?;
        let mut lock = cache.clone().into_os_string();
        lock.push(".lock");
        let lock = fs::File::create(lock)?;
        let _locked = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        if !ready() {
            make(series, &cache)?;
        }
    }
    let modules = cache.join("root/lib/modules");
    let release = only_entry(&modules)?;
    let release = release.file_name().context("the kernel's release")?.to_string_lossy().into_owned();
    Ok(Kernel { image: cache.join(format!("root/boot/vmlinuz-{release}")), initrd: done, modules })
}

fn cache_directory() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("roam-testbed"))
}

fn make(series: &Series, cache: &Path) -> Result<()> {
    let package = match find_package(series)? {
        Some(package) => package,
        None => {
            apt(&["update", "-qq"])?;
            find_package(series)?.map_or_else(offered_instead, Ok)?
        }
    };
    eprintln!("testbed: getting kernel package {package} for the guest");
    if cache.exists() {
        fs::remove_dir_all(cache)?;
    }
    let root = cache.join("root");
    fs::create_dir_all(&root)?;
    if download(&package, cache).is_err() {
        apt(&["update", "-qq"])?;
        let package = find_package(series)?.map_or_else(offered_instead, Ok)?;
        download(&package, cache)?;
    }
    let archive = fs::read_dir(cache)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    run(program("dpkg").arg("-x").arg(&archive).arg(&root))?;
    fs::remove_file(archive)?;
    let release = only_entry(&root.join("lib/modules"))?;
    let release = release.file_name().context("the kernel's release")?.to_string_lossy().into_owned();
    run(program("depmod").arg("-b").arg(&root).arg(&release))?;
    initrd(cache, &root, &release)
}

/// The newest package of the series.
fn find_package(series: &Series) -> Result<Option<String>> {
    let pattern = format!("^linux-image-{}\\.[.0-9a-z+-]*-amd64(-unsigned)?$", series.0.replace('.', "\\."));
    newest(&pattern)
}

/// What this system offers where it has not the series asked for.
fn offered_instead() -> Result<String> {
    let package = newest("^linux-image-[0-9][.0-9a-z+-]*-(amd64|generic)(-unsigned)?$")?
        .context("this system offers no kernel package linux-image-*; the guest needs one")?;
    eprintln!("testbed: this system has no kernel of that series; taking {package}");
    Ok(package)
}

fn newest(pattern: &str) -> Result<Option<String>> {
    let output = program("apt-cache")
        .args(["search", "--names-only", pattern])
        .stdin(Stdio::null())
        .output()
        .context("apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.contains("cloud") && !name.contains("-rt-") && !name.ends_with("-dbg"))
        .collect();
    names.sort_by_key(|name| numbers(name));
    Ok(names.last().map(|&name| name.to_owned()))
}

/// The numbers in a name, in order: versions compare as versions.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn download(package: &str, into: &Path) -> Result<()> {
    let status = program("apt-get")
        .args(["download", "-qq", package])
        .current_dir(into)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "apt-get download {package} failed");
    Ok(())
}

fn only_entry(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    match entries.next() {
        Some(entry) => Ok(entry?.path()),
        None => bail!("{} is empty", directory.display()),
    }
}

/// By what the guest's root is told from others.
pub(super) const OVERLAY: &str = "lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work";

/// The program that the kernel starts first: it mounts this machine's file system, read-only under an overlay.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
while read m; do insmod /mods/$m; done < /mods/order
mount -t 9p -o trans=virtio,version=9p2000.L,cache=loose,ro,msize=262144 host /ro
mount -t tmpfs tmpfs /rw; mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new
mount --move /proc /new/proc; mount --move /dev /new/dev
mkdir -p /new/sys /new/run /new/share /new/tmp /new/lib/modules /new/host
mount --bind /ro /new/host
mount -t sysfs sys /new/sys; mount -t tmpfs tmpfs /new/run; mount -t tmpfs tmpfs /new/tmp
mount -t 9p -o trans=virtio,version=9p2000.L,cache=none,msize=262144 share /new/share
exec switch_root /new /bin/bash /share/.guest
";

fn initrd(cache: &Path, root: &Path, release: &str) -> Result<()> {
    let tree = cache.join("initrd.d");
    for directory in ["bin", "proc", "dev", "mods", "ro", "rw", "new"] {
        fs::create_dir_all(tree.join(directory))?;
    }
    let busybox = find("busybox").context("busybox")?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let output = program("modprobe")
            .arg("-d")
            .arg(root)
            .args(["-S", release, "--show-depends", module])
            .stdin(Stdio::null())
            .output()
            .context("modprobe")?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some(path) = line.strip_prefix("insmod ").and_then(|rest| rest.split_whitespace().next())
            else {
                continue;
            };
            let name = Path::new(path)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let name = name.trim_end_matches(".xz").trim_end_matches(".zst").to_owned();
            if order.contains(&name) {
                continue;
            }
            unpack(Path::new(path), &tree.join("mods").join(&name))?;
            order.push(name);
        }
    }
    ensure!(!order.is_empty(), "the kernel package has none of the modules {}", MODULES.join(", "));
    fs::write(tree.join("mods/order"), order.join("\n") + "\n")?;
    fs::write(tree.join("init"), INIT)?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755))?;
    let partial = cache.join("initrd.new");
    let archive = "find . | cpio -o -H newc 2>/dev/null | gzip -1";
    let output = program("sh").args(["-c", archive]).current_dir(&tree).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "the initial RAM disk could not be packed");
    fs::File::create(&partial)?.write_all(&output.stdout)?;
    fs::rename(partial, cache.join("initrd"))?;
    Ok(())
}

/// Copies a module, unpacked.
fn unpack(from: &Path, to: &Path) -> Result<()> {
    let tool = match from.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => {
            require(&[("zstd", "zstd")])?;
            "zstd"
        }
        _ => {
            fs::copy(from, to)?;
            return Ok(());
        }
    };
    let output = program(tool).arg("-dc").arg(from).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{} cannot be unpacked", from.display());
    fs::write(to, output.stdout)?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_mounted_as_it_is_told_from_others() {
        assert!(INIT.contains(&format!("mount -t overlay -o {OVERLAY} overlay /new")));
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert_eq!("6.1".parse::<Series>().map(|series| series.to_string()), Ok("6.1".to_owned()));
        for wrong in ["6", "6.", "six.one", "6.1.2", ""] {
            assert!(wrong.parse::<Series>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_package_is_chosen_by_its_numbers() {
        let mut names =
            ["linux-image-6.12.9-amd64", "linux-image-6.12.117+deb12-amd64", "linux-image-6.12.22-amd64"];
        names.sort_by_key(|name| numbers(name));
        assert_eq!(names[2], "linux-image-6.12.117+deb12-amd64");
    }
}
