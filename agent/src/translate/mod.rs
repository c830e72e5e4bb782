//! Rewriting of the IP addresses of SCTP packets at the host's edge, by stateless nftables rules. SCTP's checksum
//! covers no IP address, so nothing else of a packet changes.
//!
//! The table `inet roam` is made once, when the daemon starts (`table.nft`, one `nft` process). In a handover only
//! the elements of its sets and maps change, by netlink, in one atomic batch.

mod element;
mod netlink;
mod rule;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::{Command, Stdio};

pub use rule::{Pair, Rule};
pub use watch::TableWatch;

use netlink::Batch;

const TABLE: &str = include_str!("table.nft");

/// Why addresses cannot be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// `nft` is not installed.
    #[error("nft is not installed; install the package nftables")]
    NoNft,
    /// The kernel or a missing right forbids it.
    #[error(
        "nft refused the table `inet roam` ({0}); the daemon needs CAP_NET_ADMIN and a kernel with nf_tables"
    )]
    Refused(String),
    /// Changing the elements failed.
    #[error("the elements of table `inet roam` could not be changed: {0}")]
    Elements(#[source] io::Error),
    /// Running `nft` or opening netlink failed.
    #[error("nftables cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// The table, and the rules in it. Several associations may want the same rule (they may have the same ports): it is
/// in force while one of them does.
#[derive(Debug)]
pub struct Translator {
    netlink: netlink::Socket,
    /// The rules in force, and how many want each.
    wanted: BTreeMap<Rule, usize>,
}

impl Translator {
    /// Makes the table with these rules in it, each as often as somebody wants it. A table that an earlier daemon left
    /// is replaced in the same transaction, so that packets of a handover in progress find no gap.
    ///
    /// # Errors
    /// See [`TranslateError`].
    pub fn install(rules: impl IntoIterator<Item = Rule>) -> Result<Self, TranslateError> {
        let mut wanted = BTreeMap::new();
        for rule in rules {
            *wanted.entry(rule).or_default() += 1;
        }
        make_table(&wanted)?;
        Ok(Self { netlink: netlink::Socket::open()?, wanted })
    }

    /// Makes the table anew with all that is wanted in it, in one step: somebody has deleted it, or some of it.
    ///
    /// # Errors
    /// See [`TranslateError`]; then nothing has changed.
    pub fn restore(&mut self) -> Result<(), TranslateError> {
        make_table(&self.wanted)
    }

    /// The number by which the kernel knows who changes the table's elements here.
    pub fn port(&self) -> u32 {
        self.netlink.port
    }

    /// The rules in force.
    pub fn installed(&self) -> impl Iterator<Item = &Rule> {
        self.wanted.keys()
    }

    /// One who wanted the rules `before` wants `now` from now on. What changes in the table does so in one atomic step,
    /// and costs what changes, however many rules others want.
    ///
    /// # Errors
    /// [`TranslateError::Elements`]; then nothing has changed.
    pub fn change(&mut self, before: &BTreeSet<Rule>, now: &BTreeSet<Rule>) -> Result<(), TranslateError> {
        let wants = |rule: &Rule| self.wanted.get(rule).copied().unwrap_or_default();
        let mut batch = Batch::new();
        for rule in before.difference(now).filter(|rule| wants(rule) == 1) {
            batch.element(false, &element::Element::of(rule));
        }
        for rule in now.difference(before).filter(|rule| wants(rule) == 0) {
            batch.element(true, &element::Element::of(rule));
        }
        if !batch.is_empty() {
            self.netlink.commit(batch).map_err(TranslateError::Elements)?;
        }
        for rule in before.difference(now) {
            if let Some(others) = self.wanted.get_mut(rule) {
                *others -= 1;
                if *others == 0 {
                    self.wanted.remove(rule);
                }
            }
        }
        for rule in now.difference(before) {
            *self.wanted.entry(*rule).or_default() += 1;
        }
        Ok(())
    }

    /// Removes the table.
    ///
    /// # Errors
    /// See [`TranslateError`].
    pub fn uninstall(self) -> Result<(), TranslateError> {
        remove_leftovers()
    }
}

/// Removes the table, if it is there.
///
/// # Errors
/// See [`TranslateError`].
pub fn remove_leftovers() -> Result<(), TranslateError> {
    run_nft("add table inet roam\ndelete table inet roam\n")
}

/// Makes the table, in the place of one that is there.
fn make_table(wanted: &BTreeMap<Rule, usize>) -> Result<(), TranslateError> {
    let mut script = String::from("add table inet roam\ndelete table inet roam\n");
    script.push_str(TABLE);
    for rule in wanted.keys() {
        let (set, text) = element::text(rule);
        script.push_str(&format!("add element inet roam {set} {{ {text} }}\n"));
    }
    run_nft(&script)
}

fn run_nft(script: &str) -> Result<(), TranslateError> {
    let spawned = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TranslateError::NoNft),
        Err(error) => return Err(error.into()),
    };
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(TranslateError::Refused(text.lines().next().unwrap_or("no reason given").trim().to_owned()))
}
